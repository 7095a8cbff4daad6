"""Rows of what is bound by memory: every kernel whose arguments can be made from its documentation, and optimizers.

Sizes go by the letters of the shapes in kernels/ref. Bytes are those of the arrays: what is only read or only written
counts once, what is read and written twice.
"""

import importlib
import inspect
import pkgutil
import re

import numpy as np
from gpu_rows import Row, Workload, copied, device, empty, kernel, shares, tensor, whole
from gpu_timing import torch_or_none

COUNT = 2**25
ANY = (COUNT,)
ROWS, WIDTH = 2**14, 2048
# by module: sizes of its letters
SIZES = {
    "softmax": {"O": ROWS, "C": WIDTH, "I": 1},
    "cross_entropy": {"L": 1, "N": ROWS, "C": WIDTH, "M": 1},
    "cross_entropy_soft": {"L": 1, "N": ROWS, "C": WIDTH, "M": 1},
    "nll": {"L": 1, "N": ROWS, "C": WIDTH, "M": 1},
    "norm": {"N": ROWS, "D": WIDTH},
    "norm_batch": {"O": 32, "C": 256, "I": 56 * 56},
    "norm_group": {"O": 32, "G": 32, "P": 8, "I": 56 * 56},
    "norm_response": {"O": 32, "C": 96, "I": 56 * 56},
    "moments": {"O": ROWS, "R": WIDTH, "I": 1},
    "reduce": {"O": ROWS, "R": WIDTH, "I": 1, "N": COUNT},
    "extreme": {"O": ROWS, "R": WIDTH, "I": 1},
    "sort": {"N": 2**12, "R": 1024, "K": 16},
    "weight_norm": {"O": 1, "R": 4096, "I": 4096},
    "embedding": {"V": 2**17, "D": 256, "K": 2**16},
    "index": {"O": 1, "R": 2**16, "K": 2**16, "I": 256, "D": 256, "N": COUNT},
    "glu": {"O": 2**13, "C": 2048, "I": 1},
    "prelu": {"O": 64, "C": 256, "I": 2048},
    "select": {"B": 8, "N": 2048, "M": 2048},
    "dropout": {"R": ROWS, "C": WIDTH},
    "shuffle": {"P": 32, "H": 128, "I": 2, "W": 128, "J": 2, "N": 32, "A": 64, "B": 4},
    "elementwise": {"P": 8, "Q": 16, "R": 512, "S": 512, "N": COUNT},
    "gradient_norm": {"N": COUNT},
    "random": {"N": 2**12},
}
SCALARS = {"float": 0.25, "int": 1, "bool": False}
NAMED = {"ignore_index": -100, "padding_idx": -1, "eps": 1e-5, "size": 3, "low": 0, "high": 9, "diagonal": 0}
# what whole numbers count: the letter of its size
BELOW = {"embedding": "V", "index": "R", "cross_entropy": "C", "nll": "C"}
# not a matter of bytes, or made of arguments that no table can guess
LEFT_OUT = re.compile(r"permutation|sort\.|index\.(offsets|nonzero|one_hot)|embedding_(rows|renorm)|moments\.norm_back")


def documented():
    """{path: arguments} of every kernel of kernels/ref."""
    from hotloop.kernels import spec

    package = importlib.import_module("hotloop.kernels.ref")
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        for name, function in vars(module).items():
            own = inspect.isfunction(function) and function.__module__ == module.__name__
            if own and re.search(r"_(forward|backward|update)$", name):
                yield f"{info.name}.{name}", spec.parse(function).arguments


def array(path, argument, sizes):
    """An array for one documented argument."""
    module = path.split(".")[0]
    if argument.name in ("state", "generator"):
        return copied(whole((2,), 2**31, np.uint64))
    shape = ANY if argument.any_shape else tuple(eval(dim, dict(sizes)) for dim in argument.dims)
    if argument.optional and argument.name in ("weight", "running_mean", "running_var"):
        return empty((0,) * len(shape))
    any_number = np.int64 if "bitwise" in path else np.float32
    dtype = np.dtype(argument.dtype if argument.dtype not in ("", "same", "any") else any_number)
    if argument.role == "out":
        return empty(shape, dtype)
    below = sizes.get(BELOW.get(module, ""), 2)
    values = whole(shape, below, dtype) if dtype.kind in "biu" else shares(shape, dtype)
    return copied(values) if argument.written else values


