"""What the programs on scikit-learn's handwritten digits share: the images, the training, the report, the curves."""

import argparse
import statistics
import sys
import time
from pathlib import Path

import hotloop
import numpy as np
from hotloop import nn, optim, train
from hotloop.kernels.jit import compile_log
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


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


class Course(train.Callback):
    """A line every five epochs says how it goes."""

    def __init__(self, seed):
        self.seed = seed

    def on_epoch_end(self, run):
        if run.epoch % 5 == 0:
            loss, accuracy = run.logs["loss"], run.logs["val_accuracy"]
            print(
                f"seed {self.seed}  epoch {run.epoch:2}/{run.epochs}  loss {loss:.4f}  held out {accuracy:.1%}",
                flush=True,
            )


def learn(seed, network, learning_rate, training, held_out, epochs, **options):
    hotloop.manual_seed(seed)
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=learning_rate)
    # down along half a cosine
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    return train.fit(
        model,
        nn.CrossEntropyLoss(),
        optimizer,
        training,
        epochs,
        seed=seed,
        validation=held_out,
        metrics="accuracy",
        callbacks=[train.Schedule(schedule), Course(seed)],
        verbose=False,
        **options,
    )


def demonstrate(description, network, name, layers, learning_rate, **options):
    """Train `network()` with some seeds and say how good it is; the curves go to `name`.png. options: fit's."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=Path, default=Path(f"{name}.png"), help="where the picture goes")
    parser.add_argument("--seeds", type=int, choices=range(1, 100, 2), default=5, metavar="N", help="an odd number")
    args = parser.parse_args()
    if not args.curves.parent.is_dir():
        sys.exit(f"--curves: no folder {args.curves.parent}")
    began = time.perf_counter()
    training, held_out = data()
    print(f"{len(training[0])} images to learn from, {len(held_out[0])} held out; kernels are compiled as they are met")
    histories = [learn(seed, network, learning_rate, training, held_out, **options) for seed in range(args.seeds)]
    accuracies = [history["val_accuracy"][-1] for history in histories]
    middle = accuracies.index(statistics.median(accuracies))
    histories[middle].plot(args.curves, title=f"Handwritten digits, {layers}, seed {middle}")

    epoch = statistics.median(seconds for history in histories for seconds in history.seconds)
    compiled = [seconds for _, seconds, how in compile_log if how == "compiled"]
    print(f"\nan epoch takes {1e3 * epoch:.0f} ms; everything took {time.perf_counter() - began:.1f} s")
    loaded = len(compile_log) - len(compiled)
    print(f"{len(compiled)} kernels compiled in {sum(compiled):.1f} s, {loaded} found in the cache")
    print(f"learning curves: {args.curves}")
    print("by seed: " + ", ".join(f"{100 * accuracy:.1f}" for accuracy in accuracies))
    print(f"held-out accuracy: {100 * accuracies[middle]:.1f} %")
