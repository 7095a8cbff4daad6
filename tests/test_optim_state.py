"""optim/: states that are saved, loaded and copied, and what is refused."""

import copy
import pickle

import numpy as np
import pytest
from helpers import same
from hotloop import nn, optim
from optimizers import RULES, parameters, set_gradients, steps, values


@pytest.fixture(params=RULES)
def rule(request):
    return RULES[request.param]


# ---- states


def test_a_restart_continues_bit_by_bit(rng, rule, tmp_path):
    params = parameters(rng)
    optimizer = rule(params)
    steps(rng, optimizer, params, 3)
    (tmp_path / "state").write_bytes(pickle.dumps((values(params), optimizer.state_dict())))
    saved, state = pickle.loads((tmp_path / "state").read_bytes())
    again = [nn.Parameter(v.copy()) for v in saved]
    successor = rule(again, lr=99.0)
    successor.load_state_dict(state)
    for _ in range(3):
        set_gradients(rng, params)
        for p, q in zip(params, again, strict=True):
            q.grad = p.grad.copy()
        optimizer.step()
        successor.step()
    for a, b in zip(values(params), values(again), strict=True):
        assert same(a, b)


def test_state_of_parameters_never_updated_is_empty(rng, rule):
    params = parameters(rng)
    optimizer = rule(params)
    assert optimizer.state_dict()["state"] == {} and optimizer.state == {}
    set_gradients(rng, params[1:2])
    optimizer.step()
    assert list(optimizer.state_dict()["state"]) == [1]


@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
def test_copies_are_independent(rng, rule, way):
    model = nn.Linear(3, 2)
    optimizer = rule(model.parameters())
    params = list(model.parameters())
    steps(rng, optimizer, params, 2)
    pair = (model, optimizer)
    twin, follower = copy.deepcopy(pair) if way == "deepcopy" else pickle.loads(pickle.dumps(pair))
    assert follower.param_groups[0]["params"][0] is twin.weight
    before = values(params)
    for p, q in zip(params, twin.parameters(), strict=True):
        p.grad = rng.standard_normal(p.shape).astype(np.float32)
        q.grad = p.grad.copy()
    follower.step()
    assert all(same(a, b) for a, b in zip(before, values(params), strict=True))
    optimizer.step()
    assert all(same(a, b) for a, b in zip(values(twin.parameters()), values(params), strict=True))


def test_a_state_that_does_not_fit_changes_nothing(rng):
    params = parameters(rng)
    optimizer = optim.Adam(params)
    steps(rng, optimizer, params)
    good = copy.deepcopy(optimizer.state_dict())
    bad = copy.deepcopy(good)
    bad["state"][2]["exp_avg"] = np.zeros(3, np.float32)
    bad["param_groups"][0]["lr"] = 5.0
    with pytest.raises(ValueError, match=r"parameter 2: exp_avg: expected shape \(2, 2\), got \(3,\)"):
        optimizer.load_state_dict(bad)
    for number, kept in optimizer.state_dict()["state"].items():
        for name, value in kept.items():
            assert same(np.asarray(value), np.asarray(good["state"][number][name]))
    assert optimizer.param_groups[0]["lr"] == 1e-3
    for options, error in (({"betas": (0.9,)}, ValueError), ({"lr": "fast"}, TypeError)):
        with pytest.raises(error, match=next(iter(options))):
            optimizer.load_state_dict({"state": {}, "param_groups": [{**good["param_groups"][0], "eps": 1, **options}]})
        assert optimizer.param_groups[0]["eps"] == 1e-8
    with pytest.raises(ValueError, match="different number of parameter groups: expected 1, got 0"):
        optimizer.load_state_dict({"state": {}, "param_groups": []})
    with pytest.raises(ValueError, match="expected 3 parameters, got 1"):
        optimizer.load_state_dict({"state": {}, "param_groups": [{"params": [0]}]})
    with pytest.raises(ValueError, match="param_groups"):
        optimizer.load_state_dict({"weights": 1})


# ---- errors


