"""optim/: flat buffers, parameters that move, groups. The formulas are compared in test_optim_parity."""

import copy
import gc
import tracemalloc

import hotloop
import numpy as np
import pytest
from helpers import close, require_cuda, same
from hotloop import nn, optim
from hotloop.nn.doors import from_host, to_host
from hotloop.nn.tape import no_grad
from optimizers import RULES, address, parameters, set_gradients, steps, values


@pytest.fixture(params=RULES)
def rule(request):
    return RULES[request.param]


# ---- flat buffers


def test_parameters_lie_side_by_side(rng, rule):
    params = parameters(rng)
    before = values(params)
    rule(params)
    first = address(params[0])
    assert [address(p) - first for p in params] == [0, 64, 128]
    assert first % 64 == 0
    for p, value in zip(params, before, strict=True):
        assert same(p.numpy(), value)


def test_dtypes_have_their_own_buffers(rng, rule):
    params = [*parameters(rng, (4,), (3,)), *parameters(rng, (4,), (3,), dtype=np.float64)]
    params = [params[0], params[2], params[1], params[3]]
    optimizer = rule(params)
    assert address(params[2]) - address(params[0]) == 64 and address(params[3]) - address(params[1]) == 64
    steps(rng, optimizer, params)
    assert [p.dtype for p in params] == [np.float32, np.float64] * 2


def test_one_kernel_call_a_step(rng, rule):
    params = parameters(rng)
    optimizer = rule(params)
    steps(rng, optimizer, params)
    (block,) = optimizer.param_groups[0].blocks
    if isinstance(optimizer, (optim.LAMB, optim.LARS, optim.Adafactor)):
        # these take norms: one call a parameter
        assert len(block.runs) == 3
        return
    assert len(block.runs) == 1
    params[1].grad = None
    optimizer.step()
    assert len(block.runs) == 2
    steps(rng, optimizer, params)
    # the middle one is a step behind now, which a bias correction sees
    apart = optimizer.alike((1.0, 1.0, 1.0)) != optimizer.alike((2.0, 1.0, 1.0))
    assert len(block.runs) == (3 if apart else 1)


def test_padding_stays_zero(rng, rule):
    params = parameters(rng)
    optimizer = rule(params, weight_decay=0.1)
    steps(rng, optimizer, params, 3)
    flat = optimizer.param_groups[0].blocks[0].places[0].flat
    mask = np.ones(flat.data.size, bool)
    for place in optimizer.param_groups[0].blocks[0].places:
        mask[place.begin : place.begin + place.data.size] = False
    assert not flat.data[mask].any() and not flat.grad[mask].any() and mask.any()


def test_data_and_grad_are_assigned_into_the_slice(rng, rule):
    params = parameters(rng)
    optimizer = rule(params)
    before = address(params[0])
    params[0].data = np.ones((3, 5), np.float32)
    assert address(params[0]) == before
    gradient = np.ones((3, 5), np.float32)
    params[0].grad = gradient
    optimizer.step()
    gradient[...] = 7
    assert (params[0].grad == 1).all()


def test_gradients_from_before_the_optimizer_count(rng, rule):
    params = parameters(rng)
    set_gradients(rng, params)
    wanted = [p.grad.copy() for p in params]
    optimizer = rule(params)
    for p, gradient in zip(params, wanted, strict=True):
        assert same(p.grad, gradient)
    before = values(params)
    optimizer.step()
    assert all((a != b).all() for a, b in zip(before, values(params), strict=True))


def test_backward_writes_where_step_reads(rng, rule):
    hotloop.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = rule(model.parameters())
    x = rng.standard_normal((8, 4)).astype(np.float32)
    for _ in range(2):
        optimizer.zero_grad()
        assert model.weight.grad is None
        (model(x) ** 2).sum().backward()
        before = values(model.parameters())
        optimizer.step()
        assert all((a != b).any() for a, b in zip(before, values(model.parameters()), strict=True))
    (block,) = optimizer.param_groups[0].blocks
    assert block.places[0].grad is model.weight.grad or np.shares_memory(block.places[0].grad, model.weight.grad)


def test_a_step_between_forward_and_backward_is_an_error(rng, rule):
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 1))
    optimizer = rule(model.parameters())
    x = rng.standard_normal((8, 4)).astype(np.float32)
    model(x).sum().backward()
    late = model(x).sum()
    optimizer.step()
    with pytest.raises(RuntimeError, match="changed in place"):
        late.backward()


def test_a_step_allocates_nothing(rng, rule):
    params = parameters(rng, (300, 300), (300,), (7,))
    optimizer = rule(params)
    steps(rng, optimizer, params, 3)
    gc.collect()
    tracemalloc.start()
    left, peak = [], []
    for _ in range(51):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        optimizer.step()
        after, top = tracemalloc.get_traced_memory()
        left.append(after - before)
        peak.append(top - before)
    tracemalloc.stop()
    # what a step allocates it allocates in each; another thread of the tests allocates in a few
    assert np.median(left) == 0 and np.median(peak) < 8192, (left, peak)


def test_zero_grad(rng, rule):
    params = parameters(rng)
    optimizer = rule(params)
    set_gradients(rng, params[:2])
    optimizer.zero_grad(set_to_none=False)
    assert not params[0].grad.any() and not params[1].grad.any() and params[2].grad is None
    optimizer.zero_grad()
    assert all(p.grad is None for p in params)


