"""Handwritten digits: a three-layer network learns scikit-learn's bundled 8 x 8 images. Nothing is downloaded.

    python examples/digits_mlp.py              prints the held-out accuracy, saves the learning curves as a picture

Five seeds are trained on the same 80 % of the images (a fixed split, each digit in proportion) and judged on the rest;
the accuracy printed is the median of the five. The held-out images choose nothing: not the epoch, not the weights.
"""

from digits import demonstrate
from hotloop import nn


def network():
    return nn.Sequential(
        nn.Linear(64, 256),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(256, 256),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(256, 10),
    )


if __name__ == "__main__":
    demonstrate(__doc__, network, "digits_mlp", "64-256-256-10", learning_rate=2e-3, epochs=15, batch_size=32)
