"""Operands of attention's kernels: where they lie in shared memory, and the lines that bring and multiply them.

Blocks of columns come by asynchronous copies, the next while one is computed with. Rows longer than a block can hold
come in parts: scores are summed over them, nothing stays in shared memory, and a block makes one part of the results'
columns.
"""

from .attention_cores import core, summed
from .attention_version import FORMS


def indented(lines, depth):
    return "\n".join(" " * depth + line for line in lines)


def within(head, *lines):
    return [head, *("    " + line for line in lines)]


def each(count, text):
    """A tuple of `count` numbers, of source in which # stands for each."""
    return "(" + "".join(text.replace("#", str(i)) + ", " for i in range(count)) + ")"


class Operands:
    """Where the operands of one version lie in shared memory; lines that bring them, and that multiply them."""

    def __init__(self, version):
        self.version, self.shape = version, version.shape
        shape, dtype = version.shape, version.dtype
        self.sum = summed(dtype)
        self.core = core(shape, dtype)
        self.turned = version.form == "keys"
        self.rows, self.columns, self.results = FORMS[version.form]
        if version.weights:
            self.rows, self.columns, self.results = ("q",), ("k",), ()
        pitch = shape.pitch(dtype.itemsize)
        # where operands begin in shared memory: rows, then stages of columns
        self.row_at = {name: i * shape.rows * pitch for i, name in enumerate(self.rows)}
        self.column_at = {name: i * shape.columns * pitch for i, name in enumerate(self.columns)}
        self.stages_begin = len(self.rows) * shape.rows * pitch
        # of each query its base and its delta, behind its columns
        self.ratio = self.sum.itemsize // dtype.itemsize
        self.bases_at = len(self.columns) * shape.columns * pitch
        self.stage = self.bases_at + (2 * shape.columns * self.ratio if self.turned else 0)
        self.apart_begin = self.stages_begin + self.shape.stages * self.stage
        self.end_of_shared = self.apart_begin + self.core.apart

    # ---- copies

    def extent(self, name):
        return "width" if name in ("v", "dy", "y", "dv") else "depth"

    def bring(self, name, to, first, skip):
        """The line that brings rows `first` .. of an operand to shared memory."""
        side = "rows" if name in self.rows else "columns"
        limit = "keys" if name in ("k", "v") else "queries"
        place = f"{first}, {limit}, {name}_l, {skip}, {self.extent(name)}, thread"
        return f"bring_{side}(shared, {to}, {name}, {name}_begin, {place})"

    def bring_rows(self, skip="0"):
        return [self.bring(name, self.row_at[name], "top", skip) for name in self.rows]

    def bring_columns(self, at, names=None, skip="0"):
        return [self.bring(n, f"{at} + {self.column_at[n]}", "first", skip) for n in names or self.columns]

    def bring_numbers(self, at):
        if not self.turned:
            return []
        return [
            f"bring_numbers(numbers, ({at} + {self.bases_at + i * self.shape.columns * self.ratio}) // {self.ratio}, "
            f"{name}, head * queries, first, queries, thread)"
            for i, name in enumerate(("bases", "deltas"))
        ]

    def begins(self, names):
        """Where the rows of this sample and head begin in an array."""
        return [f"{n}_begin = n * {n}_n + {'g' if n in ('k', 'v', 'dk', 'dv') else 'h'} * {n}_h" for n in names]

    # ---- steps

    def at_step(self, step):
        """What changes from one block of columns to the next."""
        columns = self.shape.columns
        if not self.turned:
            return [f"first = {step} * {columns}"]
        return [
            f"turn = divided({step}, blocks)",
            "h = g * share + turn",
            "head = n * heads + h",
            f"first = ({step} - turn * blocks + skipped) * {columns}",
            *self.begins(self.columns),
        ]

    def whole(self):
        return not self.version.parts

    def product(self, tile, rows, columns):
        """tile = rows . columns"""
        lines = [f"{tile} = ZEROS"]
        multiply = self.core.multiply(tile, self.row_at[rows], f"at + {self.column_at[columns]}")
        if self.whole():
            return lines + multiply
        return lines + within(
            f"for skip in range(0, {self.extent(rows)}, {self.shape.width}):",
            "cuda.syncthreads()",
            self.bring(rows, self.row_at[rows], "top", "skip"),
            *self.bring_columns("at", [columns], "skip"),
            *self.arrive(),
            *multiply,
        )

    def arrive(self):
        return ["commit_copies()", "wait_copies()", "cuda.syncthreads()"]

    def spread(self, sums, tile, columns):
        lines = self.core.spread(sums, tile, f"at + {self.column_at[columns]}")
        if self.whole():
            return lines
        return ["cuda.syncthreads()", *self.bring_columns("at", [columns], "part"), *self.arrive(), *lines]

    def fetch(self, name):
        """A tile of a matrix of scores by strides."""
        steps = f"{name}_s, {name}_l" if self.turned else f"{name}_l, {name}_s"
        limits = "keys, queries" if self.turned else "queries, keys"
        return f"fetched({name}, {name}_begin, {steps}, top + row, first + column, {limits})"

    def matrix(self, name):
        """A matrix of scores as all of them lie."""
        steps = "1, keys" if self.turned else "keys, 1"
        limits = "keys, queries" if self.turned else "queries, keys"
        return f"fetched({name}, head * queries * keys, {steps}, top + row, first + column, {limits})"
