"""kernels/*/{lstm,gru,rnn}_options.py: options alone and together, against ref, differences, torch, plain kernels."""

import numpy as np
import pytest
from helpers import Backend, absent, close
from hotloop.kernels.ref import gru, lstm, rnn
from recurrent import LENGTHS
from recurrent_options import ALL, Case

CASES = [(kind, on) for kind in ALL for on in [(), *((o,) for o in ALL[kind]), ALL[kind]]]
options = pytest.mark.parametrize("kind, on", CASES, ids=[f"{k}-{'-'.join(o) or 'none'}" for k, o in CASES])
kinds = pytest.mark.parametrize("kind", ALL)
# GRU and RNN have two forms
FORMS = [(kind, flag) for kind in ALL for flag in (False, True) if kind != "lstm" or flag]


@options
def test_kernels(backend, dtype, rng, kind, on):
    """Around a vector, one chunk; several chunks of samples; either form of GRU and RNN."""
    for flag in (False, True):
        Case(kind, rng, dtype, (6, 17, 34), on, LENGTHS["mixed"](6, 17), True, flag).check(backend)
    Case(kind, rng, dtype, (3, 70, 18), on).check(backend, accumulate=True)


@kinds
@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (1, 1, 3), (7, 1, 4)], ids=str)
def test_edges(backend, dtype, rng, kind, shape):
    # a few normalised numbers magnify rounding errors
    Case(kind, rng, dtype, shape, tuple(o for o in ALL[kind] if o != "layer_norm")).check(backend)


@kinds
def test_what_is_not_kept_changes_nothing(backend, dtype, rng, kind):
    case = Case(kind, rng, dtype, (6, 17, 34), ALL[kind], LENGTHS["mixed"](6, 17))
    want = case.done()
    outputs = {n: a if n in case.results else absent(dtype) for n, a in case.empties("forward").items()}
    backend(case.path("forward"), *case.call("forward", case.given | outputs))
    for name in case.results:
        close(outputs[name], want[name])


@kinds
def test_gradients_that_are_not_wanted(backend, dtype, rng, kind):
    case = Case(kind, rng, dtype, (5, 9, 18), ALL[kind], LENGTHS["mixed"](5, 9))
    want, gradients = case.gradients(), case.gradients()
    Backend("ref")(case.path("backward"), *case.backward(want))
    some = {"dgiven", "dproducts", "dout", "dw_hh", "dnorm_c"}
    gradients = {n: g if n in some else absent(dtype) for n, g in gradients.items()}
    backend(case.path("backward"), *case.backward(gradients))
    for name in some & set(gradients) - {"dproducts", "dout"}:
        close(gradients[name], want[name], name=name)


@pytest.mark.parametrize("kind, flag", FORMS)
def test_ref_against_finite_differences(rng, kind, flag):
    Case(kind, rng, np.float64, (3, 3, 4), ALL[kind], np.array([3, 2, 0]), not flag, flag).check_differences()


@kinds
@pytest.mark.parametrize("reverse", [False, True], ids=["", "reverse"])
def test_options_that_do_nothing_give_the_plain_kernel(rng, kind, reverse):
    """A mask of ones and a zone of zeros, and an identity for the input's weights."""
    case = Case(kind, rng, np.float64, (5, 4, 6), ("dropout", "zoneout"), LENGTHS["mixed"](5, 4), reverse)
    for name in ("mask", "zone_h", "zone_c"):
        if name in case.given:
            case.given[name][...] = name == "mask"
    got = case.done()
    given = case.given["given"]
    states = [case.given[n] for n in ("h0", "c0") if n in case.given]
    weights = np.eye(given.shape[2]), case.given["w_hh"], absent(float), case.given["b_hh"]
    want = [np.empty_like(got[n]) for n in case.results] + [absent(float)] * {"lstm": 2, "gru": 1, "rnn": 0}[kind]
    rest = (absent(float),) if kind == "lstm" else ()
    flag = () if kind == "lstm" else (True,)
    forward = {"lstm": lstm.lstm_forward, "gru": gru.gru_forward, "rnn": rnn.rnn_forward}[kind]
    forward(*want, given, *states, *weights, *rest, case.given["lengths"], reverse, *flag)
    for name, plain in zip(case.results, want, strict=False):
        close(got[name], plain, name=name)


