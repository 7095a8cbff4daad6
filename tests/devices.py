"""Inputs of small layers, and a module run on the CPU and on the device, compared."""

import copy

import numpy as np
from helpers import close
from hotloop import nn


def normal(*shape, seed=0):
    return np.random.default_rng(len(shape) + sum(shape) + seed).standard_normal(shape).astype(np.float32)


def on_both(module, *inputs, tol=2e-5):
    """Forward and backward of a module and of its copy on the device, compared: results, gradients, buffers."""
    from hotloop.nn import rng

    found = []
    for device in ("cpu", "cuda"):
        model = copy.deepcopy(module).to(device) if isinstance(module, nn.Module) else module
        rng.manual_seed(5)
        rng.set_rng_state(np.array([5, 7], np.uint64), device)
        arrays = [nn.Tensor(x).to(device) for x in inputs]
        for tensor in arrays:
            tensor.requires_grad = tensor.is_floating_point()
        outputs = list(tensors(model(*arrays)))
        # not of squares alone: after a norm their sum is a constant
        total = sum((y * y * y + y * y).sum() for y in outputs if y.is_floating_point())
        if isinstance(total, nn.Tensor) and total.requires_grad:
            total.backward()
        results = {f"output {i}": y for i, y in enumerate(outputs)}
        results |= {f"gradient of input {i}": x.grad for i, x in enumerate(arrays)}
        if isinstance(model, nn.Module):
            results |= {f"gradient of {name}": p.grad for name, p in model.named_parameters()}
            results |= dict(model.named_buffers())
        found.append({name: host(value) for name, value in results.items()})
    here, there = found
    assert here.keys() == there.keys()
    for name, want in here.items():
        got = there[name]
        assert (want is None) == (got is None), name
        if want is not None and want.dtype.kind == "f":
            close(got.astype(np.float64), want.astype(np.float64), tol, name)
        elif want is not None:
            assert np.array_equal(got, want), name


def tensors(value):
    if isinstance(value, nn.Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from tensors(part)


def host(value):
    if value is None:
        return None
    return nn.Tensor(value).detach().cpu().numpy() if not isinstance(value, np.ndarray) else value


def labels(count, size):
    return np.arange(size) % count
