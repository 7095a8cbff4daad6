"""Nine optimizers on two classic surfaces and on handwritten digits: a picture and a table, under a minute.

    python examples/optimizers.py              prints the table, draws optimizers.png

Rosenbrock's valley is found at once, and hard to walk: it is bent, nearly flat, and its walls are steep. Himmelblau's
surface has four minima, all of height 0; from a start between them the optimizers do not all find the same. On the
digits each trains the same small network on scikit-learn's bundled images. Progress is told by what they all need:
gradients. On the surfaces one is taken at a point; on the digits an epoch's worth of them is one of every image, in
batches or, as LBFGS needs it, of all images at once: few steps, and little time.

Rates do not change in a run. Those on the digits were chosen by a fifth of the images to learn from, set apart for it;
the held-out images choose nothing, and the curves are means over seeds. What is best here need not be so elsewhere.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import digits
import hotloop
import numpy as np
import options
from hotloop import nn, optim, train
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

BATCH_SIZE = 32


class Together:
    """Several optimizers as one, each with parameters of its own."""

    def __init__(self, *optimizers):
        self.optimizers = optimizers

    def zero_grad(self):
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def step(self, closure):
        loss = closure()
        for optimizer in self.optimizers:
            optimizer.step()
        return loss


def muon_and_adam(parameters, lr):
    """Muon is for matrices alone: Adam has the biases."""
    matrices, others = [], []
    for p in parameters:
        (matrices if p.ndim == 2 else others).append(p)
    # so that the rates of Adam suit
    muon = optim.Muon(matrices, lr=lr, weight_decay=0, adjust_lr_fn="match_rms_adamw")
    return Together(muon, optim.Adam(others, lr=lr))


nesterov = {"momentum": 0.9, "nesterov": True}
# every step begins with a gradient that the last one had: on the surfaces, to see each iteration, it makes one alone
search = {"line_search_fn": "strong_wolfe"}

# name: colour, constructor, its options on the surfaces (None: not for points), its options on the digits
OPTIMIZERS = {
    "SGD": ("#1f77b4", optim.SGD, {"lr": 1e-3}, {"lr": 1.0}),
    "SGD, Nesterov momentum": ("#17becf", optim.SGD, {"lr": 1e-3, **nesterov}, {"lr": 0.1, **nesterov}),
    "Adagrad": ("#2ca02c", optim.Adagrad, {"lr": 0.5}, {"lr": 0.1}),
    "RMSprop": ("#bcbd22", optim.RMSprop, {"lr": 0.02}, {"lr": 2e-3}),
    "Adam": ("#ff7f0e", optim.Adam, {"lr": 0.2}, {"lr": 5e-3}),
    "schedule-free AdamW": ("#d62728", optim.AdamWScheduleFree, {"lr": 0.1}, {"lr": 0.01}),
    "Lion": ("#9467bd", optim.Lion, {"lr": 0.01}, {"lr": 5e-4}),
    "LBFGS": ("black", optim.LBFGS, {"max_iter": 1, "max_eval": 10, **search}, {"max_iter": 4, **search}),
    "Muon": ("#e377c2", muon_and_adam, None, {"lr": 2e-3}),
}


class Surface(NamedTuple):
    height: Callable  # of x and y: numbers, arrays or tensors
    start: tuple
    minima: tuple  # all of height 0
    window: tuple  # (from, to) of x, of y


SURFACES = {
    "Rosenbrock": Surface(
        lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2, (-1.2, 1.0), ((1, 1),), ((-1.75, 1.75), (-0.75, 2.25))
    ),
    "Himmelblau": Surface(
        lambda x, y: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2,
        (0.0, -1.0),
        ((3, 2), (-2.805, 3.131), (-3.779, -3.283), (3.584, -1.848)),
        ((-5.5, 5.5), (-5, 5)),
    ),
}


@contextmanager
def at_result(optimizer):
    """The parameters are for a while what one would keep: schedule-free, not those that gradients are taken at."""
    averages = hasattr(optimizer, "eval")
    if averages:
        optimizer.eval()
    yield
    if averages:
        optimizer.train()


class Way(NamedTuple):
    """How an optimizer went down a surface."""

    gradients: np.ndarray  # (N,), taken until it was there
    points: np.ndarray  # (N, 2)
    heights: np.ndarray  # (N,)


def descend(optimizer_of, surface, gradients):
    point = nn.Parameter(np.array(surface.start))
    optimizer = optimizer_of([point])
    taken, way = 0, [(0, *surface.start)]

    def closure():
        nonlocal taken
        taken += 1
        optimizer.zero_grad()
        height = surface.height(point[0], point[1])
        height.backward()
        return height

    while taken < gradients:
        optimizer.step(closure)
        with at_result(optimizer):
            way.append((taken, *point.tolist()))
    taken, x, y = np.array(way).T
    return Way(taken, np.stack([x, y], axis=1), surface.height(x, y))


class Curve(NamedTuple):
    """How an optimizer trained the network."""

    losses: np.ndarray  # on the images to learn from, after 0, 1, .. epochs
    accuracies: np.ndarray  # on those held out
    seconds: float


def learn(optimizer_of, seed, epochs, training, held_out, batch_size):
    hotloop.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    loss_function = nn.CrossEntropyLoss()
    optimizer = optimizer_of(model.parameters())
    loader = train.DataLoader(training, batch_size, shuffle=True, seed=seed)
    seen, seconds, rows = 0, 0.0, []

    def closure(images, labels):
        nonlocal seen
        seen += len(labels)
        optimizer.zero_grad()
        loss = loss_function(model(images), labels)
        loss.backward()
        return loss

    def judge():
        with at_result(optimizer):
            loss = train.evaluate(model, training, loss_function)["loss"]
            accuracy = train.evaluate(model, held_out, metrics="accuracy")["accuracy"]
        rows.append((seen / len(training[0]), loss, accuracy))

    judge()
    while seen < epochs * len(training[0]):
        began = time.perf_counter()
        for images, labels in loader:
            optimizer.step(partial(closure, images, labels))
        seconds += time.perf_counter() - began
        judge()
    # a step of LBFGS takes several epochs: between them, a straight line
    epoch, losses, accuracies = np.array(rows).T
    whole = np.arange(epochs + 1)
    return Curve(np.interp(whole, epoch, losses), np.interp(whole, epoch, accuracies), seconds)


def learn_seeds(optimizer_of, seeds, *arguments):
    """The mean over seeds; of seconds the median, since in the first run kernels are compiled."""
    curves = [learn(optimizer_of, seed, *arguments) for seed in range(seeds)]
    losses, accuracies, seconds = zip(*curves, strict=True)
    return Curve(np.mean(losses, axis=0), np.mean(accuracies, axis=0), statistics.median(seconds))


def draw_surface(axes, name, ways):
    """The surface from above, and the ways down."""
    surface, limits = SURFACES[name], SURFACES[name].window
    x, y = np.meshgrid(*(np.linspace(*limit, 400) for limit in limits))
    heights = surface.height(x, y)
    # from line to line it doubles
    lines = 2.0 ** np.arange(-2, math.log2(heights.max()) + 1)
    shades = LogNorm(lines[0], lines[-1] ** 2)  # light ones
    axes.contourf(x, y, heights, levels=lines, cmap="Greys", norm=shades, extend="min")
    axes.contour(x, y, heights, levels=lines, colors="0.7", linewidths=0.5)
    axes.plot(*np.transpose(surface.minima), "*", color="gold", markersize=20, markeredgecolor="black")
    for optimizer, way in ways.items():
        colour = OPTIMIZERS[optimizer][0]
        axes.plot(*way.points.T, color=colour, linewidth=1, marker=".", markersize=3)
        axes.plot(*way.points[-1], "o", color=colour, markersize=9, markeredgecolor="white", zorder=4)
    axes.plot(*surface.start, "X", color="black", markersize=13, markeredgecolor="white", zorder=5)
    axes.set(xlim=limits[0], ylim=limits[1], title=f"{name}: from the cross towards a star, to the dots")


def draw(path, ways, curves):
    figure = Figure(figsize=(17, 10), layout="constrained")
    FigureCanvasAgg(figure)
    (*maps, losses), (*heights, accuracies) = figure.subplots(2, 3, height_ratios=(1.25, 1))
    for name, seen, fallen in zip(SURFACES, maps, heights, strict=True):
        draw_surface(seen, name, ways[name])
        for optimizer, way in ways[name].items():
            fallen.plot(way.gradients, way.heights, color=OPTIMIZERS[optimizer][0])
        # as a logarithm, but for the first
        fallen.set_xscale("symlog", linthresh=1)
        fallen.set(yscale="log", ylim=(1e-10, None), title=f"{name}: height", xlabel="gradients taken")
    for optimizer, curve in curves.items():
        colour = OPTIMIZERS[optimizer][0]
        losses.plot(curve.losses, color=colour, label=optimizer)
        accuracies.plot(100 * curve.accuracies, color=colour)
    losses.set(yscale="log", title="Digits: training loss", xlabel="epochs")
    accuracies.set(ylim=(80, 100), title="Digits: held-out accuracy, %", xlabel="epochs")
    for axes in (*heights, losses, accuracies):
        axes.margins(x=0)
        axes.grid(alpha=0.3)
    for axes in (losses, accuracies):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside upper center", ncols=9, fontsize="medium")
    figure.savefig(path, dpi=120)


def line(name, ways, curve):
    """Of the table."""
    if None in ways:
        fallen = ""
    else:
        x, y = ways[-1].points[-1]
        fallen = "".join(f"{way.heights[-1]:12.1e}" for way in ways) + f"  ({x:5.2f}, {y:5.2f})"
    return f"{name:22}{fallen:40}{100 * curve.accuracies[-1]:7.1f} %{curve.seconds:6.2f} s"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gradients", type=options.positive, default=1000, help="on a surface; default 1000")
    parser.add_argument("--epochs", type=options.positive, default=20, help="on the digits; default 20")
    parser.add_argument("--seeds", type=options.positive, default=3, metavar="N", help="trainings each; default 3")
    parser.add_argument("--picture", type=Path, default=Path("optimizers.png"), help="where it goes")
    args = parser.parse_args()
    options.writable("--picture", args.picture)
    began = time.perf_counter()
    training, held_out = digits.data()
    print(f"height after {args.gradients} gradients; held-out accuracy after {args.epochs} epochs, and their seconds\n")
    print(f"{'':22}  Rosenbrock  Himmelblau  at a point       digits")
    ways, curves = {name: {} for name in SURFACES}, {}
    for name, (_, constructor, on_surfaces, on_digits) in OPTIMIZERS.items():
        if on_surfaces is not None:
            make = partial(constructor, **on_surfaces)
            for surface in SURFACES:
                ways[surface][name] = descend(make, SURFACES[surface], args.gradients)
        batch_size = None if constructor is optim.LBFGS else BATCH_SIZE
        curves[name] = learn_seeds(
            partial(constructor, **on_digits), args.seeds, args.epochs, training, held_out, batch_size
        )
        print(line(name, [ways[surface].get(name) for surface in SURFACES], curves[name]), flush=True)
    draw(args.picture, ways, curves)
    print(f"\n{args.picture} shows it; everything took {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
