"""Handwritten digits: a three-layer network learns scikit-learn's bundled 8 x 8 images. Nothing is downloaded.

    python examples/digits_mlp.py              prints the held-out accuracy, saves the learning curves as a picture

Five seeds are trained on the same 80 % of the images (a fixed split, each digit in proportion) and judged on the rest;
the accuracy printed is the median of the five. The held-out images choose nothing: not the epoch, not the weights.
"""

import argparse
import statistics
import time
from pathlib import Path

import hotloop
import numpy as np
from hotloop import nn, optim, train
from hotloop.kernels.jit import compile_log
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

EPOCHS = 15
SEEDS = range(5)
LEARNING_RATE = 2e-3


def data():
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32)
    x, x_test, y, y_test = train_test_split(images, labels, test_size=0.2, stratify=labels, random_state=0)
    return shifted(x, y), (x_test, y_test)


def shifted(x, y):
    """The images, and each of them moved by a pixel in every direction: five times as many to learn from."""
    padded = np.pad(x.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    moves = [(1, 1), (0, 1), (2, 1), (1, 0), (1, 2)]
    return np.concatenate([padded[:, i : i + 8, j : j + 8].reshape(-1, 64) for i, j in moves]), np.tile(y, len(moves))


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


class Course(train.Callback):
    """The learning rate falls along half a cosine; a line every five epochs says how it goes."""

    def __init__(self, seed):
        self.seed = seed

    def on_epoch_begin(self, run):
        run.optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1 + np.cos(np.pi * (run.epoch - 1) / run.epochs)) / 2

    def on_epoch_end(self, run):
        if run.epoch % 5 == 0:
            loss, accuracy = run.logs["loss"], run.logs["val_accuracy"]
            print(
                f"seed {self.seed}  epoch {run.epoch:2}/{run.epochs}  loss {loss:.4f}  held out {accuracy:.1%}",
                flush=True,
            )


def learn(seed, training, held_out):
    hotloop.manual_seed(seed)
    model = network()
    return train.fit(
        model,
        nn.CrossEntropyLoss(),
        optim.Adam(model.parameters(), lr=LEARNING_RATE),
        training,
        epochs=EPOCHS,
        batch_size=32,
        seed=seed,
        validation=held_out,
        metrics="accuracy",
        callbacks=Course(seed),
        verbose=False,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=Path, default=Path("digits_mlp.png"), help="where the picture goes")
    curves = parser.parse_args().curves
    began = time.perf_counter()
    training, held_out = data()
    print(f"{len(training[0])} images to learn from, {len(held_out[0])} held out; kernels are compiled as they are met")
    histories = [learn(seed, training, held_out) for seed in SEEDS]
    accuracies = [history["val_accuracy"][-1] for history in histories]
    middle = accuracies.index(statistics.median(accuracies))
    histories[middle].plot(curves, title=f"Handwritten digits, 64-256-256-10, seed {middle}")

    epoch = statistics.median(seconds for history in histories for seconds in history.seconds)
    compiled = [seconds for _, seconds, how in compile_log if how == "compiled"]
    print(f"\nan epoch takes {1e3 * epoch:.0f} ms; everything took {time.perf_counter() - began:.1f} s")
    loaded = len(compile_log) - len(compiled)
    print(f"{len(compiled)} kernels compiled in {sum(compiled):.1f} s, {loaded} found in the cache")
    print(f"learning curves: {curves}")
    print("by seed: " + ", ".join(f"{100 * accuracy:.1f}" for accuracy in accuracies))
    print(f"held-out accuracy: {100 * accuracies[middle]:.1f} %")


if __name__ == "__main__":
    main()
