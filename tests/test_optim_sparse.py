"""Optimizers of tables with gradients of few rows: against PyTorch, states, who refuses them."""

import copy

import numpy as np
import pytest
from helpers import close
from hotloop import nn, optim
from optimizers import RULES

IDS = [[1, 2, 2, 5], [5, 0, 1, 1], [7, 7, 7, 7], [0, 3, 2, 6]]


def torch_of():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


def loss_of(layer, ids, target):
    return ((layer(ids) - target) ** 2).sum()


def steps(layer, optimizer, count, rng, to=lambda x: x):
    """Train for a while on ids that change."""
    for step in range(count):
        ids, target = np.array(IDS[step % len(IDS)]), rng.standard_normal((4, 3))
        optimizer.zero_grad()
        loss_of(layer, to(ids), to(target)).backward()
        optimizer.step()


def pair(torch, seed=3):
    w = np.random.default_rng(seed).standard_normal((8, 3))
    ours = nn.Embedding(8, 3, sparse=True, _weight=w.copy())
    theirs = torch.nn.Embedding(8, 3, sparse=True, _weight=torch.tensor(w))
    return ours, theirs


@pytest.mark.parametrize(
    "options",
    [{}, dict(lr=0.1, betas=(0.7, 0.9), eps=1e-3), dict(lr=0.1, maximize=True)],
    ids=["defaults", "options", "maximize"],
)
def test_sparse_adam_as_torch(options):
    torch = torch_of()
    ours, theirs = pair(torch)
    here, there = optim.SparseAdam(ours.parameters(), **options), torch.optim.SparseAdam(theirs.parameters(), **options)
    steps(ours, here, 20, np.random.default_rng(1))
    steps(theirs, there, 20, np.random.default_rng(1), torch.tensor)
    close(ours.weight.numpy(), theirs.weight.detach().numpy(), 1e-10)
    got, want = here.state_dict(), there.state_dict()
    assert list(got["param_groups"][0]) == list(want["param_groups"][0])
    assert list(got["state"][0]) == list(want["state"][0])
    assert float(got["state"][0]["step"]) == want["state"][0]["step"] == 20
    for name in ("exp_avg", "exp_avg_sq"):
        close(got["state"][0][name].numpy(), want["state"][0][name].numpy(), 1e-10)
    # its state continues here
    again = nn.Embedding(8, 3, sparse=True, _weight=theirs.weight.detach().numpy().copy())
    other = optim.SparseAdam(again.parameters())
    other.load_state_dict(want)
    steps(again, other, 3, np.random.default_rng(2))
    steps(theirs, there, 3, np.random.default_rng(2), torch.tensor)
    close(again.weight.numpy(), theirs.weight.detach().numpy(), 1e-10)


@pytest.mark.parametrize(
    "options",
    [{}, dict(maximize=True), dict(momentum=0.9, dampening=0.3), dict(momentum=0.9, nesterov=True)],
    ids=["plain", "maximize", "momentum", "nesterov"],
)
def test_sgd_as_torch_and_as_with_whole_gradients(options):
    torch = torch_of()
    ours, theirs = pair(torch)
    whole = nn.Embedding(8, 3, _weight=ours.weight.numpy().copy())
    for layer, library, to in (
        (ours, optim, np.asarray),
        (whole, optim, np.asarray),
        (theirs, torch.optim, torch.tensor),
    ):
        steps(layer, library.SGD(layer.parameters(), lr=0.05, **options), 20, np.random.default_rng(1), to)
    close(ours.weight.numpy(), theirs.weight.detach().numpy(), 1e-10)
    close(ours.weight.numpy(), whole.weight.numpy(), 1e-13)


def test_momentum_of_torch_is_taken():
    """Theirs is a sparse tensor."""
    torch = torch_of()
    ours, theirs = pair(torch)
    here, there = optim.SGD(ours.parameters()), torch.optim.SGD(theirs.parameters(), lr=0.05, momentum=0.9)
    steps(theirs, there, 2, np.random.default_rng(1), torch.tensor)
    assert there.state_dict()["state"][0]["momentum_buffer"].is_sparse
    ours.load_state_dict(theirs.state_dict())
    here.load_state_dict(there.state_dict())
    steps(ours, here, 3, np.random.default_rng(2))
    steps(theirs, there, 3, np.random.default_rng(2), torch.tensor)
    close(ours.weight.numpy(), theirs.weight.detach().numpy(), 1e-13)


def test_sgd_with_weight_decay_is_refused():
    layer = nn.Embedding(8, 3, sparse=True)
    before = layer.weight.numpy().copy()
    layer(np.array([1])).sum().backward()
    with pytest.raises(ValueError, match="weight_decay is not compatible with sparse gradients"):
        optim.SGD(layer.parameters(), weight_decay=0.1).step()
    assert (layer.weight.numpy() == before).all()


class Model(nn.Module):
    """A table and a matrix."""

    def __init__(self, sparse=True):
        super().__init__()
        self.table, self.matrix = nn.Embedding(8, 3, sparse=sparse), nn.Linear(3, 2)

    def forward(self, ids):
        return self.matrix(self.table(ids))


def train(model, optimizer, count=5):
    for step in range(count):
        optimizer.zero_grad()
        (model(np.array(IDS[step % len(IDS)])) ** 2).sum().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()


