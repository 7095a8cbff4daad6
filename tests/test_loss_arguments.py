"""What losses are called with: PyTorch's signatures, its deprecated names, and what is refused."""

import inspect
import itertools
import warnings

import numpy as np
import pytest
from hotloop import nn

torch = pytest.importorskip("torch")

FUNCTIONS = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cosine_embedding_loss", "cross_entropy",
    "gaussian_nll_loss", "hinge_embedding_loss", "huber_loss", "kl_div", "l1_loss", "margin_ranking_loss", "mse_loss",
    "multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss", "nll_loss", "poisson_nll_loss",
    "smooth_l1_loss", "soft_margin_loss", "triplet_margin_loss", "triplet_margin_with_distance_loss",
]  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_signature_is_torchs(name):
    ours, theirs = (inspect.signature(getattr(module, name)) for module in (nn.functional, torch.nn.functional))
    assert list(ours.parameters) == list(theirs.parameters)
    for n, p in theirs.parameters.items():
        assert ours.parameters[n].default == p.default, n
        assert ours.parameters[n].kind == p.kind, n


def test_legacy_arguments():
    for average, reduce in itertools.product((None, True, False), repeat=2):
        if average is None and reduce is None:
            continue
        with pytest.warns(UserWarning, match="deprecated"):
            ours = nn.MSELoss(average, reduce)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert ours.reduction == torch.nn.MSELoss(average, reduce).reduction


BAD = [
    (ValueError, "reduction", lambda f, x, y: f.mse_loss(x, x, reduction="average")),
    (ValueError, "broadcast", lambda f, x, y: f.poisson_nll_loss(x, np.ones(5))),
    (ValueError, r"expected shape \(4,\)", lambda f, x, y: f.cross_entropy(x, y[:3])),
    (ValueError, r"expected shape \(4,\)", lambda f, x, y: f.nll_loss(x, y[:, None])),
    (ValueError, "label_smoothing", lambda f, x, y: f.cross_entropy(x, y, label_smoothing=1.5)),
    (ValueError, r"weight: expected shape \(3,\)", lambda f, x, y: f.cross_entropy(x, y, weight=np.ones(2))),
    (TypeError, "whole numbers", lambda f, x, y: f.cross_entropy(x, y.astype(np.float32))),
    (TypeError, "probabilities", lambda f, x, y: f.cross_entropy(x, np.zeros((4, 3), np.int64))),
    (IndexError, "label 3 is out of range: expected 0 .. 2", lambda f, x, y: f.cross_entropy(x, y + 1)),
    (IndexError, "label 3 is out of range: expected 0 .. 2", lambda f, x, y: f.multi_margin_loss(x, y + 1)),
    (ValueError, "ignore_index", lambda f, x, y: f.cross_entropy(x, abs(x), ignore_index=1)),
    (ValueError, "the input's shape", lambda f, x, y: f.binary_cross_entropy(x, x[:3])),
    (ValueError, "the input's shape", lambda f, x, y: f.binary_cross_entropy_with_logits(x, x[:3])),
    (ValueError, "pos_weight", lambda f, x, y: f.binary_cross_entropy_with_logits(x, x, pos_weight=np.ones((2, 4, 3)))),
    (ValueError, "between 0 and 1", lambda f, x, y: f.binary_cross_entropy(x + 2, x)),
    (ValueError, "var", lambda f, x, y: f.gaussian_nll_loss(x, x, np.ones((2, 3)))),
    (ValueError, "var", lambda f, x, y: f.gaussian_nll_loss(x, x, -np.ones((4, 3)))),
    (ValueError, "delta", lambda f, x, y: f.huber_loss(x, x, delta=0.0)),
    (ValueError, "beta", lambda f, x, y: f.smooth_l1_loss(x, x, beta=-1.0)),
    (ValueError, "p: expected 1 or 2", lambda f, x, y: f.multi_margin_loss(x, y, p=3)),
    (ValueError, "dimensions", lambda f, x, y: f.margin_ranking_loss(x, x[0], x)),
    (ValueError, "margin", lambda f, x, y: f.triplet_margin_loss(x, x, x, margin=0.0)),
    (ValueError, "target", lambda f, x, y: f.cosine_embedding_loss(x, x, np.ones((4, 3)))),
    (ValueError, "may require a gradient", lambda f, x, y: f.soft_margin_loss(x, nn.Tensor(x, requires_grad=True))),
    (ValueError, "may require a gradient", lambda f, x, y: f.cross_entropy(x, y, nn.Tensor(x[0], requires_grad=True))),
    (IndexError, "dim", lambda f, x, y: f.cosine_similarity(x, x, dim=2)),
]


@pytest.mark.parametrize("error, match, run", BAD, ids=[f"{i}-{b[1][:12]}" for i, b in enumerate(BAD)])
def test_bad_input(rng, error, match, run):
    x, y = rng.standard_normal((4, 3)), np.array([0, 1, 2, 1])
    with pytest.raises(error, match=match):
        run(nn.functional, x, y)
