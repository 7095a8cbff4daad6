"""kernels/*/lbfgs and optim.LBFGS: step for step as torch, stop conditions, state."""

import copy
import pickle

import numpy as np
import pytest
from helpers import agree, close, same
from hotloop import nn, optim, tensor


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="torch is not installed")


# ---- kernels


@pytest.mark.parametrize("n", [0, 1, 17, 40_001])
def test_memory(backend, dtype, rng, n):
    grad, previous, d = (rng.standard_normal(n).astype(dtype) for _ in range(3))
    out = [np.empty(n, dtype), np.empty(n, dtype), np.empty(1), np.empty(2)]
    # a product of few numbers may cancel
    agree(backend, "lbfgs.memory_forward", *out, grad, previous, d, 0.3, tol=1e-4 if dtype == np.float32 else 1e-11)


@pytest.mark.parametrize("n", [0, 1, 17, 40_001])
@pytest.mark.parametrize("first, count", [(0, 0), (0, 1), (1, 2), (2, 4), (3, 4)])
def test_direction(backend, dtype, rng, n, first, count):
    grad = rng.standard_normal(n).astype(dtype)
    steps = rng.standard_normal((4, n)).astype(dtype)
    # pairs of a convex function: the recursion is well conditioned
    differences = (steps * rng.uniform(0.5, 2, n)).astype(dtype)
    rho = 1 / ((steps.astype(np.float64) * differences).sum(1) + 1e-30)
    agree(backend, "lbfgs.direction_forward", np.empty(n, dtype), grad, differences, steps, rho, first, count, 0.7)


@pytest.mark.parametrize("first, count", [(0, 5), (0, -1), (4, 1), (-1, 1)])
def test_direction_refuses_what_the_ring_does_not_hold(backend, first, count):
    ring = np.ones((4, 3), np.float32)
    with pytest.raises(ValueError, match="count <= M"):
        backend("lbfgs.direction_forward", ring[0].copy(), ring[0].copy(), ring, ring, np.ones(4), first, count, 1.0)


@pytest.mark.parametrize("n", [0, 17, 40_001])
def test_dot_and_move(backend, dtype, rng, n):
    x, d = (rng.standard_normal(n).astype(dtype) for _ in range(2))
    agree(backend, "lbfgs.dot_forward", np.empty(1), x, x)
    agree(backend, "lbfgs.move_forward", np.empty(n, dtype), x, d, 0.3)


# ---- beside torch


def rosenbrock(x):
    return ((1 - x[:-1]) ** 2 + 100 * (x[1:] - x[:-1] ** 2) ** 2).sum()


def ours(values, **options):
    """(parameters, optimizer, step, calls of the closure) of a chain of Rosenbrock valleys."""
    params = [nn.Parameter(np.array(value)) for value in values]
    optimizer = optim.LBFGS(params, **options)
    calls = []

    def closure():
        optimizer.zero_grad()
        loss = sum(rosenbrock(p) for p in params)
        loss.backward()
        calls.append(loss.item())
        return loss

    return params, optimizer, closure, calls


def theirs(torch, values, **options):
    params = [torch.nn.Parameter(torch.tensor(value)) for value in values]
    optimizer = torch.optim.LBFGS(params, **options)
    calls = []

    def closure():
        optimizer.zero_grad()
        loss = sum(rosenbrock(p) for p in params)
        loss.backward()
        calls.append(loss.item())
        return loss

    return params, optimizer, closure, calls


