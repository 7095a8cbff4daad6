"""Handwritten digits: a convolutional network learns scikit-learn's bundled 8 x 8 images. Nothing is downloaded.

    python examples/digits_cnn.py              prints the held-out accuracy, saves the learning curves as a picture

Five seeds are trained on the same 80 % of the images (a fixed split, each digit in proportion) and judged on the rest;
the accuracy printed is the median of the five. The held-out images choose nothing: not the epoch, not the weights.
"""

from digits import demonstrate
from hotloop import nn


def network():
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(64 * 2 * 2, 10),
    )


if __name__ == "__main__":
    demonstrate(__doc__, network, "digits_cnn", "two convolutions", learning_rate=3e-3, epochs=10, batch_size=64)
