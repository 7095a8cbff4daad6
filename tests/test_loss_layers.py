"""The losses people construct: every class and function against PyTorch, through the tape."""

import copy
import inspect
import warnings

import numpy as np
import pytest
from helpers import close
from hotloop import nn

torch = pytest.importorskip("torch")

REDUCTIONS = ("none", "mean", "sum")


def normal(*shape):
    return lambda rng: rng.standard_normal(shape)


def unit(*shape):
    return lambda rng: rng.uniform(0.05, 0.95, shape)


def signs(*shape):
    return lambda rng: rng.choice([-1.0, 1.0], shape)


def labels(c, *shape):
    return lambda rng: rng.integers(0, c, shape)


def weights(c):
    return np.linspace(0.5, 2, c)


# class, arguments, makers of the inputs (those that are differentiable first), how many are differentiable
CASES = [
    ("MSELoss", {}, (normal(4, 3), normal(4, 3)), 2),
    ("L1Loss", {}, (normal(4, 3), normal(4, 3)), 2),
    ("SmoothL1Loss", {"beta": 0.5}, (normal(4, 3), normal(4, 3)), 2),
    ("SmoothL1Loss", {"beta": 0.0}, (normal(4, 3), normal(4, 3)), 2),
    ("HuberLoss", {"delta": 0.5}, (normal(4, 3), normal(4, 3)), 2),
    ("PoissonNLLLoss", {}, (normal(4, 3), unit(4, 3)), 2),
    (
        "PoissonNLLLoss",
        {"log_input": False, "full": True, "eps": 1e-3},
        (unit(4, 3), lambda rng: 3 * unit(4, 3)(rng)),
        2,
    ),
    ("PoissonNLLLoss", {}, (normal(4, 3), unit(3)), 2),
    ("GaussianNLLLoss", {}, (normal(4, 3), normal(4, 3), unit(4, 3)), 3),
    ("GaussianNLLLoss", {"full": True, "eps": 1e-3}, (normal(4, 3), normal(4, 3), unit(4)), 3),
    ("GaussianNLLLoss", {}, (normal(4, 3), normal(4, 1), unit(4, 1)), 3),
    ("KLDivLoss", {}, (normal(4, 3), unit(4, 3)), 2),
    ("KLDivLoss", {"log_target": True}, (normal(4, 3), normal(4, 3)), 2),
    ("KLDivLoss", {"log_target": True}, (normal(4, 3), normal(3)), 2),
    ("BCELoss", {}, (unit(4, 3), unit(4, 3)), 2),
    ("BCELoss", {"weight": weights(3)}, (unit(4, 3), unit(4, 3)), 2),
    ("BCEWithLogitsLoss", {}, (normal(4, 3), unit(4, 3)), 2),
    ("BCEWithLogitsLoss", {"weight": weights(4)[:, None], "pos_weight": weights(3)}, (normal(4, 3), unit(4, 3)), 2),
    ("HingeEmbeddingLoss", {"margin": 0.7}, (normal(4, 3), signs(4, 3)), 1),
    ("HingeEmbeddingLoss", {}, (normal(4, 3), signs(3)), 1),
    ("MarginRankingLoss", {"margin": 0.2}, (normal(5), normal(5), signs(5)), 3),
    ("MarginRankingLoss", {}, (normal(5), normal(1), signs(5)), 3),
    ("SoftMarginLoss", {}, (normal(4, 3), signs(4, 3)), 1),
    ("MultiMarginLoss", {}, (normal(4, 3), labels(3, 4)), 1),
    ("MultiMarginLoss", {"p": 2, "margin": 0.5, "weight": weights(3)}, (normal(4, 3), labels(3, 4)), 1),
    ("MultiMarginLoss", {}, (normal(3), labels(3)), 1),
    ("MultiMarginLoss", {}, (normal(3), labels(3, 1)), 1),
    ("MultiLabelMarginLoss", {}, (normal(2, 4), lambda rng: np.array([[3, 0, -1, 1], [2, 1, 0, 3]])), 1),
    ("MultiLabelMarginLoss", {}, (normal(4), lambda rng: np.array([3, 0, -1, 1])), 1),
    ("MultiLabelSoftMarginLoss", {"weight": weights(3)}, (normal(2, 4, 3), unit(2, 4, 3)), 2),
    ("MultiLabelSoftMarginLoss", {}, (normal(3), unit(3)), 2),
    ("CosineEmbeddingLoss", {"margin": 0.1}, (normal(4, 3), normal(4, 3), signs(4)), 2),
    ("CosineEmbeddingLoss", {}, (normal(3), normal(3), signs()), 2),
    ("CosineEmbeddingLoss", {}, (normal(1, 3), normal(4, 3), signs(4)), 2),
    ("TripletMarginLoss", {"margin": 0.4, "swap": True}, (normal(4, 3),) * 3, 3),
    ("TripletMarginLoss", {"p": 1.0}, (normal(4, 3), normal(1, 3), normal(4, 3)), 3),
    ("TripletMarginWithDistanceLoss", {"swap": True}, (normal(4, 3),) * 3, 3),
    ("NLLLoss", {}, (normal(4, 3), labels(3, 4)), 1),
    ("NLLLoss", {"weight": weights(3), "ignore_index": 1}, (normal(4, 3, 2), labels(3, 4, 2)), 1),
    ("NLLLoss", {}, (normal(3), labels(3)), 1),
    ("CrossEntropyLoss", {}, (normal(4, 3), labels(3, 4)), 1),
    ("CrossEntropyLoss", {}, (normal(3), labels(3)), 1),
    (
        "CrossEntropyLoss",
        {"weight": weights(3), "ignore_index": 1, "label_smoothing": 0.1},
        (normal(4, 3, 2, 5), labels(3, 4, 2, 5)),
        1,
    ),
    ("CrossEntropyLoss", {}, (normal(4, 3), unit(4, 3)), 2),
    ("CrossEntropyLoss", {"weight": weights(3), "label_smoothing": 0.1}, (normal(4, 3, 2), unit(4, 3, 2)), 2),
    ("CrossEntropyLoss", {}, (normal(3), unit(3)), 2),
]
IDS = [f"{name}-{'-'.join(options)}-{i}" for i, (name, options, _, _) in enumerate(CASES)]


