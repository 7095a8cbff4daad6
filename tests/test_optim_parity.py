"""optim/ beside torch.optim: twenty steps over a grid of arguments in float64, and states that go both ways."""

import itertools

import numpy as np
import pytest
from helpers import close
from hotloop import nn, optim

torch = pytest.importorskip("torch", reason="torch is not installed")

SHAPES = [(3, 5), (5,), (0, 4), (1,), (17, 2), ()]
STEPS = 20


def grid(**choices):
    names = list(choices)
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*choices.values())]


SIGNS = [False, True]
SGD_GRID = [
    options
    for options in grid(
        lr=[0.0, 0.1],
        momentum=[0, 0.9],
        dampening=[0, 0.3],
        weight_decay=[0, 0.05],
        nesterov=[False, True],
        maximize=[False, True],
    )
    if not options["nesterov"] or (options["momentum"] and not options["dampening"])
]
ADAM_GRID = grid(
    lr=[0.02],
    betas=[(0.9, 0.999), (0.0, 0.5)],
    eps=[1e-8, 0.1],
    weight_decay=[0, 0.05],
    amsgrad=[False, True],
    maximize=[False, True],
    decoupled_weight_decay=[False, True],
)
GRIDS = {
    "SGD": SGD_GRID,
    "Adam": ADAM_GRID,
    "AdamW": grid(
        lr=[0.02], betas=[(0.9, 0.999), (0.0, 0.5)], weight_decay=[0, 0.05], amsgrad=[False, True], maximize=SIGNS
    ),
    "Adagrad": grid(
        lr=[0.1],
        lr_decay=[0, 0.2],
        weight_decay=[0, 0.05],
        initial_accumulator_value=[0, 0.3],
        eps=[1e-10, 0.1],
        maximize=SIGNS,
    ),
    "RMSprop": grid(
        lr=[0.02],
        alpha=[0.99, 0.5],
        eps=[1e-8, 0.1],
        weight_decay=[0, 0.05],
        momentum=[0, 0.9],
        centered=[False, True],
        maximize=SIGNS,
    ),
    "Adadelta": grid(lr=[1.0, 0.3], rho=[0.9, 0.5], eps=[1e-6, 0.1], weight_decay=[0, 0.05], maximize=SIGNS),
    "Adamax": grid(
        lr=[0.02], betas=[(0.9, 0.999), (0.0, 0.5)], eps=[1e-8, 0.1], weight_decay=[0, 0.05], maximize=SIGNS
    ),
    "NAdam": grid(
        lr=[0.02],
        betas=[(0.9, 0.999), (0.0, 0.5)],
        eps=[1e-8, 0.1],
        weight_decay=[0, 0.05],
        momentum_decay=[4e-3, 0.3],
        decoupled_weight_decay=[False, True],
        maximize=SIGNS,
    ),
    # beta2 decides when the rectification begins: after 5 steps, late, never
    "RAdam": grid(
        lr=[0.02],
        betas=[(0.9, 0.999), (0.0, 0.9), (0.5, 0.5)],
        eps=[1e-8, 0.1],
        weight_decay=[0, 0.05],
        decoupled_weight_decay=[False, True],
        maximize=SIGNS,
    ),
    "ASGD": grid(lr=[0.1], lambd=[1e-4, 0.3], alpha=[0.75, 0.5], t0=[1e6, 5], weight_decay=[0, 0.05], maximize=SIGNS),
    "Rprop": grid(lr=[0.1], etas=[(0.5, 1.2), (0.3, 2.0)], step_sizes=[(1e-6, 50), (0.05, 0.2)], maximize=SIGNS),
}
RULES = [(rule, options) for rule, choices in GRIDS.items() for options in choices]


@pytest.fixture(autouse=True)
def counters_in_float64():
    """Torch keeps the counters of NAdam and ASGD in its default dtype."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def name(rule):
    return rule[0] + "-" + "-".join(f"{key}={value}" for key, value in rule[1].items())


def pair(rng, rule, shapes=SHAPES, **options):
    """(our parameters, our optimizer, torch's parameters, torch's optimizer) from the same values."""
    values = [rng.standard_normal(shape) for shape in shapes]
    ours = [nn.Parameter(value.copy()) for value in values]
    theirs = [torch.nn.Parameter(torch.tensor(value)) for value in values]
    return ours, getattr(optim, rule)(ours, **options), theirs, getattr(torch.optim, rule)(theirs, **options)


def set_gradients(rng, ours, theirs, absent=()):
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        gradient = rng.standard_normal(a.shape)
        a.grad = None if i in absent else np.asarray(gradient)
        b.grad = None if i in absent else torch.tensor(gradient)


def same_values(ours, theirs):
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        close(np.asarray(a), b.detach().numpy(), 1e-10, f"parameter {i}")


def same_states(optimizer, reference):
    """State by state, in torch's order; state that has not begun may be missing here."""
    ours, theirs = optimizer.state_dict()["state"], reference.state_dict()["state"]
    for number, kept in ours.items():
        assert set(kept) <= set(theirs[number])
        for key, value in kept.items():
            close(np.asarray(value), theirs[number][key].numpy(), 1e-10, f"{key} of parameter {number}")


@pytest.mark.parametrize("rule", RULES, ids=name)
def test_twenty_steps(rng, rule):
    ours, optimizer, theirs, reference = pair(rng, rule[0], **rule[1])
    for _ in range(STEPS):
        set_gradients(rng, ours, theirs)
        optimizer.step()
        reference.step()
    same_values(ours, theirs)
    same_states(optimizer, reference)