START = [np.array([-1.2, 1.0]), np.array([0.5, -0.5, 0.3])]
OPTIONS = [
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "max_iter": 4},
    {"line_search_fn": "strong_wolfe", "max_iter": 3, "history_size": 2, "lr": 0.5},
    {"line_search_fn": "strong_wolfe", "max_iter": 1, "history_size": 1},
    {"line_search_fn": "strong_wolfe", "max_iter": 10, "max_eval": 5, "tolerance_change": 1e-5},
    {"line_search_fn": "strong_wolfe", "lr": 30, "max_iter": 5},
    {"lr": 0.01, "max_iter": 5},
    {"lr": 0.02, "max_iter": 3, "history_size": 3, "tolerance_change": 1e-3},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_step_for_step_as_torch(torch, options):
    mine, optimizer, closure, calls = ours(START, **options)
    other, reference, their_closure, their_calls = theirs(torch, START, **options)
    # twenty iterations: quasi-Newton steps double a rounding each
    for step in range(20 // options.get("max_iter", 20)):
        assert abs(optimizer.step(closure).item() - reference.step(their_closure).item()) < 1e-10
        assert len(calls) == len(their_calls), f"step {step}"
        for a, b in zip(mine, other, strict=True):
            close(np.asarray(a), b.detach().numpy(), 1e-10, f"step {step}")
    # losses of points that were tried and left
    close(np.array(calls), np.array(their_calls), 1e-8)
    got, want = optimizer.state_dict()["state"][0], reference.state_dict()["state"][0]
    assert (got["n_iter"], got["func_evals"]) == (want["n_iter"], want["func_evals"])
    assert set(want) - set(got) <= {"al"} and len(got["old_dirs"]) == len(want["old_dirs"])
    assert set(optimizer.param_groups[0]) == set(reference.param_groups[0])


def test_a_small_network_as_torch(torch, rng):
    x, y = rng.standard_normal((40, 3)), rng.standard_normal((40, 1))
    model = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 1)).double()
    twin = torch.nn.Sequential(torch.nn.Linear(3, 6), torch.nn.Tanh(), torch.nn.Linear(6, 1)).double()
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        q.data.copy_(torch.tensor(np.array(p.data)))
    pairs = []
    for network, package, data in ((model, optim, (x, y)), (twin, torch.optim, (torch.tensor(x), torch.tensor(y)))):
        optimizer = package.LBFGS(network.parameters(), line_search_fn="strong_wolfe", max_iter=5)

        def closure(network=network, optimizer=optimizer, data=data):
            optimizer.zero_grad()
            loss = ((network(data[0]) - data[1]) ** 2).mean()
            loss.backward()
            return loss

        pairs.append((optimizer, closure))
    for _ in range(4):
        losses = [optimizer.step(closure).item() for optimizer, closure in pairs]
        assert abs(losses[0] - losses[1]) < 1e-10
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        close(np.asarray(p), q.detach().numpy(), 1e-10)


def test_continues_torch_s_state(torch):
    options = {"line_search_fn": "strong_wolfe", "max_iter": 3, "history_size": 4}
    other, reference, their_closure, _ = theirs(torch, START, **options)
    for _ in range(3):
        reference.step(their_closure)
    mine, optimizer, closure, _ = ours([p.detach().numpy() for p in other])
    optimizer.load_state_dict(reference.state_dict())
    assert optimizer.param_groups[0]["history_size"] == 4
    for _ in range(3):
        optimizer.step(closure)
        reference.step(their_closure)
    for a, b in zip(mine, other, strict=True):
        close(np.asarray(a), b.detach().numpy(), 1e-10)


# ---- on its own


def test_rosenbrock_is_solved():
    params, optimizer, closure, _ = ours(START[:1], line_search_fn="strong_wolfe", tolerance_change=1e-14)
    for _ in range(3):
        optimizer.step(closure)
    close(params[0].numpy(), np.ones(2), 1e-8)


def test_stops():
    _, optimizer, closure, calls = ours([np.ones(2)])
    optimizer.step(closure)
    # the gradient is zero
    assert len(calls) == 1 and optimizer.state_dict()["state"][0] == {"func_evals": 1, "n_iter": 0}
    _, optimizer, closure, calls = ours(START, max_iter=50, max_eval=7, line_search_fn="strong_wolfe")
    optimizer.step(closure)
    assert len(calls) == 7
    _, optimizer, closure, calls = ours(START, lr=1e-3, max_iter=6)
    optimizer.step(closure)
    assert len(calls) == 6
    _, optimizer, closure, calls = ours(START, lr=1e-12, max_iter=6)
    optimizer.step(closure)
    # nothing moves
    assert len(calls) == 2