def build(name, options, reduction="mean"):
    """Our criterion and torch's."""
    options = {**options, "reduction": reduction}
    theirs = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    return getattr(nn, name)(**options), getattr(torch.nn, name)(**theirs)


def tensors(arrays, differentiable):
    """Our tensors and torch's; those that are not differentiable stay arrays for us."""
    ours = [nn.Tensor(a.copy(), requires_grad=True) if i < differentiable else a for i, a in enumerate(arrays)]
    theirs = [torch.from_numpy(np.array(a)).requires_grad_(i < differentiable) for i, a in enumerate(arrays)]
    return ours, theirs


@pytest.mark.filterwarnings("ignore:reduction", "ignore:kl_div")
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name, options, makers, differentiable", CASES, ids=IDS)
def test_layer(rng, name, options, makers, differentiable, reduction):
    arrays = [np.asarray(make(rng)) for make in makers]
    layer, twin = build(name, options, reduction)
    ours, theirs = tensors(arrays, differentiable)
    loss, want = layer(*ours), twin(*theirs)
    close(loss.data, want.detach().numpy(), 1e-12)
    assert loss.shape == tuple(want.shape)
    dy = np.asarray(rng.standard_normal(loss.shape))
    loss.backward(dy)
    want.backward(torch.from_numpy(dy))
    for i in range(differentiable):
        close(ours[i].grad, theirs[i].grad.numpy(), 1e-11, f"gradient {i}")
    # no gradient asked for: nothing is recorded, the value is the same
    assert not layer(*arrays).requires_grad
    np.testing.assert_array_equal(layer(*arrays).data, loss.data)


@pytest.mark.filterwarnings("ignore:kl_div")
@pytest.mark.parametrize("name, options, makers, differentiable", CASES, ids=IDS)
def test_backward_from_one_and_twice(rng, name, options, makers, differentiable):
    layer, _ = build(name, options)
    arrays = [np.asarray(make(rng)) for make in makers]
    ours, _ = tensors(arrays, differentiable)
    loss = layer(*ours)
    loss.backward(retain_graph=True)
    first = [t.grad.copy() for t in ours[:differentiable]]
    # a scaled one in between must not spoil what backward needs
    loss.backward(np.asarray(3.0), retain_graph=True)
    loss.backward()
    for t, g in zip(ours, first, strict=False):
        close(t.grad, 5 * g, 1e-14)
    with pytest.raises(RuntimeError):
        loss.backward()


