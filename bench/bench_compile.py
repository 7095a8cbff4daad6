"""What a user waits for before the first step: a fresh process imports, builds a network, and trains one step."""

import subprocess
import sys

import ceilings
import pytest
from conftest import peer

HOTLOOP = """
import numpy as np
from hotloop import nn, optim, tensor
x, labels = tensor(np.ones((32, 784), np.float32)), tensor(np.arange(32) % 10)
"""
TORCH = """
import torch
from torch import nn, optim
x, labels = torch.ones((32, 784)), torch.arange(32) % 10
"""
STEP = """
model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = optim.Adam(model.parameters())
loss = nn.CrossEntropyLoss()(model(x), labels)
loss.backward()
optimizer.step()
print(loss.item())
"""


def first_step(program, env=None):
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert float(done.stdout) > 0


@pytest.mark.parametrize("who, cache", [("hotloop", "empty"), ("hotloop", "full"), ("torch", "full")])
def bench_first_step(benchmark, tmp_path, monkeypatch, who, cache):
    """Wall time of the whole process. The cache of compiled kernels is empty, as after installing, or full."""
    if who == "torch":
        peer("torch")
    monkeypatch.setenv("HOTLOOP_CACHE", str(tmp_path))
    program = (HOTLOOP if who == "hotloop" else TORCH) + STEP
    if cache == "full":
        first_step(program)
    benchmark.group = f"import, build, one step of MLP 784-128-64-10; cache {cache}"
    benchmark.extra_info["threads"] = ceilings.threads()
    benchmark.pedantic(first_step, (program,), rounds=1 if cache == "empty" else 5)
