"""Rows of scaled dot-product attention, beside PyTorch's."""

import numpy as np
from gpu_products import PRECISION
from gpu_rows import Row, Workload, device, empty, kernel, tensor
from gpu_timing import error, torch_or_none

# (samples, heads, steps, numbers of a head)
SHAPES = [(8, 8, 128, 64), (8, 8, 512, 64), (32, 4, 64, 32), (1, 16, 4096, 64)]
TARGET = 1.0


def attention(shape, kind, causal, backward):
    """`kind` as in gpu_products.gemm; PyTorch's float32 is its own, whichever of ours it is seen beside."""
    n, h, t, d = shape

    def make():
        from hotloop import set_matmul_precision
        from hotloop.nn.dtypes import as_dtype

        torch = torch_or_none()
        dtype = as_dtype("bfloat16" if kind == "bfloat16" else "float32")
        # as a projection leaves them: the heads of a step side by side; different numbers in each
        lie = (n, t, h, d)
        q, k, v, dy = (a.transpose(0, 2, 1, 3) for a in device((4, *lie), dtype))
        y, dq, dk, dv = (empty(lie, dtype).transpose(0, 2, 1, 3) for _ in range(4))
        lse, none, scale = empty((n, h, t), np.float32), empty((0,), dtype), d**-0.5
        masks, last = (none, empty((0,), np.bool_)), (empty((0,), np.uint64), scale, causal, 0.0)
        forward, gradients = kernel("attention.attention_forward"), kernel("attention.attention_backward")

        def ours():
            set_matmul_precision(PRECISION.get(kind, "highest"))
            forward(y, lse, none, q, k, v, *masks, *last)
            if backward:
                gradients(dq, dk, dv, none, dy, none, q, k, v, *masks, y, lse, none, *last)

        operations = 4 * n * h * t * t * d * (3.5 if backward else 1) / (2 if causal else 1)
        if torch is None:
            return Workload(ours, operations=operations)
        given = [tensor(a).detach().requires_grad_(backward) for a in (q, k, v)]

        def attended(*qkv):
            return torch.nn.functional.scaled_dot_product_attention(*qkv, is_causal=causal)

        def peer():
            found = attended(*given)
            return torch.autograd.grad(found, given, tensor(dy)) if backward else found

        def check():
            ours()
            wide = [a.detach().double().requires_grad_(backward) for a in given]
            want = attended(*wide)
            pairs = [(y, want.detach())]
            if backward:
                pairs += zip((dq, dk, dv), torch.autograd.grad(want, wide, tensor(dy).double()), strict=True)
            return max(error(tensor(a), b) for a, b in pairs)

        return Workload(ours, peer, check, operations=operations)

    name = f"{'x'.join(map(str, shape))}{', causal' * causal}, {kind}, forward{' + backward' * backward}"
    return Row(name, make, {"3xtf32": "tf32"}.get(kind, kind), TARGET, "peer")


def attention_rows():
    for shape in SHAPES:
        for causal in (False, True):
            for kind in ("float32", "bfloat16"):
                yield attention(shape, kind, causal, True)
        yield attention(shape, "bfloat16", False, False)
        yield attention(shape, "3xtf32", False, True)
