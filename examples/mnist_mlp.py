"""MNIST: a three-layer network learns 60,000 handwritten digits from the original files.

    python examples/mnist_mlp.py --data FOLDER

FOLDER holds train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and
t10k-labels-idx1-ubyte.gz, as Yann LeCun published them (unpacked is fine, too).
"""

import argparse
import gzip
import sys
import time
from pathlib import Path

import hotloop
import numpy as np
from hotloop import nn, optim, train


def read_idx(folder, name):
    """One idx file of unsigned bytes, packed or not, as an array."""
    packed, plain = folder / f"{name}.gz", folder / name
    if not packed.exists() and not plain.exists():
        sys.exit(f"no {packed.name} in {folder}: --data takes the folder of the four MNIST files")
    raw = gzip.decompress(packed.read_bytes()) if packed.exists() else plain.read_bytes()
    kind, dimensions = raw[2], raw[3]
    shape = np.frombuffer(raw, ">i4", dimensions, offset=4)
    if kind != 8 or len(raw) != 4 + 4 * dimensions + shape.prod():
        sys.exit(f"{folder / name}: not an idx file of bytes, or cut short")
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def load(folder, part):
    images = read_idx(folder, f"{part}-images-idx3-ubyte")
    labels = read_idx(folder, f"{part}-labels-idx1-ubyte")
    return images.reshape(len(images), -1).astype(np.float32) / 255, labels.astype(np.int64)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the four files")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--curves", type=Path, default=Path("mnist_mlp.png"), help="where the learning curves go")
    args = parser.parse_args()

    hotloop.manual_seed(args.seed)
    training, test = load(args.data, "train"), load(args.data, "t10k")
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