def test_a_loss_that_is_no_number_is_not_taken():
    x = nn.Parameter(np.array([1.0]))
    optimizer = optim.LBFGS([x], lr=10, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        # beyond 0 there is no logarithm
        loss = (x - x.log()).sum() * 3 + x.sum() * 3
        loss.backward()
        return loss

    for _ in range(5):
        optimizer.step(closure)
    close(x.numpy(), np.array([0.5]), 1e-6)


def test_parameters_without_gradients_stay():
    params, optimizer, closure, _ = ours([*START, np.zeros(3)], line_search_fn="strong_wolfe")
    still = nn.Parameter(np.array([7.0]))
    optimizer = optim.LBFGS([params[0], still, params[1]], line_search_fn="strong_wolfe")
    optimizer.step(closure)
    assert still.item() == 7 and params[0].numpy()[0] != START[0][0]


@pytest.mark.parametrize("line_search_fn", [None, "strong_wolfe"])
@pytest.mark.parametrize("way", ["load", "pickle", "deepcopy"])
def test_a_restart_continues_bit_by_bit(way, line_search_fn):
    options = {"line_search_fn": line_search_fn, "max_iter": 2, "history_size": 3, "lr": 0.02}
    params, optimizer, closure, _ = ours(START, **options)
    for _ in range(3):
        optimizer.step(closure)
    if way == "load":
        again, follower, follow, _ = ours([p.numpy() for p in params])
        follower.load_state_dict(pickle.loads(pickle.dumps(optimizer.state_dict())))
    else:
        pair = (params, optimizer)
        again, follower = copy.deepcopy(pair) if way == "deepcopy" else pickle.loads(pickle.dumps(pair))

        def follow():
            follower.zero_grad()
            loss = sum(rosenbrock(p) for p in again)
            loss.backward()
            return loss

    for _ in range(3):
        optimizer.step(closure)
        follower.step(follow)
    for a, b in zip(params, again, strict=True):
        assert same(a.numpy(), b.numpy())


def test_the_history_may_grow_and_shrink():
    params, optimizer, closure, _ = ours(START, line_search_fn="strong_wolfe", max_iter=3, max_eval=30, history_size=3)
    for size in (3, 5, 2, 4):
        optimizer.param_groups[0]["history_size"] = size
        optimizer.step(closure)
        optimizer.step(closure)
        assert len(optimizer.state_dict()["state"][0]["old_dirs"]) == size
    assert rosenbrock(params[0].numpy()) < 5


def test_float32_and_a_moved_model(rng):
    model = nn.Linear(3, 1)
    optimizer = optim.LBFGS(model.parameters(), line_search_fn="strong_wolfe", tolerance_change=1e-14)
    x, w = rng.standard_normal((30, 3)), np.array([[1.0, -2.0, 3.0]])

    def closure():
        optimizer.zero_grad()
        data = x.astype(model.weight.dtype)
        loss = ((model(data) - tensor((x @ w.T + 0.5).astype(data.dtype))) ** 2).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    close(model.weight.numpy(), w, 1e-4)
    model.double()
    optimizer.step(closure)
    assert model.weight.dtype == np.float64
    close(model.weight.numpy(), w, 1e-6)


def test_refuses():
    params = [nn.Parameter(np.zeros(2)), nn.Parameter(np.zeros(2, np.float32))]
    with pytest.raises(TypeError, match="closure"):
        optim.LBFGS(params[:1]).step()
    with pytest.raises(TypeError, match="closure to return the loss, got None"):
        optim.LBFGS(params[:1]).step(lambda: None)
    with pytest.raises(ValueError, match="expected one group"):
        optim.LBFGS([{"params": params[:1]}, {"params": params[1:]}])
    with pytest.raises(ValueError, match="2 kinds"):
        optim.LBFGS(params).step(lambda: 0.0)
    for options, message in (
        ({"lr": -1}, "Invalid learning rate: -1"),
        ({"history_size": 0}, "history_size"),
        ({"max_iter": 2.5}, "max_iter"),
        ({"line_search_fn": "armijo"}, "expected None or 'strong_wolfe', got 'armijo'"),
    ):
        with pytest.raises(ValueError, match=message):
            optim.LBFGS(params[:1], **options)
    _, optimizer, closure, _ = ours(START)
    optimizer.step(closure)
    state = copy.deepcopy(optimizer.state_dict())
    state["state"][0]["d"] = np.zeros(3)
    with pytest.raises(ValueError, match="d: expected 5 numbers, got 3"):
        optimizer.load_state_dict(state)
