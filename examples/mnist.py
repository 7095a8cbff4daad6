"""MNIST's original files, and the arguments that the programs on them share."""

import argparse
import gzip
import sys
from pathlib import Path

import numpy as np
from options import positive, seed


def arguments(description, epochs):
    """A parser with the options of every program; it says what is wrong in one line."""
    parser = argparse.ArgumentParser(
        description=description, usage=argparse.SUPPRESS, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the four files")
    parser.add_argument("--epochs", type=positive, default=epochs, help=f"default {epochs}")
    parser.add_argument("--batch-size", type=positive, default=128, help="default 128")
    parser.add_argument("--seed", type=seed, default=0, help="of weights, order and dropout; default 0")
    return parser


def read(folder, part):
    """Images (N, 28, 28) and labels (N,) of a part, "train" or "t10k"."""
    images, labels = (read_idx(folder, f"{part}-{what}-ubyte") for what in ("images-idx3", "labels-idx1"))
    if images.shape != (len(labels), 28, 28) or labels.ndim != 1:
        sys.exit(f"{folder}: expected images (N, 28, 28) and N labels of {part}, got {images.shape} and {labels.shape}")
    return images, labels.astype(np.int64)


def read_idx(folder, name):
    """One idx file of unsigned bytes, packed or not, as an array."""
    packed, plain = folder / f"{name}.gz", folder / name
    if not packed.exists() and not plain.exists():
        sys.exit(f"no {packed.name} in {folder}: --data takes the folder of the four MNIST files")
    try:
        raw = gzip.decompress(packed.read_bytes()) if packed.exists() else plain.read_bytes()
        kind, dimensions = raw[2], raw[3]
        shape = np.frombuffer(raw, ">i4", dimensions, offset=4)
        if kind != 8 or len(raw) != 4 + 4 * dimensions + shape.prod():
            raise ValueError
    except (EOFError, IndexError, OSError, ValueError):
        sys.exit(f"{folder / name}: not an idx file of bytes, or cut short")
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
