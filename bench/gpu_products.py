"""Rows of work that is bound by arithmetic: matrix products, convolutions, recurrent layers, small captured steps."""

from itertools import pairwise

import numpy as np
from gpu_rows import Row, Workload, copied, device, empty, kernel, tensor
from gpu_timing import error, torch_or_none

# the setting of set_matmul_precision for each way of float32
PRECISION = {"float32": "highest", "3xtf32": "high", "tf32": "medium"}


def gemm(m, n, k, kind, transpose_b=False, target=0.0):
    def make():
        from hotloop import set_matmul_precision
        from hotloop.nn.dtypes import as_dtype

        torch = torch_or_none()
        dtype = as_dtype(kind if kind in ("bfloat16", "float16") else "float32")
        a, b = device((m, k), dtype), device((n, k) if transpose_b else (k, n), dtype)
        y, matmul = empty((m, n), dtype), kernel("gemm.matmul_forward")

        def ours():
            set_matmul_precision(PRECISION.get(kind, "highest"))
            matmul(y, a, b, False, transpose_b, False)

        count = (a.size + b.size + y.size) * dtype.itemsize, 2 * m * n * k
        if torch is None:
            return Workload(ours, None, None, *count)
        ta, tb, ty = tensor(a), tensor(b), tensor(y)
        tb = tb.T if transpose_b else tb
        out = torch.empty_like(ty)

        def peer():
            torch.backends.cuda.matmul.allow_tf32 = kind == "tf32"
            torch.matmul(ta, tb, out=out)

        def check():
            ours()
            return error(ty, ta.double() @ tb.double())

        return Workload(ours, peer, check, *count)

    name = f"{m} x {k} @ {k} x {n}, {kind}{', b transposed' * transpose_b}"
    unit = {"3xtf32": "tf32", "float16": "bfloat16"}.get(kind, kind)
    return Row(name, make, unit, target, "peer" * (target > 0))


def gemm_rows():
    for n in (4096, 8192, 2048, 1024):
        for kind, target in (("float32", 0.9), ("3xtf32", 2.0), ("tf32", 0.85), ("bfloat16", 0.85)):
            yield gemm(n, n, n, kind, target=target if n >= 2048 else 0.0)
    yield gemm(4096, 4096, 4096, "float16", target=0.85)
    yield gemm(4096, 4096, 4096, "bfloat16", transpose_b=True, target=0.85)
    yield gemm(4096, 4096, 4096, "float32", transpose_b=True, target=0.9)
    yield gemm(128, 512, 784, "float32")
    yield gemm(4096, 512, 1000, "bfloat16")


def layer(name, build, shape, operations, autocast=None, target=0.0):
    """Forward and backward of a layer, `build(nn)` of either library, with the same parameters."""

    def make():
        import hotloop
        from hotloop import nn

        torch = torch_or_none()
        model, x = build(nn).to("cuda"), nn.Tensor(copied(device(shape)))
        x.requires_grad = True
        slopes = []

        def ours():
            for p in (*model.parameters(), x):
                p.grad = None
            with hotloop.amp.autocast("cuda", autocast or "float16", enabled=autocast is not None):
                y = model(x)
            y = y[0] if isinstance(y, tuple) else y
            if not slopes:
                slopes.append(nn.Tensor(device(y.shape)).to(y.dtype).data)
            y.backward(slopes[0])
            return y

        if torch is None:
            return Workload(ours, operations=operations)
        theirs = build(torch.nn).cuda()
        theirs.load_state_dict({k: torch.as_tensor(v.cpu().numpy()) for k, v in model.state_dict().items()})
        tx = tensor(x.data).clone().requires_grad_()

        def peer(model=theirs, x=tx):
            for p in (*model.parameters(), x):
                p.grad = None
            with torch.autocast("cuda", getattr(torch, autocast or "float16"), enabled=autocast is not None):
                y = model(x)
            y = y[0] if isinstance(y, tuple) else y
            y.backward(tensor(slopes[0]).to(y.dtype))
            return y

        def check():
            exact, exact_x = build(torch.nn).cuda().double(), tx.detach().double().requires_grad_()
            exact.load_state_dict(theirs.state_dict())
            y, want = ours(), exact(exact_x)
            want = want[0] if isinstance(want, tuple) else want
            want.backward(tensor(slopes[0]).double())
            pairs = [(y.data, want.detach()), (x.grad, exact_x.grad)]
            pairs += [(p.grad, t.grad) for p, t in zip(model.parameters(), exact.parameters(), strict=True)]
            return max(error(tensor(getattr(a, "data", a)), b) for a, b in pairs)

        return Workload(ours, peer, check, operations=operations)

    return Row(f"{name}, forward + backward", make, autocast or "float32", target, "peer" * (target > 0))