def test_nan_stays_in_its_parameter(rng, rule):
    params = parameters(rng)
    optimizer = rule(params)
    set_gradients(rng, params)
    params[1].grad = np.full(5, np.nan, np.float32)
    optimizer.step()
    assert [np.isnan(v).sum() for v in values(params)] == [0, 5, 0]


def test_empty_parameters(rng, rule):
    params = parameters(rng, (0, 3), (2,), (0,))
    optimizer = rule(params)
    steps(rng, optimizer, params, 2)
    assert params[0].shape == (0, 3)


# ---- moved parameters


def test_double_moves_parameters_and_state(rng, rule):
    model = nn.Linear(4, 3)
    optimizer = rule(model.parameters())
    twin = copy.deepcopy(model).double()
    other = rule(twin.parameters())
    x = rng.standard_normal((8, 4))
    for step in range(6):
        if step == 3:
            model.double()
        for m, o in ((model, optimizer), (twin, other)):
            o.zero_grad()
            (m(x.astype(m.weight.dtype)) ** 2).mean().backward()
            o.step()
    assert model.weight.dtype == np.float64
    close(model.weight.numpy(), twin.weight.numpy(), 1e-4)
    kept = optimizer.state[model.weight]
    assert all(v.dtype == np.float64 for v in kept.values())


def test_a_second_optimizer_shares_the_buffer(rng):
    params = parameters(rng)
    first = optim.SGD(params, lr=0.1)
    before = address(params[0])
    second = optim.Adam(params, lr=0.1)
    assert address(params[0]) == before
    # and one of more parameters moves them once
    more = [*params, *parameters(rng, (3,))]
    third = optim.SGD(more, lr=0.5)
    assert address(params[0]) != before
    after = [address(p) for p in more]
    for optimizer in (first, second, third, first):
        optimizer.zero_grad()
        set_gradients(rng, more)
        old, gradients = values(more), [p.grad.copy() for p in more]
        optimizer.step()
        assert [address(p) for p in more] == after
        if optimizer is first:
            for p, v, g in zip(params, old, gradients, strict=False):
                close(p.numpy(), v - np.float32(0.1) * g)


def test_lazy_parameters_join_when_they_have_a_shape(rng, rule):
    model = nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 1))
    optimizer = rule(model.parameters())
    x = rng.standard_normal((8, 4)).astype(np.float32)
    for _ in range(2):
        optimizer.zero_grad()
        model(x).sum().backward()
        before = values(model.parameters())
        optimizer.step()
        assert all((a != b).any() for a, b in zip(before, values(model.parameters()), strict=True))
    assert len(optimizer.state) == 4


def test_on_cuda_as_on_the_cpu(rng):
    require_cuda()
    here = parameters(rng, (3, 4), (4,))
    there = [nn.Parameter(from_host(v, "cuda")) for v in values(here)]
    pairs = [(params, optim.SGD(params, lr=0.1, momentum=0.9)) for params in (here, there)]
    for step in range(4):
        gradients = [rng.standard_normal(p.shape).astype(np.float32) for p in here]
        for params, optimizer in pairs:
            for p, gradient in zip(params, gradients, strict=True):
                p.grad = from_host(gradient, p.device)
            if step == 2:
                params[0].grad = None
            optimizer.step()
            optimizer.param_groups[0]["lr"] *= 0.5
    assert all(p.device == "cuda" for p in there)
    for p, q in zip(here, there, strict=True):
        close(to_host(q.data), p.numpy())
    # and the state of one continues the other
    pairs[0][1].load_state_dict(pairs[1][1].state_dict())
    pairs[1][1].load_state_dict(pairs[0][1].state_dict())
    close(
        to_host(pairs[1][1].state[there[0]]["momentum_buffer"].data),
        pairs[0][1].state[here[0]]["momentum_buffer"].numpy(),
    )


@pytest.mark.process(__file__, "-k", "test_on_cuda", env={"NUMBA_ENABLE_CUDASIM": "1"}, needs="numba_cuda")
def test_in_the_cuda_simulator(process):
    process()


# ---- groups


def test_lr_is_read_by_the_kernel_that_was_planned(rng):
    (p,) = parameters(rng, (4,))
    optimizer = optim.SGD([p], lr=0.5)
    p.grad = np.ones(4, np.float32)
    optimizer.step()
    run = optimizer.param_groups[0].blocks[0].runs
    before = p.numpy().copy()
    optimizer.param_groups[0]["lr"] = 0.25
    optimizer.step()
    assert optimizer.param_groups[0].blocks[0].runs is run
    assert optimizer.param_groups[0]["lr"] == 0.25
    close(p.numpy(), before - np.float32(0.25))


def test_named_parameters(rng, rule):
    model = nn.Linear(2, 2)
    optimizer = rule(model.named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    with pytest.raises(ValueError, match="names"):
        optimizer.add_param_group({"params": parameters(rng)})


def test_closure(rng, rule):
    model = nn.Linear(2, 1)
    optimizer = rule(model.parameters())

    def closure():
        optimizer.zero_grad()
        loss = (model(np.ones((4, 2), np.float32)) ** 2).sum()
        loss.backward()
        return loss

    with no_grad():
        first, second = optimizer.step(closure), optimizer.step(closure)
    assert first.item() != second.item()


def test_repr(rng):
    text = repr(optim.SGD(parameters(rng), lr=0.5))
    assert text.startswith("SGD (\nParameter Group 0\n    dampening: 0\n    lr: 0.5\n") and text.endswith(")")
