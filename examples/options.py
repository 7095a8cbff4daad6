"""What options of the programs may be: checked where they are parsed, told in one line."""

import argparse
import math
import sys


def positive(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def seed(text):
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, got {text!r}")
    return int(text)


def above_zero(text):
    return number(text, lambda value: 0 < value < math.inf, "above 0")


def probability(text):
    return number(text, lambda value: 0 <= value <= 1, "from 0 to 1")


def number(text, allowed, what):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not allowed(value):
        raise argparse.ArgumentTypeError(f"expected a number {what}, got {text!r}")
    return value


def writable(option, path):
    """Leaves the program where the folder of a file that it will write is not there."""
    if not path.parent.is_dir():
        sys.exit(f"{option}: no folder {path.parent}")
