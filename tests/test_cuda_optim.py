"""Every optimizer steps on the device as on the CPU, sparse gradients, clipping and train.fit too.

Runs in the simulator, or on a device where there is one; sizes are the simulator's.
"""

import numpy as np
import pytest
from devices import host, labels, normal
from helpers import close, require_cuda
from hotloop import nn, optim
from hotloop.nn import functional as F


@pytest.fixture(autouse=True)
def device():
    require_cuda()


OPTIMIZERS = {
    "SGD": dict(momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adadelta": {},
    "Adafactor": dict(lr=0.05),
    "Adagrad": {},
    "Adam": dict(amsgrad=True),
    "AdamW": {},
    "AdamWScheduleFree": {},
    "Adamax": {},
    "ASGD": {},
    "LAMB": {},
    "LARS": dict(momentum=0.9),
    # of shorter steps float32's losses lie on a line, and the search's cubic is a matter of their last bits
    "LBFGS": dict(lr=1.0, max_iter=3, line_search_fn="strong_wolfe"),
    "Lion": {},
    "NAdam": {},
    "RAdam": {},
    "RMSprop": dict(momentum=0.9, centered=True),
    "Rprop": {},
}


def trained(name, options, device, steps=3):
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))
    for i, p in enumerate(model.parameters()):
        p.data = normal(*p.shape) * 0.5 + i
    model.to(device)
    optimizer = getattr(optim, name)(model.parameters(), **options)
    x, y = nn.Tensor(normal(3, 4)).to(device), nn.Tensor(normal(3, 2)).to(device)

    def closure():
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(steps)]
    return losses, [p.detach().cpu().numpy() for p in model.parameters()]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(name):
    losses, parameters = trained(name, OPTIMIZERS[name], "cpu")
    device_losses, device_parameters = trained(name, OPTIMIZERS[name], "cuda")
    close(np.array(device_losses), np.array(losses), 2e-5, "losses")
    for got, want in zip(device_parameters, parameters, strict=True):
        close(got, want, 2e-5)


def test_muon():
    found = []
    for device in ("cpu", "cuda"):
        p = nn.Parameter(normal(4, 3)).to(device)
        p = nn.Parameter(p.data)
        optimizer = optim.Muon([p], lr=0.1)
        for _ in range(2):
            p.grad = nn.Tensor(normal(4, 3) * 0.3).to(device).data
            optimizer.step()
        found.append(p.detach().cpu().numpy())
    close(found[1], found[0], 2e-4)


def test_sparse_gradients():
    for rule in (optim.SparseAdam, optim.SGD):
        found = []
        for device in ("cpu", "cuda"):
            table = nn.Embedding(5, 3, sparse=True)
            table.weight.data = normal(5, 3)
            table.to(device)
            optimizer = rule(table.parameters(), lr=0.1)
            for _ in range(2):
                optimizer.zero_grad()
                (table(nn.Tensor([[1, 4, 4], [0, 2, 1]]).to(device)) ** 2).sum().backward()
                optimizer.step()
            found.append(table.weight.detach().cpu().numpy())
        close(found[1], found[0], 1e-5)


def test_gradients_are_clipped():
    found = []
    for device in ("cpu", "cuda"):
        layer = nn.Linear(4, 3)
        layer.weight.data, layer.bias.data = normal(3, 4), normal(3)
        layer.to(device)
        (layer(nn.Tensor(normal(5, 4)).to(device)) ** 2).sum().backward()
        norm = nn.utils.clip_grad_norm_(layer.parameters(), 0.5)
        nn.utils.clip_grad_value_(layer.parameters(), 0.1)
        found.append([norm.item(), *[host(p.grad) for p in layer.parameters()]])
    for got, want in zip(found[1], found[0], strict=True):
        close(np.asarray(got), np.asarray(want), 1e-5)


def test_fit_moves_its_batches():
    from hotloop import train

    x, y = normal(12, 4), labels(3, 12)
    histories = []
    for device in ("cpu", "cuda"):
        model = nn.Linear(4, 3)
        model.weight.data, model.bias.data = normal(3, 4), normal(3)
        model.to(device)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        options = dict(validation=(x, y), epochs=2, batch_size=5, metrics="accuracy", seed=0, verbose=False)
        histories.append(train.fit(model, nn.CrossEntropyLoss(), optimizer, (x, y), **options))
    for name in ("loss", "val_loss", "val_accuracy"):
        close(np.array(histories[1][name]), np.array(histories[0][name]), 1e-5, name)
