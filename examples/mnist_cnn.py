"""MNIST: a convolutional network learns 60,000 handwritten digits from the original files, some minutes on two cores.

    python examples/mnist_cnn.py --data FOLDER

FOLDER holds train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and
t10k-labels-idx1-ubyte.gz, as Yann LeCun published them (unpacked is fine, too).

The last 5,000 training images are held out: layers, learning rate and epochs were chosen by them, and the curves show
them beside the images that are learnt from. The test images choose nothing: they are looked at once, at the end.
"""

import sys
import time
from pathlib import Path

import hotloop
import mnist
import numpy as np
from hotloop import nn, optim, train
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

HELD_OUT = 5000
LEARNING_RATE = 2e-3
REACH = 2  # pixels that an image may be moved by


class Moved:
    """Mini-batches in a new order every epoch, each image moved by some pixels."""

    def __init__(self, images, labels, batch_size, seed):
        padded = np.pad(images, ((0, 0), (REACH, REACH), (REACH, REACH)))
        # a view: (N, moves down, moves right, 28, 28)
        self.views = np.lib.stride_tricks.sliding_window_view(padded, images.shape[1:], (1, 2))
        self.labels, self.batch_size = labels, batch_size
        self.rng = np.random.default_rng(seed)

    def __len__(self):
        return -(-len(self.labels) // self.batch_size)

    def __iter__(self):
        order = self.rng.permutation(len(self.labels))
        for begin in range(0, len(order), self.batch_size):
            chosen = order[begin : begin + self.batch_size]
            down, right = self.rng.integers(0, 2 * REACH + 1, (2, len(chosen)))
            yield inputs(self.views[chosen, down, right]), self.labels[chosen]


def inputs(images):
    """Bytes as the network sees them: (N, 1, 28, 28), 0 to 1."""
    return images[:, None].astype(np.float32) / 255


def network():
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 128),
        nn.ReLU(),
        nn.Dropout(0.4),
        nn.Linear(128, 10),
    )


def draw(path, filters, images, labels, scores):
    """The filters of the first layer, and the digits that were misread, the most confident mistakes first."""
    chances = np.exp(scores - scores.max(1, keepdims=True))
    chances /= chances.sum(1, keepdims=True)
    read, sure = chances.argmax(1), chances.max(1)
    misread = np.flatnonzero(read != labels)
    misread = misread[np.argsort(-sure[misread])][:40]

    figure = Figure(figsize=(10, 11), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subfigures(2, 1, height_ratios=(4, 7))
    above.suptitle("What the first layer looks for")
    limit = np.abs(filters).max()
    for axes, image in zip(above.subplots(4, 8).flat, filters[:, 0], strict=True):
        axes.imshow(image, cmap="RdBu", vmin=-limit, vmax=limit)
        axes.set_axis_off()
    below.suptitle(f"Misread: {(read != labels).sum()} of {len(labels)} test images, the surest first")
    for axes in (grid := below.subplots(5, 8)).flat:
        axes.set_axis_off()
    for axes, i in zip(grid.flat, misread, strict=False):
        axes.imshow(images[i], cmap="gray_r")
        axes.set_title(f"{read[i]}, is {labels[i]} ({sure[i]:.0%})", fontsize=9)
    figure.savefig(path, dpi=120)


def main():
    parser = mnist.arguments(__doc__, epochs=10)
    parser.add_argument("--images", type=mnist.positive, help="learn from the first so many images (default: all)")
    parser.add_argument("--pictures", type=Path, default=Path(), help="folder of the two pictures")
    args = parser.parse_args()
    if not args.pictures.is_dir():
        sys.exit(f"--pictures: no folder {args.pictures}")
    images, labels = mnist.read(args.data, "train")
    test_images, test_labels = mnist.read(args.data, "t10k")

    hotloop.manual_seed(args.seed)
    model = network()
    data = Moved(images[:-HELD_OUT][: args.images], labels[:-HELD_OUT][: args.images], args.batch_size, args.seed)
    optimizer = optim.Adam(model.parameters(), lr=LEARNING_RATE)
    # down along half a cosine, a little after every batch
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs * len(data))
    began = time.perf_counter()
    history = train.fit(
        model,
        nn.CrossEntropyLoss(),
        optimizer,
        data,
        epochs=args.epochs,
        validation=(inputs(images[-HELD_OUT:]), labels[-HELD_OUT:]),
        metrics="accuracy",
        callbacks=train.Schedule(schedule, "batch"),
    )
    curves, digits = args.pictures / "mnist_cnn_curves.png", args.pictures / "mnist_cnn_digits.png"
    history.plot(curves, title="MNIST, two convolutions")
    scores = train.predict(model, inputs(test_images))
    draw(digits, model[0].weight.numpy(), test_images, test_labels, scores)
    print(f"{time.perf_counter() - began:.1f} s; learning curves: {curves}; filters and misread digits: {digits}")
    print(f"held-out accuracy: {100 * history['val_accuracy'][-1]:.2f} %")
    print(f"test accuracy: {100 * train.Accuracy()(scores, test_labels):.2f} %")


if __name__ == "__main__":
    main()
