"""kernels/spec.py and the checks it compiles into kernels: what is refused, and in which words."""

import numpy as np
import pytest
from hotloop.kernels import spec
from hotloop.kernels.cpu.linear import linear_forward
from hotloop.kernels.cpu.sgd import sgd_update
from numba import njit
from numba.core.errors import TypingError


def test_grammar():
    def well(y, x, b, label, any_, groups, scale, flag):
        """y (N, 2*H)  this line has no role and is found first: documentation is read from the top

        y       (N, 2*H)             [out]  result
        x       (N, T, H)                   input
        b       (H,) or (0,)         [acc]  bias
        label   (T-1,) int64                labels
        any_    (...) any                   anything
        groups  int                         parts
        scale   float                       factor
        flag    bool                        whether
        """

    parsed = spec.parse(well)
    assert parsed.names == ("y", "x", "b", "label", "any_", "groups", "scale", "flag")
    by_name = {a.name: a for a in parsed.arguments}
    assert by_name["b"].optional and by_name["b"].role == "acc" and by_name["b"].dims == ("H",)
    assert by_name["label"].dtype == "int64" and by_name["label"].dims == ("T-1",)
    assert by_name["any_"].any_shape and by_name["groups"].kind == "int" and by_name["flag"].kind == "bool"


def test_undocumented_argument():
    def lacking(y, x):
        """y  (N,)  [out]  result"""

    with pytest.raises(ValueError, match="does not document: x"):
        spec.parse(lacking)


def arrays():
    f = np.float32
    return [np.zeros((4, 3), f), np.zeros((0, 0), f), np.zeros((4, 5), f), np.zeros((3, 5), f), np.zeros(3, f), 0]


@pytest.mark.parametrize(
    "position, value, error, words",
    [
        (0, np.zeros((4, 2), np.float32), ValueError, r"y: expected shape \(N, H\), got \(4, 2\)"),
        (2, np.zeros((4, 6), np.float32), ValueError, r"expected shape \(H, D\), got \(3, 5\)"),
        (2, np.zeros(5, np.float32), ValueError, r"x: expected shape \(N, D\), got \(5,\)"),
        (2, np.zeros((4, 5)), TypeError, r"x: expected float32 as the arguments before it, got float64"),
        (0, np.zeros((4, 3), np.int64), TypeError, r"y: expected float32 or float64, got int64"),
        (2, np.zeros((5, 4), np.float32).T, ValueError, r"x: expected a C-contiguous array, got strides \(4, 16\)"),
        (3, [[1.0]], TypeError, r"w: expected an array of shape \(H, D\), got list"),
        (4, None, TypeError, r"b: expected an array of shape \(H,\) or \(0,\), got NoneType"),
        (4, np.zeros(2, np.float32), ValueError, r"b: expected shape \(H,\) or \(0,\), got \(2,\)"),
        (5, 1.5, TypeError, r"activation: expected int, got float"),
        (5, "relu", TypeError, r"activation: expected int, got str"),
    ],
)
def test_refused_in_words(position, value, error, words):
    args = arrays()
    linear_forward(*args)
    args[position] = value
    with pytest.raises(error, match=words):
        linear_forward(*args)


def test_read_only_output_is_refused_and_read_only_input_is_not():
    args = arrays()
    args[2].flags.writeable = False
    linear_forward(*args)
    args[0].flags.writeable = False
    with pytest.raises(ValueError, match=r"y: expected a writable array for \[out\], got a read-only one"):
        linear_forward(*args)


def test_wrong_number_of_arguments():
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        linear_forward(*arrays()[:-1])


def test_keywords_and_signature():
    import inspect

    names = ["y", "z", "x", "w", "b", "activation"]
    assert list(inspect.signature(linear_forward).parameters) == names
    linear_forward(**dict(zip(names, arrays(), strict=True)))
    assert "Source: as torch.nn.Linear" in linear_forward.__doc__


def test_in_compiled_code_shapes_are_checked_too():
    @njit
    def call(y, z, x, w, b):
        linear_forward(y, z, x, w, b, 0)

    args = arrays()[:-1]
    args[2][...] = 1
    args[3][...] = 2
    call(*args)
    assert (args[0] == 10).all()
    args[4] = np.zeros(7, np.float32)
    with pytest.raises(ValueError, match=r"the shapes do not fit y \(N, H\)"):
        call(*args)


def test_in_compiled_code_types_are_checked_when_it_is_compiled():
    @njit
    def call(y, z, x, w, b):
        linear_forward(y, z, x, w, b, 0)

    args = arrays()[:-1]
    with pytest.raises(TypingError, match="mixed dtypes"):
        call(*[a.astype(np.float64) if i == 2 else a for i, a in enumerate(args)])
    with pytest.raises(TypingError, match="expected a C-contiguous array"):
        call(*[np.zeros((5, 4), np.float32).T if i == 2 else a for i, a in enumerate(args)])


def test_integers_are_taken_for_floats_without_another_compilation():
    param, grad, hyper = np.ones(3), np.ones(3), np.array([0.5, 0, 0, 0])
    sgd_update(param, np.zeros(0), grad, np.zeros(1), hyper, False, False)
    compiled = len(sgd_update.kernel.entry.signatures)
    sgd_update(param, np.zeros((0,)), grad, np.zeros(1), hyper, np.bool_(False), 0)
    assert len(sgd_update.kernel.entry.signatures) == compiled
    assert np.array_equal(param, [0, 0, 0])
