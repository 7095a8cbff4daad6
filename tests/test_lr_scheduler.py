"""optim/lr_scheduler: bit for bit as torch, fifty steps, without and with a restart in the middle."""

import copy
import itertools
import pickle
import warnings

import numpy as np
import pytest
from hotloop import nn, optim
from hotloop.optim import lr_scheduler

torch = pytest.importorskip("torch", reason="torch is not installed")

STEPS, RESTART = 50, 23


class Ramp:
    """A function with a state."""

    def __init__(self, slope):
        self.slope = slope

    def __call__(self, t):
        return 1 / (1 + self.slope * t)


def grid(**choices):
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


GRID = {
    "LambdaLR": grid(lr_lambda=[lambda t: 0.95**t, [lambda t: 1 / (1 + t), lambda t: t // 10], Ramp(0.1)]),
    "MultiplicativeLR": grid(lr_lambda=[lambda t: 0.95, [lambda t: 0.9, lambda t: 1.01], Ramp(0.01)]),
    "StepLR": grid(step_size=[1, 7], gamma=[0.1, 0.9]),
    "MultiStepLR": grid(milestones=[[3, 20, 20, 45], [0], []], gamma=[0.1, 0.9]),
    "ConstantLR": grid(factor=[1 / 3, 1.0], total_iters=[5, 30, 0]),
    "LinearLR": grid(start_factor=[1 / 3, 1.0], end_factor=[1.0, 0.2, 0.0], total_iters=[5, 30]),
    "ExponentialLR": grid(gamma=[0.9, 1.02]),
    "PolynomialLR": grid(total_iters=[5, 40], power=[1.0, 2.0, 0.5]),
    "CosineAnnealingLR": grid(T_max=[7, 20, 100], eta_min=[0.0, 0.01]),
    "CosineAnnealingWarmRestarts": grid(T_0=[1, 8], T_mult=[1, 2], eta_min=[0.0, 0.01]),
    "CyclicLR": [
        {"base_lr": 0.01, "max_lr": 0.3, **options}
        for options in grid(
            step_size_up=[5, 11],
            step_size_down=[None, 3],
            mode=["triangular", "triangular2", "exp_range"],
            gamma=[1.0, 0.9],
        )
    ]
    + [
        dict(base_lr=[0.01, 0.02], max_lr=[0.3, 0.4], step_size_up=4, scale_fn=Ramp(0.1), scale_mode="iterations"),
        dict(base_lr=0.01, max_lr=0.3, step_size_up=4, scale_fn=lambda c: 0.5**c, base_momentum=[0.3, 0.5]),
        dict(base_lr=0.01, max_lr=0.3, step_size_up=4, cycle_momentum=False),
    ],
    "OneCycleLR": [
        {"max_lr": 0.5, "total_steps": 60, **options}
        for options in grid(
            pct_start=[0.3, 0.5], anneal_strategy=["cos", "linear"], three_phase=[False, True], div_factor=[25.0, 4.0]
        )
    ]
    + [
        dict(max_lr=[0.5, 0.2], epochs=5, steps_per_epoch=10, final_div_factor=10.0),
        dict(max_lr=0.5, total_steps=50, cycle_momentum=False),
    ],
}
CASES = [(name, options) for name, choices in GRID.items() for options in choices]


def label(case):
    return case if isinstance(case, str) else case[0]


def optimizer_of(package, rule="SGD"):
    """Two groups, the second with a rate of its own."""
    parameters = (
        [nn.Parameter(np.zeros(2)) for _ in range(2)]
        if package is optim
        else [torch.nn.Parameter(torch.zeros(2)) for _ in range(2)]
    )
    options = {"momentum": 0.9} if rule == "SGD" else {}
    groups = [{"params": parameters[:1]}, {"params": parameters[1:], "lr": 0.07}]
    return getattr(package, rule)(groups, lr=0.3, **options)


def seen(optimizer):
    keys = ("lr", "momentum", "betas", "initial_lr")
    return [[group[key] for key in keys if key in group] for group in optimizer.param_groups]


def both(build, rule="SGD"):
    """[(optimizer, schedule)] here and in torch."""
    pairs = []
    for package in (optim, torch.optim):
        optimizer = optimizer_of(package, rule)
        pairs.append((optimizer, build(package.lr_scheduler, optimizer)))
    return pairs


def agree(pairs):
    (ours, schedule), (theirs, reference) = pairs
    assert seen(ours) == seen(theirs)
    assert schedule.get_last_lr() == reference.get_last_lr()
    # a chain has none of its own
    assert getattr(schedule, "last_epoch", None) == getattr(reference, "last_epoch", None)


def advance(pairs, steps):
    agree(pairs)
    for _ in range(steps):
        for optimizer, schedule in pairs:
            optimizer.step()
            schedule.step()
        agree(pairs)


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("rule", ["SGD", "Adam"])
@pytest.mark.parametrize("case", CASES, ids=label)
def test_fifty_steps(case, rule):
    name, options = case
    advance(both(lambda package, o: getattr(package, name)(o, **options), rule), STEPS)


def warm_up_then(package, optimizer):
    parts = [package.LinearLR(optimizer, 0.1, total_iters=10), package.CosineAnnealingLR(optimizer, 30)]
    return package.SequentialLR(optimizer, parts, [10])


def chained(package, optimizer):
    return package.ChainedScheduler([package.ConstantLR(optimizer, 0.1, 4), package.ExponentialLR(optimizer, 0.9)])


def nested(package, optimizer):
    inner = package.SequentialLR(optimizer, [package.ConstantLR(optimizer, 0.5, 3), package.StepLR(optimizer, 5)], [7])
    last = [package.PolynomialLR(optimizer, 20), package.CosineAnnealingWarmRestarts(optimizer, 6)]
    with warnings.catch_warnings():
        # the inner one's first step is made a second time: here as in torch that passes for a step too early
        warnings.simplefilter("ignore")
        return package.SequentialLR(optimizer, [inner, *last], [20, 35])


def chain_of_sequences(package, optimizer):
    return package.ChainedScheduler([warm_up_then(package, optimizer), package.MultiStepLR(optimizer, [30])], optimizer)


COMBINED = [warm_up_then, chained, nested, chain_of_sequences]


@pytest.mark.parametrize("build", COMBINED)
def test_combinations(build):
    advance(both(build), STEPS)


def restarted(package, build, saved, rule):
    """A new optimizer and schedule that continue from what was saved."""
    optimizer = optimizer_of(package, rule)
    schedule = build(package.lr_scheduler, optimizer)
    state, schedule_state = saved
    if package is optim:
        optimizer.load_state_dict(state)
    else:
        for group, other in zip(optimizer.param_groups, state["param_groups"], strict=True):
            group.update({key: value for key, value in other.items() if key != "params"})
    before = dict(schedule_state)
    schedule.load_state_dict(schedule_state)
    assert package is torch.optim or schedule_state == before
    return optimizer, schedule


@pytest.mark.parametrize("came_from", ["torch", "here"])
@pytest.mark.parametrize(
    "case", [*CASES, *COMBINED], ids=lambda c: c[0] if isinstance(c, tuple) else getattr(c, "__name__", c)
)
def test_restart_in_the_middle(case, came_from):
    """States go both ways, and survive a file."""
    if isinstance(case, tuple):
        name, options = case

        def build(package, optimizer):
            return getattr(package, name)(optimizer, **copy.deepcopy(options))

    else:
        build = case
    pairs = both(build)
    advance(pairs, RESTART)
    optimizer, schedule = pairs[came_from == "torch"]
    saved = pickle.loads(pickle.dumps((optimizer.state_dict(), schedule.state_dict())))
    pairs = [restarted(package, build, copy.deepcopy(saved), "SGD") for package in (optim, torch.optim)]
    advance(pairs, STEPS - RESTART)


@pytest.mark.parametrize(
    "name", ["StepLR", "ExponentialLR", "LinearLR", "CosineAnnealingLR", "LambdaLR", "PolynomialLR"]
)
def test_resume_by_epoch(name):
    """`last_epoch` without a state: the rates of the groups go on from what they are."""
    options = GRID[name][-1]
    pairs = both(lambda package, o: getattr(package, name)(o, **options))
    advance(pairs, 4)
    pairs = [
        (o, getattr(package.lr_scheduler, name)(o, **options, last_epoch=4))
        for package, (o, _) in zip((optim, torch.optim), pairs, strict=True)
    ]
    advance(pairs, 10)


PLATEAU = [
    *grid(mode=["min", "max"], threshold_mode=["rel", "abs"], cooldown=[0, 3], patience=[0, 2]),
    dict(min_lr=[0.01, 0.05], factor=0.3, patience=1),
    dict(min_lr=0.02, factor=0.5, patience=1, threshold=0.3, eps=0.01),
]


@pytest.mark.parametrize("options", PLATEAU, ids=str)
def test_plateau(rng, options):
    metrics = np.exp(-0.1 * np.arange(STEPS)) + 0.3 * rng.random(STEPS) - 0.2
    metrics[7] = np.nan
    pairs = both(lambda package, o: package.ReduceLROnPlateau(o, **options))
    for step, metric in enumerate(metrics.tolist()):
        if step == RESTART:
            states = [schedule.state_dict() for _, schedule in pairs]
            pairs = [
                (o, package.lr_scheduler.ReduceLROnPlateau(o, **options))
                for package, (o, _) in zip((optim, torch.optim), pairs, strict=True)
            ]
            for (_, schedule), state in zip(pairs, reversed(states), strict=True):
                schedule.load_state_dict(state)
        for optimizer, schedule in pairs:
            optimizer.step()
            schedule.step(metric)
        agree(pairs)
        ours, theirs = (schedule for _, schedule in pairs)
        assert (ours.best, ours.num_bad_epochs) == (theirs.best, theirs.num_bad_epochs)
        assert ours.in_cooldown == theirs.in_cooldown


def test_plateau_takes_a_loss_and_a_new_group():
    optimizer = optimizer_of(optim)
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    schedule.step(nn.Tensor(np.array(1.0)))
    optimizer.add_param_group({"params": [nn.Parameter(np.zeros(1))], "lr": 1.0})
    schedule.step(2.0)
    assert [g["lr"] for g in optimizer.param_groups] == [pytest.approx(v) for v in (0.03, 0.007, 0.1)]


@pytest.mark.parametrize("name", [n for n in GRID if n not in ("MultiplicativeLR", "OneCycleLR", "CyclicLR")])
def test_jump_to_an_epoch(name):
    """By the closed form where there is one; deprecated, as in torch."""
    options = GRID[name][0]
    pairs = both(lambda package, o: getattr(package, name)(o, **options))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for epoch in (3, 11, 12, 4, 40):
            for optimizer, schedule in pairs:
                optimizer.step()
                schedule.step(epoch)
            agree(pairs)
    if name != "CosineAnnealingWarmRestarts":
        with pytest.warns(UserWarning, match="deprecated"):
            pairs[0][1].step(5)


@pytest.mark.parametrize("epoch", [0.25, 7.5, 8, 23.75, 24, 60.5])
@pytest.mark.parametrize("factor", [1, 2])
def test_a_fraction_of_an_epoch(epoch, factor):
    pairs = both(lambda package, o: package.CosineAnnealingWarmRestarts(o, 8, factor))
    for optimizer, schedule in pairs:
        optimizer.step()
        schedule.step(epoch)
    agree(pairs)
    advance(pairs, 20)


def test_the_wrong_order_is_warned_of():
    for build in (lambda: optimizer_of(optim), lambda: optimizer_of(torch.optim)):
        optimizer = build()
        package = lr_scheduler if isinstance(optimizer, optim.Optimizer) else torch.optim.lr_scheduler
        # what was before the first schedule does not count
        optimizer.step()
        schedule = package.StepLR(optimizer, 3)
        with pytest.warns(UserWarning, match=r"`lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
            schedule.step()
        # once
        schedule.step()
        optimizer.step()
        second = package.StepLR(optimizer, 3)
        second.step()


def test_the_kernel_sees_the_rate():
    (parameter,) = parameters = [nn.Parameter(np.zeros(2))]
    optimizer = optim.SGD(parameters, lr=1.0)
    schedule = lr_scheduler.ExponentialLR(optimizer, 0.5)
    parameter.grad = np.ones(2)
    for _ in range(3):
        optimizer.step()
        schedule.step()
    assert np.array_equal(parameter.numpy(), [-1.75, -1.75])


def test_a_schedule_of_ones_own():
    class Halves(lr_scheduler.LRScheduler):
        def get_lr(self):
            return [base / 2**self.last_epoch for base in self.base_lrs]

    optimizer = optimizer_of(optim)
    schedule = Halves(optimizer)
    optimizer.step()
    schedule.step()
    assert schedule.get_last_lr() == [0.15, 0.035]
    with pytest.raises(NotImplementedError, match=r"LRScheduler.get_lr"):
        lr_scheduler.LRScheduler(optimizer)


def test_optimizer_and_schedule_are_copied_together():
    optimizer = optimizer_of(optim)
    schedule = lr_scheduler.StepLR(optimizer, 2, 0.5)
    twin, follower = copy.deepcopy((optimizer, schedule))
    twin.step()
    follower.step()
    follower.step()
    assert [g["lr"] for g in twin.param_groups] == [0.15, 0.035]
    assert [g["lr"] for g in optimizer.param_groups] == [0.3, 0.07]


@pytest.mark.parametrize(
    "build, error, message",
    [
        (lambda s, o: s.StepLR(3, 4), TypeError, "int is not an Optimizer"),
        (lambda s, o: s.StepLR(o, 4, last_epoch=3), KeyError, "initial_lr"),
        (lambda s, o: s.LambdaLR(o, [abs]), ValueError, "Expected 2 lr_lambdas, but got 1"),
        (lambda s, o: s.MultiplicativeLR(o, 0.5), TypeError, "lr_lambda should be a function"),
        (lambda s, o: s.ConstantLR(o, 1.5), ValueError, "factor expected to be between 0 and 1"),
        (lambda s, o: s.LinearLR(o, 0.0), ValueError, "greater than 0"),
        (lambda s, o: s.LinearLR(o, 0.5, 1.5), ValueError, "Ending multiplicative factor"),
        (lambda s, o: s.CosineAnnealingWarmRestarts(o, 0), ValueError, "positive integer T_0"),
        (lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 0), ValueError, "T_mult >= 1"),
        (lambda s, o: s.CosineAnnealingWarmRestarts(o, 3).step(-1), ValueError, "non-negative epoch"),
        (lambda s, o: s.CyclicLR(o, 0.1, [0.2]), ValueError, "max_lr must have the same length"),
        (lambda s, o: s.CyclicLR(o, 0.1, 0.2, mode="square"), ValueError, "scale_fn is None"),
        (lambda s, o: s.OneCycleLR(o, 0.1), ValueError, "total_steps OR"),
        (lambda s, o: s.OneCycleLR(o, 0.1, total_steps=0), ValueError, "positive integer total_steps"),
        (lambda s, o: s.OneCycleLR(o, 0.1, epochs=3, steps_per_epoch=-1), ValueError, "positive integer steps_per"),
        (lambda s, o: s.OneCycleLR(o, 0.1, 10, pct_start=2.0), ValueError, "pct_start"),
        (lambda s, o: s.OneCycleLR(o, 0.1, 10, anneal_strategy="step"), ValueError, "anneal_strategy"),
        (lambda s, o: s.ReduceLROnPlateau(o, factor=1.0), ValueError, "Factor should be < 1.0"),
        (lambda s, o: s.ReduceLROnPlateau(o, mode="mean"), ValueError, "mode mean is unknown"),
        (lambda s, o: s.ReduceLROnPlateau(o, threshold_mode="x"), ValueError, "threshold mode x is unknown"),
        (lambda s, o: s.ReduceLROnPlateau(o, min_lr=[0.1]), ValueError, "expected 2 min_lrs, got 1"),
        (lambda s, o: s.ChainedScheduler([]), ValueError, "at least one scheduler"),
        (lambda s, o: s.SequentialLR(o, [], []), ValueError, "at least one scheduler"),
        (lambda s, o: s.SequentialLR(o, [s.StepLR(o, 2)], [3]), ValueError, "milestones"),
        (lambda s, o: s.ChainedScheduler([s.ReduceLROnPlateau(o)]), ValueError, "ReduceLROnPlateau"),
        (lambda s, o: s.ChainedScheduler([3], o), TypeError, "should have `optimizer`"),
    ],
)
def test_refuses_as_torch_does(build, error, message):
    with pytest.raises(error, match=message):
        build(lr_scheduler, optimizer_of(optim))
    with pytest.raises(error):
        build(torch.optim.lr_scheduler, optimizer_of(torch.optim))


def test_refuses_schedules_of_another_optimizer():
    ours, other = optimizer_of(optim), optimizer_of(optim)
    parts = [lr_scheduler.StepLR(ours, 2), lr_scheduler.StepLR(other, 2)]
    with pytest.raises(ValueError, match="same optimizer"):
        lr_scheduler.ChainedScheduler(parts)
    with pytest.raises(ValueError, match="same optimizer"):
        lr_scheduler.SequentialLR(ours, parts, [3])
    with pytest.raises(ValueError, match="must support momentum or beta1"):
        lr_scheduler.CyclicLR(optimizer_of(optim, "Adagrad"), 0.1, 0.2)
    with pytest.raises(ValueError, match="Tried to step 4 times"):
        schedule = lr_scheduler.OneCycleLR(ours, 0.1, 3, cycle_momentum=False)
        ours.step()
        for _ in range(4):
            schedule.step()
