"""Argument lines shared by the functions of one table."""


def documented(lines):
    """A decorator that appends argument lines to a function's docstring."""

    def append(function):
        function.__doc__ = f"{function.__doc__}\n{lines}"
        return function

    return append