CONVOLUTIONS = [(32, 64, 56, 64, 3, 1), (32, 256, 14, 256, 3, 1), (32, 3, 224, 64, 7, 2), (64, 512, 7, 2048, 1, 1)]


def conv_rows():
    for n, c, side, k, size, stride in CONVOLUTIONS:
        out = (side + 2 * (size // 2) - size) // stride + 1

        def build(nn, c=c, k=k, size=size, stride=stride):
            return nn.Conv2d(c, k, size, stride=stride, padding=size // 2)

        for autocast in (None, "bfloat16"):
            name = f"conv {n} x {c} x {side} x {side} to {k}, {size} x {size} / {stride}, {autocast or 'float32'}"
            yield layer(name, build, (n, c, side, side), 3 * 2 * n * k * out * out * c * size * size, autocast)

    def depthwise(nn):
        return nn.Conv2d(96, 96, 3, padding=1, groups=96)

    yield layer("depthwise conv 32 x 96 x 56 x 56, 3 x 3", depthwise, (32, 96, 56, 56), 3 * 2 * 32 * 96 * 56 * 56 * 9)

    def transposed(nn):
        return nn.ConvTranspose2d(64, 64, 4, stride=2, padding=1)

    yield layer(
        "transposed conv 32 x 64 x 28 x 28, 4 x 4 / 2",
        transposed,
        (32, 64, 28, 28),
        3 * 2 * 32 * 64 * 64 * 28 * 28 * 16,
    )


RECURRENT = [
    ("LSTM", 100, 32, 512, 512, 0.8),
    ("LSTM", 100, 32, 64, 128, 1.0),
    ("LSTM", 32, 16, 32, 64, 1.0),
    ("GRU", 100, 32, 64, 128, 1.0),
    ("GRU", 100, 32, 512, 512, 0.0),
    ("RNN", 100, 32, 64, 128, 1.0),
]


def recurrent_rows():
    for rule, steps, n, d, h, target in RECURRENT:

        def build(nn, rule=rule, d=d, h=h):
            return getattr(nn, rule)(d, h)

        work = 3 * 2 * steps * n * {"LSTM": 4, "GRU": 3, "RNN": 1}[rule] * h * (d + h)
        yield layer(f"{rule} T{steps} N{n} D{d} H{h}", build, (steps, n, d), work, target=target)


# layers of the network, and its batch
STEP = (784, 128, 64, 10), 128


def step_rows():
    """A training step of a small MLP: ours captured, PyTorch's eager, with its fused Adam."""

    def make():
        from hotloop import nn, optim
        from hotloop.nn import functional as F

        torch = torch_or_none()
        sizes, batch = STEP

        def network(lib):
            layers = []
            for a, b in pairwise(sizes):
                layers += [lib.Linear(a, b), lib.ReLU()]
            return lib.Sequential(*layers[:-1])

        model, data, ids = network(nn).to("cuda"), device((batch, sizes[0])), np.arange(batch) % sizes[-1]
        optimizer = optim.Adam(model.parameters())
        x, y = nn.Tensor(data), nn.Tensor(ids).to("cuda")

        def ours():
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        work = 3 * 2 * batch * sum(a * b for a, b in pairwise(sizes))
        if torch is None:
            return Workload(ours, operations=work)
        theirs = network(torch.nn).cuda()
        their_optimizer = torch.optim.Adam(theirs.parameters(), fused=True)
        tx, ty = tensor(data), torch.as_tensor(ids).cuda()

        def peer():
            their_optimizer.zero_grad()
            torch.nn.functional.cross_entropy(theirs(tx), ty).backward()
            their_optimizer.step()

        # a step that PyTorch launches from Python, as most programs do
        peer.eager = True
        return Workload(ours, peer, None, operations=work)

    yield Row(
        "MLP 784-128-64-10, batch 128, a step with Adam: captured, beside PyTorch eager", make, "float32", 3.0, "peer"
    )