LIVELY = {
    "SGD": {"momentum": 0.9, "dampening": 0.3},
    "Adam": {"amsgrad": True},
    "Adagrad": {"lr_decay": 0.1, "initial_accumulator_value": 0.2},
    "RMSprop": {"centered": True, "momentum": 0.8, "eps": 0.1},
    "ASGD": {"t0": 4, "lambd": 0.1},
}


@pytest.mark.parametrize("rule", GRIDS)
def test_parameters_without_gradients(rng, rule):
    """Those are left out, and count their own steps."""
    ours, optimizer, theirs, reference = pair(rng, rule, lr=0.05, **LIVELY.get(rule, {}))
    for step in range(STEPS):
        absent = {i for i in range(len(SHAPES)) if (step + i) % 3 == 0 or i == step % 7}
        set_gradients(rng, ours, theirs, absent)
        optimizer.step()
        reference.step()
    same_values(ours, theirs)


def test_groups_and_options_that_change(rng):
    values = [rng.standard_normal(shape) for shape in SHAPES]
    ours, theirs = [nn.Parameter(v.copy()) for v in values], [torch.nn.Parameter(torch.tensor(v)) for v in values]

    def build(package, parameters):
        return package.SGD([{"params": parameters[:2], "lr": 0.2}, {"params": parameters[2:4]}], lr=0.1, momentum=0.5)

    optimizer, reference = build(optim, ours), build(torch.optim, theirs)
    for step in range(STEPS):
        if step == 5:
            for o, p in ((optimizer, ours), (reference, theirs)):
                o.add_param_group({"params": p[4:], "weight_decay": 0.1, "momentum": 0})
        if step == 9:
            for o in (optimizer, reference):
                # momentum that begins late, and stops
                o.param_groups[2]["momentum"] = 0.9
                o.param_groups[1]["momentum"] = 0
                o.param_groups[0].update(nesterov=True, dampening=0)
        if step == 14:
            for o in (optimizer, reference):
                o.param_groups[1]["momentum"] = 0.7
        for o in (optimizer, reference):
            o.param_groups[0]["lr"] *= 0.9
        set_gradients(rng, ours, theirs)
        optimizer.step()
        reference.step()
    same_values(ours, theirs)


def to_torch(state):
    """Our state_dict with torch tensors."""
    entries = {
        number: {key: torch.tensor(np.asarray(value)) for key, value in kept.items()}
        for number, kept in state["state"].items()
    }
    return {"state": entries, "param_groups": state["param_groups"]}


CARRIED = [
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.2}),
    ("SGD", {"lr": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True}),
    ("Adam", {"lr": 0.1, "betas": (0.8, 0.9)}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.2}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.2}),
    ("RMSprop", {"lr": 0.1, "centered": True, "momentum": 0.8, "eps": 0.1}),
    ("RMSprop", {"lr": 0.1}),
    ("Adadelta", {"lr": 0.1}),
    ("Adamax", {"lr": 0.1}),
    ("NAdam", {"lr": 0.1, "momentum_decay": 0.1}),
    ("RAdam", {"lr": 0.1, "betas": (0.8, 0.9)}),
    ("ASGD", {"lr": 0.1, "t0": 1, "lambd": 0.1}),
    ("Rprop", {"lr": 0.1}),
]


@pytest.mark.parametrize("rule", CARRIED, ids=name)
def test_states_go_both_ways(rng, rule):
    """After some steps ours continues torch's, and torch's ours, with other options at the start."""
    ours, optimizer, theirs, reference = pair(rng, rule[0], **rule[1])
    for _ in range(3):
        set_gradients(rng, ours, theirs, absent={1})
        optimizer.step()
        reference.step()

    from_torch = [nn.Parameter(p.detach().numpy().copy()) for p in theirs]
    follower = getattr(optim, rule[0])(from_torch, lr=7.0)
    follower.load_state_dict(reference.state_dict())
    to = [torch.nn.Parameter(torch.tensor(np.asarray(p))) for p in ours]
    # sums that have not begun: torch asks the constructor's argument, not the group's option
    begin = {key: value for key, value in rule[1].items() if key == "initial_accumulator_value"}
    torch_follower = getattr(torch.optim, rule[0])(to, lr=7.0, **begin)
    torch_follower.load_state_dict(to_torch(optimizer.state_dict()))

    # torch's Adagrad keeps state of parameters that were never updated
    kept = [number for number, state in reference.state_dict()["state"].items() if state.get("step", 1) > 0]
    assert list(optimizer.state_dict()["state"]) == kept
    for _ in range(3):
        gradients = [rng.standard_normal(shape) for shape in SHAPES]
        for parameters, wrap in ((from_torch, np.asarray), (to, torch.tensor), (theirs, torch.tensor)):
            for p, gradient in zip(parameters, gradients, strict=True):
                p.grad = wrap(gradient)
        for o in (follower, torch_follower, reference):
            o.step()
    same_values(from_torch, theirs)
    same_values([p.detach().numpy() for p in to], theirs)


@pytest.mark.parametrize("rule", GRIDS)
def test_defaults_are_torch_s(rule):
    ours = getattr(optim, rule)([nn.Parameter(np.zeros(1))])
    theirs = getattr(torch.optim, rule)([torch.nn.Parameter(torch.zeros(1))])
    for key, value in ours.defaults.items():
        assert theirs.defaults[key] == value, key
    assert set(theirs.defaults) - set(ours.defaults) <= {"foreach", "fused", "differentiable", "capturable"}
