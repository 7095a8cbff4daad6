"""optim.Lookahead: cycles by the paper, around any optimizer; state, copies, what is refused."""

import copy
import pickle

import numpy as np
import pytest
from helpers import close, same
from hotloop import nn, optim
from optimizers import parameters, set_gradients, steps, values


@pytest.mark.parametrize("k, alpha", [(1, 0.5), (3, 0.8), (5, 0.0), (4, 1.0)])
def test_twenty_steps(rng, k, alpha):
    ours = parameters(rng, dtype=np.float64)
    twins = [nn.Parameter(v.copy()) for v in values(ours)]
    optimizer, fast = optim.Lookahead(optim.Adam(ours, lr=0.1), k, alpha), optim.Adam(twins, lr=0.1)
    slow = values(twins)
    for step in range(20):
        set_gradients(rng, ours)
        for p, q in zip(ours, twins, strict=True):
            q.grad = p.grad.copy()
        optimizer.step()
        fast.step()
        if (step + 1) % k == 0:
            slow = [s + alpha * (q.numpy() - s) for s, q in zip(slow, twins, strict=True)]
            for q, s in zip(twins, slow, strict=True):
                q.data = s
        for p, q in zip(ours, twins, strict=True):
            close(p.numpy(), q.numpy(), 1e-12)


@pytest.mark.parametrize("made", [3, 4, 5])
@pytest.mark.parametrize("way", ["load", "deepcopy", "pickle"])
def test_a_restart_continues_bit_by_bit(rng, way, made):
    params = parameters(rng)
    optimizer = optim.Lookahead(optim.SGD(params, lr=0.1, momentum=0.9), k=4)
    steps(rng, optimizer, params, made)
    if way == "load":
        again = [nn.Parameter(v.copy()) for v in values(params)]
        follower = optim.Lookahead(optim.SGD(again, lr=7.0), k=4)
        follower.load_state_dict(pickle.loads(pickle.dumps(optimizer.state_dict())))
    else:
        pair = (params, optimizer)
        again, follower = copy.deepcopy(pair) if way == "deepcopy" else pickle.loads(pickle.dumps(pair))
    for _ in range(6):
        set_gradients(rng, params)
        for p, q in zip(params, again, strict=True):
            q.grad = p.grad.copy()
        optimizer.step()
        follower.step()
    assert all(same(a, b) for a, b in zip(values(params), values(again), strict=True))


def test_is_an_optimizer(rng):
    model = nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 1))
    optimizer = optim.Lookahead(optim.SGD(model.parameters(), lr=0.1), k=2)
    schedule = optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    x = rng.standard_normal((8, 4)).astype(np.float32)
    extra = nn.Parameter(np.ones(3, np.float32))
    for step in range(5):
        optimizer.zero_grad()
        assert model[1].weight.grad is None
        loss = optimizer.step(lambda: model(x).sum().backward() or 3.0)
        assert loss == 3.0
        schedule.step()
        if step == 2:
            # in the middle of a cycle: it joins with the next
            optimizer.add_param_group({"params": [extra], "lr": 0.5})
            schedule.base_lrs.append(0.5)
    assert optimizer.param_groups[0]["lr"] == 0.1 / 32
    assert repr(optimizer).startswith("Lookahead (k: 2, alpha: 0.5)\nSGD (")


def test_a_model_that_moves_in_a_cycle(rng):
    model = nn.Linear(3, 2)
    optimizer = optim.Lookahead(optim.SGD(model.parameters(), lr=0.1), k=2)
    before = model.weight.numpy().copy()
    for _ in range(2):
        steps(rng, optimizer, list(model.parameters()))
        model.double()
    assert model.weight.dtype == np.float64 and (model.weight.numpy() != before).all()


def test_refuses(rng):
    params = parameters(rng)
    with pytest.raises(TypeError, match="expected an Optimizer to wrap, got a list"):
        optim.Lookahead(params)
    with pytest.raises(ValueError, match="Invalid k value: 0"):
        optim.Lookahead(optim.SGD(params), k=0)
    with pytest.raises(ValueError, match="Invalid alpha value: 2"):
        optim.Lookahead(optim.SGD(params), alpha=2)
    optimizer = optim.Lookahead(optim.SGD(params))
    with pytest.raises(ValueError, match="'optimizer', 'count' and 'slow'"):
        optimizer.load_state_dict(optim.SGD(params).state_dict())
    steps(rng, optimizer, params, 2)
    state = copy.deepcopy(optimizer.state_dict())
    state["slow"][1] = np.zeros(4)
    with pytest.raises(ValueError, match=r"slow weights 1: expected \(5,\), got \(4,\)"):
        optimizer.load_state_dict(state)