def twins():
    sparse, whole = Model(), Model(False)
    whole.load_state_dict(sparse.state_dict())
    return sparse, whole


def same_parameters(a, b):
    for one, other in zip(a.parameters(), b.parameters(), strict=True):
        close(one.numpy(), other.numpy())


def test_beside_other_parameters():
    """A table lies in no flat buffer: there is no room for a gradient of all its rows."""
    sparse, whole = twins()
    optimizer = optim.SGD(sparse.parameters(), lr=0.1, momentum=0.9)
    train(sparse, optimizer)
    train(whole, optim.SGD(whole.parameters(), lr=0.1, momentum=0.9))
    same_parameters(sparse, whole)
    assert sparse.table.weight._place is None and sparse.matrix.weight._place is not None
    assert isinstance(sparse.table.weight.grad, nn.SparseGradient)
    # the state of all, in the order of the parameters
    saved = copy.deepcopy(optimizer.state_dict())
    assert [state["momentum_buffer"].shape for state in saved["state"].values()] == [(8, 3), (2, 3), (2,)]
    fresh = Model()
    fresh.load_state_dict(sparse.state_dict())
    other = optim.SGD(fresh.parameters(), lr=0.1, momentum=0.9)
    other.load_state_dict(saved)
    train(fresh, other)
    train(sparse, optimizer)
    same_parameters(fresh, sparse)


@pytest.mark.parametrize("marked", [False, True], ids=["by function", "by layer"])
def test_gradients_that_change_their_kind(marked):
    """Rows, then whole, then rows again, or none: the momentum goes on."""
    models = twins()
    if not marked:
        models[0].table.weight._by_rows = False
    optimizers = [optim.SGD(model.parameters(), lr=0.1, momentum=0.9) for model in models]
    for kind in ("rows", "whole", "rows", "none", "rows"):
        for model, optimizer, by_rows in zip(models, optimizers, (True, False), strict=True):
            table = model.table.weight
            optimizer.zero_grad()
            model.matrix.weight.grad = np.ones((2, 3), np.float32)
            if kind == "rows":
                nn.functional.embedding(np.array([1, 4]), table, sparse=by_rows).sum().backward()
            elif kind == "whole":
                (table * 0.5).sum().backward()
            optimizer.step()
        same_parameters(*models)


@pytest.mark.parametrize("rule", sorted({*RULES} - {"sgd"}))
def test_other_rules_refuse(rule):
    model = Model()
    optimizer = RULES[rule](model.parameters())
    before = [p.numpy().copy() for p in model.parameters()]
    model(np.array([1, 2])).sum().backward()
    with pytest.raises(RuntimeError, match=f"{type(optimizer).__name__} does not support sparse gradients"):
        optimizer.step()
    for p, old in zip(model.parameters(), before, strict=True):
        assert (p.numpy() == old).all()
    if rule == "adam":
        # with whole gradients it goes on
        model.table.weight.grad = model.table.weight.grad.to_dense()
        optimizer.step()
        assert (model.table.weight.numpy() != before[0]).any()


def test_sparse_adam_refuses_whole_gradients():
    layer = nn.Embedding(8, 3)
    optimizer = optim.SparseAdam(layer.parameters())
    layer(np.array([1])).sum().backward()
    with pytest.raises(RuntimeError, match="SparseAdam does not support dense gradients, please consider Adam"):
        optimizer.step()
    layer.weight.grad = None
    optimizer.step()
    for options, match in (
        (dict(lr=0.0), "learning rate: 0"),
        (dict(eps=0), "epsilon value: 0"),
        (dict(lr=-1), "rate"),
    ):
        with pytest.raises(ValueError, match=match):
            optim.SparseAdam(layer.parameters(), **options)
    with pytest.raises(ValueError, match="beta parameter at index 1"):
        optim.SparseAdam(layer.parameters(), betas=(0.9, 1.0))


def test_zero_grad_schedules_and_copies():
    layer = nn.Embedding(8, 3, sparse=True)
    optimizer = optim.SparseAdam(layer.parameters(), lr=0.1)
    schedule = optim.lr_scheduler.StepLR(optimizer, 1, 0.0)
    layer(np.array([1])).sum().backward()
    optimizer.step()
    schedule.step()
    before = layer.weight.numpy().copy()
    # the schedule has set lr to 0
    optimizer.step()
    assert (layer.weight.numpy() == before).all()
    twin = copy.deepcopy(optimizer)
    assert float(twin.state_dict()["state"][0]["step"]) == 2
    optimizer.zero_grad(set_to_none=False)
    assert layer.weight.grad.rows.size == 0
    # a gradient without rows is a step
    optimizer.step()
    assert float(optimizer.state_dict()["state"][0]["step"]) == 3
    optimizer.zero_grad()
    assert layer.weight.grad is None
    version = layer.weight._version[0]
    optimizer.step()
    assert layer.weight._version[0] == version


def test_lbfgs_takes_them():
    models = twins()
    for model in models:
        optimizer = optim.LBFGS(model.parameters(), lr=0.1)

        def closure(model=model, optimizer=optimizer):
            optimizer.zero_grad()
            loss = (model(np.array(IDS[0])) ** 2).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
    close(models[0].table.weight.numpy(), models[1].table.weight.numpy(), 1e-4)
