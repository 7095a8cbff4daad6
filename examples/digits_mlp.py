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

EPOCHS = 50
SEEDS = range(5)


def data():
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32)
    x, x_test, y, y_test = train_test_split(images, labels, test_size=0.2, stratify=labels, random_state=0)
    return (x, y), (x_test, y_test)


def network():
    return nn.Sequential(
        nn.Linear(64, 256),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(256, 256),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(256, 10),
    )


class EveryTenth(train.Callback):
    """A line every ten epochs."""

    def __init__(self, seed):
        self.seed = seed

    def on_epoch_end(self, run):
        if run.epoch % 10 == 0:
            loss, accuracy = run.logs["loss"], run.logs["val_accuracy"]
            print(
                f"seed {self.seed}  epoch {run.epoch:2d}/{run.epochs}  loss {loss:.4f}  held out {accuracy:.1%}",
                flush=True,
            )


def learn(seed, training, held_out):
    hotloop.manual_seed(seed)
    model = network()
    return train.fit(
        model,
        nn.CrossEntropyLoss(),
        optim.Adam(model.parameters(), lr=2e-3),
        training,
        epochs=EPOCHS,
        batch_size=32,
        seed=seed,
        validation=held_out,
        metrics="accuracy",
        callbacks=EveryTenth(seed),
        verbose=False,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=Path, default=Path("digits_mlp.png"), help="where the picture goes")
    curves = parser.parse_args().curves
    began = time.perf_counter()
    training, held_out = data()
    print(f"{len(training[0])} digits to learn from, {len(held_out[0])} held out; kernels are compiled as they are met")
    histories = [learn(seed, training, held_out) for seed in SEEDS]
    accuracies = [history["val_accuracy"][-1] for history in histories]
    middle = accuracies.index(statistics.median(accuracies))
    histories[middle].plot(curves, title=f"{len(training[0])} handwritten digits, seed {middle}")

    epoch = statistics.median(seconds for history in histories for seconds in history.seconds)
    compiled = [seconds for _, seconds, how in compile_log if how == "compiled"]
    print(f"\nan epoch takes {1e3 * epoch:.0f} ms; everything took {time.perf_counter() - began:.1f} s")
    print(
        f"compiled {len(compiled)} kernels in {sum(compiled):.1f} s, found {len(compile_log) - len(compiled)} in the cache"
    )
    print(f"learning curves: {curves}")
    print("by seed: " + ", ".join(f"{100 * accuracy:.1f}" for accuracy in accuracies))
    print(f"held-out accuracy: {100 * accuracies[middle]:.1f} %")


if __name__ == "__main__":
    main()
