"""optim/shaping: clipping and penalties in the pass, the same as before it; gradients stay as they were."""

import copy

import numpy as np
import pytest
from helpers import close, same
from hotloop import nn, optim
from optimizers import RULES, parameters, set_gradients, values

SHAPED = [name for name in RULES if name != "adafactor"]


def twins(rng, name, **options):
    params = parameters(rng, dtype=np.float64)
    again = [nn.Parameter(v.copy()) for v in values(params)]
    return params, RULES[name](params, **options), again, RULES[name](again)


def run(rng, ours, optimizer, twins, reference, before, count=3):
    """Steps of both; what the options do is done to the twins' gradients by `before`."""
    for _ in range(count):
        set_gradients(rng, ours)
        kept = [p.grad.copy() for p in ours]
        for p, q in zip(ours, twins, strict=True):
            q.grad = p.grad.copy()
        before(twins)
        optimizer.step()
        reference.step()
        for p, q, g in zip(ours, twins, kept, strict=True):
            close(p.numpy(), q.numpy(), 1e-11)
            assert same(p.grad, g)


@pytest.mark.parametrize("name", SHAPED)
def test_clipvalue(rng, name):
    run(rng, *twins(rng, name, clipvalue=0.5), lambda params: nn.utils.clip_grad_value_(params, 0.5))


@pytest.mark.parametrize("name", SHAPED)
def test_global_clipnorm(rng, name):
    run(rng, *twins(rng, name, global_clipnorm=0.7), lambda params: nn.utils.clip_grad_norm_(params, 0.7))


@pytest.mark.parametrize("name", SHAPED)
def test_l1(rng, name):
    def penalise(params):
        for p in params:
            p.grad = p.grad + 0.1 * np.sign(p.numpy())

    run(rng, *twins(rng, name, l1=0.1), penalise)


def test_all_of_them_and_an_elastic_net(rng):
    ours, optimizer, again, _ = twins(rng, "sgd", global_clipnorm=2.0, clipvalue=0.4, l1=0.1, weight_decay=0.3)

    def before(params):
        nn.utils.clip_grad_norm_(params, 2.0)
        nn.utils.clip_grad_value_(params, 0.4)
        for p in params:
            p.grad = p.grad + 0.1 * np.sign(p.numpy())

    run(rng, ours, optimizer, again, RULES["sgd"](again, weight_decay=0.3), before)


def test_the_norm_is_that_of_the_groups_that_have_the_option(rng):
    shapes = [(3, 5), (40,), (2, 2), (7,)]
    ours = [*parameters(rng, *shapes[:2]), *parameters(rng, *shapes[2:], dtype=np.float64)]
    again = [nn.Parameter(v.copy()) for v in values(ours)]

    def build(params, first, second):
        return optim.SGD(
            [{"params": params[:1], **first}, {"params": params[1:3], **second}, {"params": params[3:]}], lr=0.5
        )

    optimizer, reference = build(ours, {"global_clipnorm": 1.0}, {"global_clipnorm": 3.0}), build(again, {}, {})
    set_gradients(rng, ours)
    ours[1].grad = None
    for p, q in zip(ours, again, strict=True):
        q.grad = None if p.grad is None else p.grad.copy()
    norm = np.sqrt(sum((p.grad.astype(np.float64) ** 2).sum() for p in (ours[0], ours[2])))
    for q, limit in ((again[0], 1.0), (again[2], 3.0)):
        q.grad = (q.grad * min(1, limit / (norm + 1e-6))).astype(q.dtype)
    optimizer.step()
    reference.step()
    for p, q in zip(ours, again, strict=True):
        close(p.numpy(), q.numpy(), 1e-6)


def test_options_may_come_and_go(rng):
    (p,) = parameters(rng, (4,), dtype=np.float64)
    optimizer = optim.SGD([p], lr=1.0)
    group = optimizer.param_groups[0]
    p.grad = np.full(4, 3.0)
    for options, size in (({}, 3.0), ({"clipvalue": 1.0}, 1.0), ({"clipvalue": 0.5}, 0.5), ({"clipvalue": None}, 3.0)):
        group.update(options)
        before = p.numpy().copy()
        optimizer.step()
        close(before - p.numpy(), np.full(4, size), 1e-12)
    group["global_clipnorm"] = 2.0
    for lr in (1.0, 0.5):
        group["lr"] = lr
        before = p.numpy().copy()
        optimizer.step()
        close(before - p.numpy(), np.full(4, lr), 1e-6)
    assert group["lr"] == 0.5


def test_state_carries_them(rng):
    params = parameters(rng)
    optimizer = optim.Adam(params, clipvalue=0.5, constraint=optim.constraints.NonNeg())
    set_gradients(rng, params)
    optimizer.step()
    follower = optim.Adam([nn.Parameter(v.copy()) for v in values(params)])
    follower.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert follower.param_groups[0]["clipvalue"] == 0.5
    # and what has none keeps torch's form
    assert not set(optim.Adam(parameters(rng)).param_groups[0]) & {"clipvalue", "global_clipnorm", "l1", "constraint"}


def test_step_may_drop_the_gradients(rng):
    for make in (RULES["adam"], lambda p: optim.Lookahead(optim.SGD(p)), optim.AdamWScheduleFree, optim.LBFGS):
        params = parameters(rng)
        optimizer = make(params)
        set_gradients(rng, params)
        optimizer.step(lambda: 0.0)
        assert all(p.grad is not None for p in params)
        optimizer.step(lambda: 0.0, zero_grad=True)
        assert all(p.grad is None for p in params)


def test_an_l1_penalty_makes_zeros(rng):
    """Least squares with a penalty: what says nothing comes to rest near zero."""
    a = rng.standard_normal((50, 6))
    b = a[:, 0] * 3
    p = nn.Parameter(np.ones(6))
    optimizer = optim.SGD([p], lr=0.02, l1=1.0)
    for _ in range(300):
        p.grad = 2 * a.T @ (a @ p.numpy() - b) / 50
        optimizer.step()
    assert 2 < p.numpy()[0] < 3 and np.abs(p.numpy()[1:]).max() < 0.05


def test_refuses(rng):
    params = parameters(rng)
    for options, message in (
        ({"clipvalue": -1}, "Invalid clipvalue value: -1"),
        ({"global_clipnorm": 0}, "Invalid global_clipnorm value: 0"),
        ({"l1": -0.1}, "Invalid l1 value: -0.1"),
    ):
        with pytest.raises(ValueError, match=message):
            optim.SGD(params, **options)
    with pytest.raises(TypeError, match="unexpected keyword argument 'clipnorm'"):
        optim.SGD(params, clipnorm=1.0)
    with pytest.raises(ValueError, match="Adafactor does not support clipvalue"):
        optim.Adafactor([{"params": params, "clipvalue": 1.0}])
    # nor may they be set later
    with pytest.raises(ValueError, match="Adafactor does not support clipvalue"):
        optim.Adafactor(params).param_groups[0]["clipvalue"] = 1.0
    with pytest.raises(ValueError, match="Invalid l1 value: -1"):
        optim.SGD(params).param_groups[0]["l1"] = -1
    table = nn.Embedding(5, 3, sparse=True)
    optimizer = optim.SGD(table.parameters(), clipvalue=1.0)
    table(np.array([1, 2])).sum().backward()
    with pytest.raises(ValueError, match="sparse gradients do not support"):
        optimizer.step()