@pytest.mark.parametrize("name", sorted({case[0] for case in CASES} | {"CosineSimilarity", "PairwiseDistance"}))
def test_constructor_is_torchs(name):
    ours, theirs = (inspect.signature(getattr(module, name).__init__) for module in (nn, torch.nn))
    theirs = {n: p for n, p in theirs.parameters.items() if p.kind is not p.VAR_POSITIONAL}
    if any(p.kind is p.VAR_KEYWORD for p in theirs.values()):
        theirs = inspect.signature(torch.nn.modules.loss._WeightedLoss.__init__).parameters
    assert list(ours.parameters)[: len(theirs)] == list(theirs)
    for n, p in theirs.items():
        assert ours.parameters[n].default == p.default, n
        assert ours.parameters[n].kind == p.kind, n
    assert repr(getattr(nn, name)()) == repr(getattr(torch.nn, name)()).replace("\n", "\n")


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
def test_element_weights(rng, name, reduction):
    x, t, w = (rng.standard_normal((4, 3)) for _ in range(3))
    ours, theirs = tensors([x, t, w], 3)
    loss = getattr(nn.functional, name)(*ours[:2], weight=ours[2], reduction=reduction)
    want = getattr(torch.nn.functional, name)(*theirs[:2], weight=theirs[2], reduction=reduction)
    close(loss.data, want.detach().numpy(), 1e-12)
    loss.sum().backward()
    want.sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        close(a.grad, b.grad.numpy(), 1e-11)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_broadcasting_warns(rng, name):
    x, t = rng.standard_normal(5), rng.standard_normal((5, 1))
    ours, theirs = tensors([x, t], 2)
    with pytest.warns(UserWarning, match="broadcast"):
        loss = getattr(nn.functional, name)(*ours)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = getattr(torch.nn.functional, name)(*theirs)
    loss.backward()
    want.backward()
    close(loss.data, want.detach().numpy(), 1e-12)
    for a, b in zip(ours, theirs, strict=True):
        close(a.grad, b.grad.numpy(), 1e-12)


def test_kl_div_batchmean(rng):
    x, t = rng.standard_normal((4, 3)), rng.uniform(0.1, 1, (4, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = nn.KLDivLoss(reduction="batchmean")(x, t)
    want = torch.nn.KLDivLoss(reduction="batchmean")(torch.from_numpy(x), torch.from_numpy(t))
    close(got.data, want.numpy(), 1e-12)
    with pytest.warns(UserWarning, match="batchmean"):
        nn.KLDivLoss()(x, t)


def test_gaussian_variance_may_be_a_number(rng):
    x, t = rng.standard_normal((4, 3)), rng.standard_normal((4, 3))
    got = nn.functional.gaussian_nll_loss(x, t, 0.5)
    want = torch.nn.functional.gaussian_nll_loss(torch.from_numpy(x), torch.from_numpy(t), 0.5)
    close(got.data, want.numpy(), 1e-12)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "int64"])
def test_labels_of_any_whole_type(rng, dtype):
    x, y = rng.standard_normal((4, 3)), rng.integers(0, 3, 4)
    want = nn.functional.cross_entropy(x, y).item()
    assert nn.functional.cross_entropy(x, y.astype(dtype)).item() == want


def test_dtypes(rng):
    x, t = rng.standard_normal((4, 3)).astype(np.float32), rng.standard_normal((4, 3))
    assert nn.functional.mse_loss(x, t.astype(np.float32)).dtype == np.float32
    assert nn.functional.mse_loss(x, t).dtype == np.float64
    assert nn.functional.mse_loss(x, np.zeros((4, 3), np.int64)).dtype == np.float32
    parameter = nn.Tensor(x, requires_grad=True)
    nn.functional.mse_loss(parameter, t).backward()
    assert parameter.grad.dtype == np.float32


def test_strided_inputs(rng):
    x, y = rng.standard_normal((3, 8)), rng.integers(0, 3, 8)
    ours = nn.Tensor(x.T[::2], requires_grad=True)
    loss = nn.functional.cross_entropy(ours, y[::2])
    assert loss.item() == nn.functional.cross_entropy(np.ascontiguousarray(x.T[::2]), y[::2].copy()).item()
    loss.backward()
    assert ours.grad.shape == (4, 3)