def counted(path, arguments):
    from hotloop.kernels.cuda.array import Array

    module = path.split(".")[0]

    def make():
        sizes = {"N": COUNT, "L": 1} | SIZES.get(module, {})
        args = [array(path, a, sizes) if a.is_array else NAMED.get(a.name, SCALARS[a.kind]) for a in arguments]
        pairs = zip(arguments, args, strict=True)
        total = sum(v.nbytes * (1 + (a.role in ("acc", "inout"))) for a, v in pairs if isinstance(v, Array))
        call = kernel(path)
        return Workload(lambda: call(*args), bytes=total)

    return Row(path, make, "", 0.88, "copy")


def counted_rows():
    """Kernels whose array arguments are elementwise, or of a module with SIZES."""
    for path, arguments in documented():
        module = path.split(".")[0]
        maps = all(a.any_shape or a.dims in (("1",), ("2",), ("L",)) for a in arguments if a.is_array)
        if (maps or module in SIZES) and not path.endswith("_update") and not LEFT_OUT.search(path):
            yield counted(path, arguments)


# name in optim: (options, arrays of parameter's size that a step reads or writes, each time counted)
OPTIMIZERS = {
    "SGD": ({}, 3),
    "SGD momentum": ({"momentum": 0.9}, 5),
    "Adam": ({}, 7),
    "AdamW": ({}, 7),
    "RMSprop": ({}, 5),
    "Adagrad": ({}, 5),
    "Adadelta": ({}, 7),
    "Adamax": ({}, 7),
    "NAdam": ({}, 7),
    "RAdam": ({}, 7),
    "ASGD": ({}, 5),
    "Rprop": ({}, 7),
    "Lion": ({}, 5),
    "LAMB": ({}, 10),
    "LARS": ({"momentum": 0.9}, 7),
    "AdamWScheduleFree": ({}, 7),
}


def optimizer_rows():
    for name, (options, arrays) in OPTIMIZERS.items():

        def make(name=name, options=options, arrays=arrays):
            from hotloop import nn, optim

            torch, rule = torch_or_none(), name.split()[0]
            p = nn.Parameter(nn.Tensor(copied(device(ANY))))
            p.grad = copied(device(ANY))
            ours = getattr(optim, rule)([p], lr=1e-6, **options)
            count = arrays * COUNT * 4
            if torch is None or not hasattr(torch.optim, rule):
                return Workload(ours.step, bytes=count)
            t = torch.nn.Parameter(tensor(device(ANY)).clone())
            t.grad = tensor(device(ANY)).clone()
            more = {"fused": True} if rule in ("SGD", "Adam", "AdamW", "Adagrad") else {"capturable": True}
            try:
                theirs = getattr(torch.optim, rule)([t], lr=1e-6, **options, **more)
            except (TypeError, RuntimeError):
                theirs = getattr(torch.optim, rule)([t], lr=1e-6, **options)
            return Workload(ours.step, theirs.step, None, count)

        yield Row(f"{name}, {COUNT / 1e6:.0f} M parameters", make, "", 0.88, "copy")


def pooling_rows():
    """Pools through the layer, forward alone: the arrays in and out are counted."""
    shape = (32, 128, 112, 112)
    for name, options, outputs in (("MaxPool2d", (3, 2, 1), 2), ("AvgPool2d", (2,), 1)):
        # outputs: the maximum, and where it was
        def make(name=name, options=options, outputs=outputs):
            from hotloop import nn, no_grad

            torch = torch_or_none()
            model, x = getattr(nn, name)(*options), nn.Tensor(device(shape))

            def ours():
                with no_grad():
                    return model(x)

            count = int(x.nbytes * (1 + 0.25 * outputs))
            if torch is None:
                return Workload(ours, bytes=count)
            theirs, tx = getattr(torch.nn, name)(*options), tensor(x.data)
            return Workload(ours, lambda: theirs(tx), None, count)

        yield Row(f"{name}{options} {' x '.join(map(str, shape))}", make, "", 0.0, "")