def of_torch(torch, kind, a, flag):
    """The results, step by step, written down once more: a maps the arguments' names to tensors, None for absent."""

    def norm(x, gain, bias=None):
        return x if gain is None else torch.nn.functional.layer_norm(x, x.shape[1:], gain, bias, 1e-5)

    def mix(zone, t, old, new):
        return new if zone is None else torch.lerp(new, old, zone[t])

    h, c, width, ys = a["h0"], a.get("c0"), a["w_hh"].shape[0], []
    for t in range(a["given"].shape[0]):
        seen, given = h if a["mask"] is None else h * a["mask"], a["given"][t]
        if kind == "gru":
            two = width // 3 * 2
            gain_rz, gain_n = (None, None) if a["norm_hh"] is None else (a["norm_hh"][:two], a["norm_hh"][two:])
            rz = norm(seen @ a["w_hh"][:two].T, gain_rz) + a["b_hh"][:two] + given[:, :two]
            r, z = torch.sigmoid(rz).chunk(2, 1)
            inner = norm((seen if flag else r * seen) @ a["w_hh"][two:].T, gain_n) + a["b_hh"][two:]
            n = torch.tanh(given[:, two:] + (r * inner if flag else inner))
            h = mix(a["zone_h"], t, h, (1 - z) * n + z * h)
        else:
            gates = given + norm(seen @ a["w_hh"].T, a["norm_hh"]) + a["b_hh"]
            if kind == "rnn":
                h = mix(a["zone_h"], t, h, torch.relu(gates) if flag else torch.tanh(gates))
            else:
                i, f, g, o = gates.chunk(4, 1)
                p_i, p_f, p_o = (0, 0, 0) if a["peepholes"] is None else a["peepholes"].chunk(3)
                new = torch.sigmoid(f + p_f * c) * c + torch.sigmoid(i + p_i * c) * torch.tanh(g)
                made = torch.sigmoid(o + p_o * new) * torch.tanh(norm(new, a["norm_c"], a["shift_c"]))
                made = made if a["w_hr"] is None else torch.nn.functional.linear(made, a["w_hr"])
                h, c = mix(a["zone_h"], t, h, made), mix(a["zone_c"], t, c, new)
        ys.append(h)
    return {"y": torch.stack(ys), "hn": h, "cn": c}


@pytest.mark.parametrize(
    "kind, on, flag", [(*c, flag) for c in CASES for flag in (False, True) if (c[0], flag) in FORMS], ids=str
)
def test_against_torch(rng, kind, on, flag):
    torch = pytest.importorskip("torch")
    case = Case(kind, rng, np.float64, (5, 4, 6), on, flag=flag)
    tensors = {
        n: torch.tensor(v, requires_grad=True) if v.size else None
        for n, v in case.given.items()
        if isinstance(v, np.ndarray) and v.dtype == np.float64
    }
    want, got = of_torch(torch, kind, tensors, flag), case.done()
    sum((want[n] * torch.tensor(case.upstream[f"d{n}"])).sum() for n in case.results).backward()
    for name in case.results:
        close(got[name], want[name].detach().numpy(), name=name)
    gradients = case.gradients()
    Backend("ref")(case.path("backward"), *case.backward(gradients))
    for name, gradient in gradients.items():
        tensor = tensors.get(name.removeprefix("d"))
        if tensor is not None and gradient.size:
            close(gradient, tensor.grad.numpy(), 1e-12, name)


@kinds
def test_refusals(backend, rng, kind):
    case = Case(kind, rng, np.float32, (5, 2, 4), ALL[kind])
    gradients = case.gradients()
    values = case.given | case.done() | case.upstream | gradients | {"accumulate": False}
    for half in ("forward", "backward"):
        wrong = values | case.empties(half) | {"lengths": np.array([5, 6])}
        with pytest.raises(ValueError, match="lengths"):
            backend(case.path(half), *case.call(half, wrong))
    with pytest.raises(ValueError, match="goes with an option"):
        backend(case.path("backward"), *case.call("backward", values | {"products": absent()}))


@kinds
def test_extreme_inputs(backend, dtype, rng, kind):
    case = Case(kind, rng, dtype, (5, 9, 18), ALL[kind], flag=False)
    for name in ("given", "h0"):
        case.given[name] *= 1e4
    outputs, gradients = case.empties("forward"), case.gradients()
    backend(case.path("forward"), *case.call("forward", case.given | outputs))
    backend(case.path("backward"), *case.backward(gradients))
    written = outputs | {n: g for n, g in gradients.items() if n not in ("dproducts", "dout")}
    assert all(np.isfinite(a).all() for a in written.values())
