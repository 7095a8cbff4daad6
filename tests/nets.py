"""A model with every kind of member, over hotloop and over torch."""

import numpy as np
import pytest
from hotloop import nn


class Net(nn.Module):
    """Two layers, one of them shared under a second name, a parameter and two buffers."""

    def __init__(self):
        super().__init__()
        build(self, nn, nn.Tensor)

    def forward(self, x):
        return self.rest(self.first(x))


def build(net, lib, tensor):
    net.first = lib.Linear(3, 4)
    net.scale = lib.Parameter(tensor(np.ones(2, np.float32)))
    net.register_buffer("mean", tensor(np.zeros(2, np.float32)))
    net.register_buffer("cache", tensor(np.zeros(1, np.float32)), persistent=False)
    net.rest = lib.Sequential(lib.Linear(4, 4), lib.Identity(), lib.Linear(4, 2, bias=False))
    net.again = net.first
    net.register_parameter("none", None)


def torch_net():
    """torch, and the same model over torch.nn."""
    torch = pytest.importorskip("torch")

    def init(self):
        torch.nn.Module.__init__(self)
        build(self, torch.nn, torch.from_numpy)

    return torch, type("Net", (torch.nn.Module,), {"__init__": init, "forward": Net.forward})()
