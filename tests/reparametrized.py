"""Layers whose weight is computed from others, beside torch's: for the tests of weight_norm and spectral_norm."""

import numpy as np
from helpers import close

# arguments of a layer, and the shape of an input
LAYERS = {"Linear": ((5, 3), (4, 5)), "Conv2d": ((3, 4, 3), (2, 3, 6, 6))}


def grads(module):
    return {name: np.asarray(p.grad) for name, p in module.named_parameters()}


def as_torch(torch, ours, theirs, shape, rng):
    """Both give the same result and the same gradients by name, and print the same; state dicts load both ways."""
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict({name: torch.from_numpy(t.numpy().copy()) for name, t in ours.state_dict().items()})
    x = rng.standard_normal(shape).astype(np.float32)
    y, their_y = ours(x), theirs(torch.from_numpy(x))
    close(y.numpy(), their_y.detach().numpy(), 1e-5, "y")
    dy = rng.standard_normal(y.shape).astype(np.float32)
    y.backward(dy)
    their_y.backward(torch.from_numpy(dy))
    want = grads(theirs)
    for name, got in grads(ours).items():
        close(got, want[name], 2e-5, name)