def test_refuses_what_is_no_parameter(rng, rule):
    with pytest.raises(ValueError, match="empty parameter list"):
        rule([])
    with pytest.raises(TypeError, match="one of the params is a ndarray"):
        rule([np.zeros(3)])
    with pytest.raises(TypeError, match="expected an iterable"):
        rule(nn.Parameter(np.zeros(3)))
    with pytest.raises(TypeError, match="set"):
        rule([{"params": set(parameters(rng))}])
    with pytest.raises(ValueError, match="non-leaf"):
        rule([nn.Parameter(np.zeros(3)) * 2])
    (p,) = parameters(rng, (2,))
    with pytest.raises(ValueError, match="twice"):
        rule([p, p])
    with pytest.raises(ValueError, match="more than one parameter group"):
        rule([{"params": [p]}, {"params": [p]}])
    with pytest.raises(TypeError, match="expected a dict, got list"):
        rule([p]).add_param_group([p])


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda p: optim.SGD(p, lr=-1), "Invalid learning rate: -1"),
        (lambda p: optim.SGD(p, lr=float("nan")), "Invalid learning rate: nan"),
        (lambda p: optim.SGD(p, momentum=-1), "Invalid momentum value: -1"),
        (lambda p: optim.SGD(p, weight_decay=-1), "Invalid weight_decay value: -1"),
        (lambda p: optim.SGD(p, nesterov=True), "Nesterov momentum requires a momentum and zero dampening"),
        (lambda p: optim.Adam(p, lr=-1), "Invalid learning rate: -1"),
        (lambda p: optim.Adam(p, eps=-1), "Invalid epsilon value: -1"),
        (lambda p: optim.Adam(p, betas=(0.9, 1)), "Invalid beta parameter at index 1: 1"),
        (lambda p: optim.Adam(p, betas=(0.9, 0.9, 0.9)), "two numbers"),
        (lambda p: optim.Adam([{"params": p, "lr": -2}]), "Invalid learning rate: -2"),
        (lambda p: optim.AdamW(p, weight_decay=-1), "Invalid weight_decay value: -1"),
        (lambda p: optim.Adagrad(p, lr_decay=-1), "Invalid lr_decay value: -1"),
        (lambda p: optim.Adagrad(p, initial_accumulator_value=-1), "Invalid initial_accumulator_value value: -1"),
        (lambda p: optim.RMSprop(p, alpha=-1), "Invalid alpha value: -1"),
        (lambda p: optim.Adadelta(p, rho=1.5), "Invalid rho value: 1.5"),
        (lambda p: optim.Adamax(p, betas=(1, 0.5)), "Invalid beta parameter at index 0: 1"),
        (lambda p: optim.NAdam(p, momentum_decay=-1), "Invalid momentum_decay value: -1"),
        (lambda p: optim.RAdam(p, betas=0.9), "betas: expected two numbers, got 0.9"),
        (lambda p: optim.ASGD(p, weight_decay=-1), "Invalid weight_decay value: -1"),
        (lambda p: optim.Rprop(p, etas=(0.5, 0.9)), "Invalid eta values: 0.5, 0.9"),
        (lambda p: optim.Rprop(p, step_sizes=1), "step_sizes: expected two numbers, got 1"),
        (lambda p: optim.LAMB(p, eps=-1), "Invalid epsilon value: -1"),
        (lambda p: optim.LARS(p, trust_coefficient=-1), "Invalid trust_coefficient value: -1"),
        (lambda p: optim.LARS(p, nesterov=True), "Nesterov momentum requires a momentum, got momentum 0"),
        (lambda p: optim.Lion(p, betas=(0.9, -0.1)), "Invalid beta parameter at index 1: -0.1"),
    ],
)
def test_refuses_options_out_of_range(rng, build, message):
    with pytest.raises(ValueError, match=message):
        build(parameters(rng))


def test_refuses_options_that_are_no_numbers(rng):
    optimizer = optim.Adam(parameters(rng))
    with pytest.raises(TypeError, match="lr: expected a number, got str"):
        optimizer.param_groups[0]["lr"] = "fast"
    with pytest.raises(ValueError, match="betas"):
        optimizer.param_groups[0]["betas"] = (0.9,)
    assert optimizer.param_groups[0]["betas"] == (0.9, 0.999)
