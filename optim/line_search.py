"""A line search for the strong Wolfe conditions: how far to go along a direction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Point(NamedTuple):
    """What is known at the distance t: the loss, its slope along the direction, the gradient."""

    t: float
    loss: float
    slope: float
    grad: Any


def strong_wolfe(
    evaluate: Callable[[float], Point],
    start: Point,
    t: float,
    largest: float,
    tolerance_change: float,
    max_evaluations: int,
    c1: float = 1e-4,
    c2: float = 0.9,
) -> tuple[Point, int]:
    """A point where loss <= start.loss + c1 * t * start.slope and |slope| <= c2 * |start.slope|, and the evaluations.

    start            the point where the search begins, at t = 0
    t                the first distance tried
    largest          of the direction's elements in absolute value: below tolerance_change / largest a bracket is small
    max_evaluations  beyond the first; where they do not suffice, or the bracket is small, the lowest point found

    Source: Nocedal & Wright, "Numerical Optimization", algorithms 3.5 and 3.6; as torch.optim.LBFGS.
    """

    def descends(point: Point) -> bool:
        return point.loss <= start.loss + c1 * point.t * start.slope

    def flat(point: Point) -> bool:
        return abs(point.slope) <= -c2 * start.slope

    now, before, tries = evaluate(t), start, 0
    bracket = (start, now)
    # go farther until the point lies beyond a minimum
    while tries < max_evaluations:
        bracket = (before, now)
        if not descends(now) or (tries > 1 and now.loss >= before.loss):
            break
        if flat(now):
            return now, tries + 1
        if now.slope >= 0:
            break
        t = _cubic_minimum(before, now, now.t + 0.01 * (now.t - before.t), 10 * now.t)
        before, now = now, evaluate(t)
        tries += 1
        bracket = (start, now)

    # then between the two
    ends = list(bracket)
    low = _lowest(ends)
    near = False
    while tries < max_evaluations and abs(ends[1].t - ends[0].t) * largest >= tolerance_change:
        first, last = sorted(ends, key=lambda point: point.t)
        t = _cubic_minimum(first, last, first.t, last.t)
        # near an end twice running, or at it: a tenth away from it
        margin = 0.1 * (last.t - first.t)
        was, near = near, min(last.t - t, t - first.t) < margin
        if near and (was or not first.t < t < last.t):
            t = last.t - margin if abs(t - last.t) < abs(t - first.t) else first.t + margin
            near = False
        now = evaluate(t)
        tries += 1
        if not descends(now) or now.loss >= ends[low].loss:
            ends[1 - low] = now
            low = _lowest(ends)
            continue
        if flat(now):
            return now, tries + 1
        if now.slope * (ends[1 - low].t - ends[low].t) >= 0:
            ends[1 - low] = ends[low]
        ends[low] = now
    return ends[low], tries + 1


def _lowest(ends: list[Point]) -> int:
    """Which end has the lower loss; the first of equal ones, and not one that is NaN."""
    return int(ends[1].loss < ends[0].loss)


def _cubic_minimum(a: Point, b: Point, bottom: float, top: float) -> float:
    """Where the cubic through both points, slopes and all, is least in [bottom, top]; a.t <= b.t."""
    middle = (bottom + top) / 2
    if a.t == b.t:
        return middle
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return middle
    d2 = square**0.5
    curvature = b.slope - a.slope + 2 * d2
    if curvature == 0:
        return middle
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / curvature)
    # no number where a loss is infinite
    return min(max(t, bottom), top) if t == t else middle