def test_empty_batches():
    empty = np.zeros((0, 3), np.float32)
    for reduction, want in (("mean", [np.nan]), ("sum", [0.0]), ("none", [])):
        for loss in (
            nn.functional.mse_loss(empty, empty, reduction=reduction),
            nn.functional.cross_entropy(empty, np.zeros(0, np.int64), reduction=reduction),
            nn.functional.multi_margin_loss(empty, np.zeros(0, np.int64), reduction=reduction),
        ):
            np.testing.assert_array_equal(loss.data.reshape(-1), want)
    x = nn.Tensor(empty, requires_grad=True)
    nn.functional.cross_entropy(x, np.zeros(0, np.int64)).backward()
    assert x.grad.shape == (0, 3)


@pytest.mark.parametrize("p", [2.0, 1.0, 3.0, np.inf, 0.5])
@pytest.mark.parametrize("shapes", [((4, 3), (4, 3)), ((3,), (3,)), ((4, 3), (3,)), ((2, 1, 3), (4, 3))], ids=str)
@pytest.mark.parametrize("keepdim", [False, True])
def test_pairwise_distance(rng, p, shapes, keepdim):
    ours, theirs = tensors([rng.standard_normal(s) for s in shapes], 2)
    got = nn.PairwiseDistance(p, keepdim=keepdim)(*ours)
    want = torch.nn.PairwiseDistance(p, keepdim=keepdim)(*theirs)
    assert got.shape == tuple(want.shape)
    close(got.data, want.detach().numpy(), 1e-12)
    dy = np.asarray(rng.standard_normal(got.shape))
    got.backward(dy)
    want.backward(torch.from_numpy(dy))
    for a, b in zip(ours, theirs, strict=True):
        close(a.grad, b.grad.numpy(), 1e-10)


@pytest.mark.parametrize(
    "shapes, dim",
    [
        (((4, 3), (4, 3)), 1),
        (((4, 3), (4, 3)), 0),
        (((2, 4, 3), (2, 4, 3)), 1),
        (((2, 4, 3), (2, 4, 3)), -3),
        (((2, 1, 3), (2, 4, 3)), -1),
        (((1, 4, 3), (2, 4, 1)), 1),
        (((5,), (5,)), 0),
    ],
    ids=str,
)
def test_cosine_similarity(rng, shapes, dim):
    ours, theirs = tensors([rng.standard_normal(s) for s in shapes], 2)
    got, want = nn.CosineSimilarity(dim)(*ours), torch.nn.CosineSimilarity(dim)(*theirs)
    close(got.data, want.detach().numpy(), 1e-12)
    dy = np.asarray(rng.standard_normal(got.shape))
    got.backward(dy)
    want.backward(torch.from_numpy(dy))
    for a, b in zip(ours, theirs, strict=True):
        close(a.grad, b.grad.numpy(), 1e-11)


def test_one_gradient_of_two(rng):
    """Each input alone: the other's gradient is not made."""
    for function in (nn.functional.cosine_similarity, nn.functional.pairwise_distance, nn.functional.mse_loss):
        a, b = rng.standard_normal((4, 3)), rng.standard_normal((4, 3))
        both = nn.Tensor(a, requires_grad=True), nn.Tensor(b, requires_grad=True)
        function(*both).sum().backward()
        for i in range(2):
            alone = [nn.Tensor(a.copy()), nn.Tensor(b.copy())]
            alone[i].requires_grad = True
            function(*alone).sum().backward()
            np.testing.assert_array_equal(alone[i].grad, both[i].grad)
            assert alone[1 - i].grad is None


def test_any_distance_function(rng):
    arrays = [rng.standard_normal((4, 3)) for _ in range(3)]
    ours, theirs = tensors(arrays, 3)
    loss = nn.TripletMarginWithDistanceLoss(distance_function=lambda a, b: 1 - nn.functional.cosine_similarity(a, b))
    twin = torch.nn.TripletMarginWithDistanceLoss(
        distance_function=lambda a, b: 1 - torch.nn.functional.cosine_similarity(a, b)
    )
    got, want = loss(*ours), twin(*theirs)
    got.backward()
    want.backward()
    close(got.data, want.detach().numpy(), 1e-12)
    for a, b in zip(ours, theirs, strict=True):
        close(a.grad, b.grad.numpy(), 1e-11)


def test_state_and_copies():
    loss = nn.CrossEntropyLoss(weight=weights(3))
    assert list(loss.state_dict()) == ["weight"]
    other = copy.deepcopy(loss)
    np.testing.assert_array_equal(other.weight.data, weights(3))
    both = nn.BCEWithLogitsLoss(weight=weights(3), pos_weight=weights(3))
    assert sorted(both.state_dict()) == ["pos_weight", "weight"]
