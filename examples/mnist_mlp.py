"""MNIST: a three-layer network learns 60,000 handwritten digits from the original files.

    python examples/mnist_mlp.py --data FOLDER

FOLDER holds train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and
t10k-labels-idx1-ubyte.gz, as Yann LeCun published them (unpacked is fine, too).
"""

import sys
import time
from pathlib import Path

import hotloop
import mnist
import numpy as np
from hotloop import nn, optim, train


def load(folder, part):
    images, labels = mnist.read(folder, part)
    return images.reshape(len(images), -1).astype(np.float32) / 255, labels


def main():
    parser = mnist.arguments(__doc__, epochs=10)
    parser.add_argument("--curves", type=Path, default=Path("mnist_mlp.png"), help="where the learning curves go")
    args = parser.parse_args()
    if not args.curves.parent.is_dir():
        sys.exit(f"--curves: no folder {args.curves.parent}")
    training, test = load(args.data, "train"), load(args.data, "t10k")

    hotloop.manual_seed(args.seed)
    model = nn.Sequential(
        nn.Linear(784, 256),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(256, 128),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(128, 10),
    )
    began = time.perf_counter()
    history = train.fit(
        model,
        nn.CrossEntropyLoss(),
        optim.Adam(model.parameters(), lr=1e-3),
        training,
        epochs=args.epochs,
        batch_size=args.batch_size,
        seed=args.seed,
        validation=test,
        metrics="accuracy",
    )
    history.plot(args.curves, title="MNIST, 784-256-128-10")
    print(f"{time.perf_counter() - began:.1f} s, learning curves: {args.curves}")
    print(f"test accuracy: {100 * history['val_accuracy'][-1]:.2f} %")


if __name__ == "__main__":
    main()
