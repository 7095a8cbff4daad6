"""Recorded steps: they train on when replayed, and refuse to record what a replay could not do."""

import numpy as np
import pytest
from helpers import require_cuda


@pytest.fixture
def cuda():
    require_cuda()
    from hotloop.kernels import cuda

    return cuda


def train(device, steps, how):
    """Losses of a small network with dropout; the learning rate falls after the fourth step."""
    import hotloop
    from hotloop import nn, optim
    from hotloop.nn import rng

    numbers = np.random.default_rng(0)
    rng.manual_seed(3)
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3)).to(device)
    rng.set_rng_state(np.array([3, 1000], np.uint64), device)
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    x = nn.Tensor(np.zeros((6, 5), np.float32)).to(device)
    y = nn.Tensor(np.zeros(6, np.int64)).to(device)

    def step():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    losses, run = [], step
    for i in range(steps):
        batch, labels = numbers.standard_normal((6, 5)).astype(np.float32), numbers.integers(0, 3, 6)
        x.copy_(batch)
        y.copy_(labels)
        if i == 4:
            optimizer.param_groups[0]["lr"] = 0.01
        if how == "captured" and i == 1:
            run = hotloop.cuda.capture(step, warmup=1)
            # that was this step
            losses.append(None)
            continue
        losses.append(run().item())
    return losses


def test_a_recorded_step_trains_on(cuda):
    """Data, dropout masks, step counts and learning rates go on from replay to replay."""
    plain, captured = train("cuda", 7, "plain"), train("cuda", 7, "captured")
    assert captured[2:] == plain[2:]
    assert np.allclose(plain, train("cpu", 7, "plain"), rtol=1e-5)


def test_a_recording_keeps_what_it_needs(cuda):
    import hotloop
    from hotloop import nn

    g, x = hotloop.cuda.CUDAGraph(), nn.Tensor(np.arange(4.0, dtype=np.float32)).to("cuda")
    with pytest.raises(RuntimeError, match="nothing is recorded"):
        g.replay()
    with hotloop.cuda.graph(g):
        y = (x + 1) * 2
    temporary = [nn.Tensor(np.full(4, 9, np.float32)).to("cuda") for _ in range(5)]
    g.replay()
    assert y.cpu().tolist() == [2, 4, 6, 8]
    x.copy_(np.zeros(4, np.float32))
    g.replay()
    assert y.cpu().tolist() == [2, 2, 2, 2] and temporary[0].cpu().tolist() == [9] * 4


def test_a_recording_refuses_what_a_replay_cannot_do(cuda):
    import hotloop
    from hotloop import nn

    x = nn.Tensor(np.ones(3, np.float32)).to("cuda")
    for wrong, what in (
        (lambda: (x + 1).cpu(), "reading values"),
        (lambda: nn.Tensor(np.ones(3, np.float32)).to("cuda"), "copy from the host"),
        (hotloop.cuda.synchronize, "waiting"),
    ):
        with pytest.raises(RuntimeError, match=f"{what}.*recorded step"), hotloop.cuda.graph(hotloop.cuda.CUDAGraph()):
            wrong()
    with pytest.raises(ValueError, match="warmup: expected 1"):
        hotloop.cuda.capture(lambda: None, warmup=0)


def test_what_counts_on_the_host_is_not_recorded(cuda):
    """A schedule, the mean of all weights, and other graphs: in words, instead of a replay that does something else."""
    import hotloop
    from hotloop import nn, optim

    model = nn.Linear(2, 2).to("cuda")
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    schedules = [optim.lr_scheduler.ExponentialLR(optimizer, 0.5), optim.lr_scheduler.ReduceLROnPlateau(optimizer)]
    optimizer.step()
    mean = optim.swa_utils.AveragedModel(model)
    moving = optim.swa_utils.AveragedModel(model, multi_avg_fn=optim.swa_utils.get_ema_multi_avg_fn(0.5))
    mean.update_parameters(model)
    g = hotloop.cuda.CUDAGraph()
    with hotloop.cuda.graph(g):
        model(hotloop.ones(1, 2, device="cuda"))
    for wrong, what in (
        (schedules[0].step, "a step of a schedule"),
        (lambda: schedules[1].step(1.0), "a step of a schedule"),
        (lambda: mean.update_parameters(model), "counts its updates"),
        (lambda: moving.update_parameters(model), "the first update of an average"),
        (g.replay, "replay of another graph"),
        (lambda: hotloop.cuda.capture(lambda: None), "waiting"),
        (lambda: hotloop.cuda.graph(hotloop.cuda.CUDAGraph()).__enter__(), "recording of another graph"),
    ):
        with pytest.raises(RuntimeError, match=f"{what}.*recorded step"), hotloop.cuda.graph(hotloop.cuda.CUDAGraph()):
            wrong()
    with pytest.raises(TypeError, match="expected a CUDAGraph, got NoneType"), hotloop.cuda.graph(None):
        pass


def test_a_moving_average_is_recorded(cuda):
    import hotloop
    from hotloop import nn, optim

    model = nn.Linear(2, 1, bias=False).to("cuda")
    moving = optim.swa_utils.AveragedModel(model, multi_avg_fn=optim.swa_utils.get_ema_multi_avg_fn(0.5))

    def step():
        with hotloop.no_grad():
            model.weight.add_(1)
            moving.update_parameters(model)

    nn.init.zeros_(model.weight)
    run = hotloop.cuda.capture(step, warmup=2)
    assert moving.module.weight.tolist() == [[1.5, 1.5]]
    run()
    run()
    assert model.weight.tolist() == [[4, 4]] and moving.module.weight.tolist() == [[3.125, 3.125]]


def test_elements_are_assigned_in_a_recording(cuda):
    import hotloop

    x = hotloop.ones(2, 3, device="cuda")

    def step():
        x[0] = 2.0
        x[:, 1] += 1

    run = hotloop.cuda.capture(step, warmup=1)
    run()
    assert x.tolist() == [[2, 3, 2], [1, 3, 1]]
