"""optim/swa_utils: averages of weights and the schedule that goes with them, beside torch's."""

import copy

import numpy as np
import pytest
from helpers import close, same
from hotloop import nn, optim
from hotloop.optim import swa_utils

torch = pytest.importorskip("torch", reason="torch is not installed")


def pair():
    """The same small network with a batch norm, here and in torch, in float64."""
    torch.manual_seed(0)
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 1)).double()
    ours = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)).double()
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    return ours, theirs


def drift(rng, ours, theirs):
    """Both move their parameters and running statistics alike."""
    x = rng.standard_normal((6, 4))
    ours(nn.Tensor(x))
    theirs(torch.tensor(x))
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        a.data = a.numpy() + rng.standard_normal(a.shape)
        b.data = torch.tensor(a.numpy())


def same_state(ours, theirs, tol=1e-12):
    theirs = theirs.state_dict()
    assert list(ours.state_dict()) == list(theirs)
    for name, value in ours.state_dict().items():
        close(np.asarray(value), theirs[name].numpy(), tol, name)


FUNCTIONS = {
    "mean": lambda package: {},
    "swa": lambda package: {"avg_fn": package.get_swa_avg_fn()},
    "swa, multi": lambda package: {"multi_avg_fn": package.get_swa_multi_avg_fn()},
    "ema": lambda package: {"avg_fn": package.get_ema_avg_fn(0.9)},
    "ema, multi": lambda package: {"multi_avg_fn": package.get_ema_multi_avg_fn(0.9)},
    "of one's own": lambda package: {"avg_fn": lambda average, current, count: average * 0.25 + current * 0.75},
}


@pytest.mark.parametrize("functions", FUNCTIONS)
def test_averages(rng, functions):
    ours, theirs = pair()
    average = swa_utils.AveragedModel(ours, **FUNCTIONS[functions](swa_utils))
    reference = torch.optim.swa_utils.AveragedModel(theirs, **FUNCTIONS[functions](torch.optim.swa_utils))
    for _ in range(5):
        drift(rng, ours, theirs)
        average.update_parameters(ours)
        reference.update_parameters(theirs)
        # that one of torch divides in float32
        same_state(average, reference, 1e-7 if functions == "swa, multi" else 1e-12)
    x = rng.standard_normal((2, 4))
    average.eval()
    reference.eval()
    close(average(nn.Tensor(x)).numpy(), reference(torch.tensor(x)).detach().numpy(), 1e-7)


def test_averaged_buffers(rng):
    ours, theirs = pair()
    average = swa_utils.AveragedModel(ours, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.9), use_buffers=True)
    expected = None
    for _ in range(4):
        drift(rng, ours, theirs)
        average.update_parameters(ours)
        now = ours[1].running_mean.numpy().copy()
        expected = now if expected is None else 0.9 * expected + 0.1 * now
    close(average.module[1].running_mean.numpy(), expected, 1e-12)
    assert average.module[1].num_batches_tracked.item() == 4


def test_an_average_beside_an_optimizer(rng):
    """The model's parameters lie in the optimizer's buffer, the average's do not."""
    model = nn.Linear(3, 2)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    average = swa_utils.AveragedModel(model)
    seen = []
    for _ in range(3):
        model(rng.standard_normal((4, 3)).astype(np.float32)).sum().backward()
        optimizer.step()
        average.update_parameters(model)
        seen.append(model.weight.numpy().copy())
    close(average.module.weight.numpy(), np.mean(seen, axis=0, dtype=np.float64).astype(np.float32), 1e-6)
    assert same(model.weight.numpy(), seen[-1])


def test_update_bn(rng):
    ours, theirs = pair()
    batches = [rng.standard_normal((5, 4)) for _ in range(3)]
    ours.eval()
    theirs.eval()
    swa_utils.update_bn([(nn.Tensor(x), 0) for x in batches], ours)
    torch.optim.swa_utils.update_bn([torch.tensor(x) for x in batches], theirs)
    same_state(ours, theirs)
    assert not ours.training and ours[1].momentum == 0.1
    swa_utils.update_bn(iter([1 / 0 for _ in ()]), nn.Linear(2, 2))


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("epochs", [0, 1, 5, 30])
def test_swalr(strategy, epochs):
    pairs = []
    for package, parameter in ((optim, nn.Parameter(np.zeros(1))), (torch.optim, torch.nn.Parameter(torch.zeros(1)))):
        optimizer = package.SGD([parameter], lr=0.3)
        schedule = package.lr_scheduler.ExponentialLR(optimizer, 0.9)
        pairs.append((package, optimizer, schedule, package.swa_utils.SWALR(optimizer, 0.05, epochs, strategy)))
    for step in range(30):
        if step == 13:
            states = [copy.deepcopy(swa.state_dict()) for *_, swa in pairs]
            for (*_, swa), state in zip(pairs, reversed(states), strict=True):
                swa.load_state_dict(state)
        for _, optimizer, schedule, swa in pairs:
            optimizer.step()
            (schedule if step < 4 else swa).step()
        ours, theirs = (optimizer.param_groups[0]["lr"] for _, optimizer, *_ in pairs)
        assert ours == theirs
        assert pairs[0][3].get_last_lr() == pairs[1][3].get_last_lr()


def test_refuses():
    optimizer = optim.SGD([nn.Parameter(np.zeros(1))])
    with pytest.raises(ValueError, match="anneal_strategy"):
        swa_utils.SWALR(optimizer, 0.1, anneal_strategy="step")
    with pytest.raises(ValueError, match="anneal_epochs"):
        swa_utils.SWALR(optimizer, 0.1, anneal_epochs=-1)
    with pytest.raises(ValueError, match="swa_lr must have the same length"):
        swa_utils.SWALR(optimizer, [0.1, 0.2])
    with pytest.raises(ValueError, match=r"Invalid decay value 1.5"):
        swa_utils.get_ema_multi_avg_fn(1.5)
    with pytest.raises(ValueError, match=r"Invalid decay value -1"):
        swa_utils.get_ema_avg_fn(-1)
    with pytest.raises(ValueError, match="Only one of avg_fn and multi_avg_fn"):
        swa_utils.AveragedModel(nn.Linear(1, 1), avg_fn=max, multi_avg_fn=max)
