"""The three kernels of attention, one source: a block has rows, and goes along blocks of columns that they see.

    forward   rows are queries, columns keys:   scores -> weights, the largest score so far -> y and lse
    queries   rows are queries, columns keys:   weights, made again from lse -> dq, dscores, or p
    keys      rows are keys, columns queries:   the same, turned -> dk and dv

Blocks of columns come to shared memory by asynchronous copies, the next while one is computed with. Rows longer than
a block can hold come in parts: scores are summed over them, nothing stays in shared memory, and a block makes one
part of the results' columns.
"""

import functools

from .attention_cores import core, summed
from .attention_version import FORMS, Version, arguments_of

SOURCE = """
@jit(launch_bounds=({threads}, {resident}))
def {name}({arguments}):
    shared, numbers = cuda.shared.array(0, REAL), cuda.shared.array(0, SUM)
    thread = cuda.threadIdx.x
    warp, lane = thread // {lanes}, thread % {lanes}
    apart_begin = {apart_begin}
{setup}
    own = divided(cuda.blockIdx.x, tiles)
    tile = cuda.blockIdx.x - own * tiles
{begin}
{load}
    for s in range(count):
{step}
    wait_copies()
{end}
"""


def _indented(lines, depth):
    return "\n".join(" " * depth + line for line in lines)


def _within(head, *lines):
    return [head, *("    " + line for line in lines)]


def _each(count, text):
    """A tuple of `count` numbers, of source in which # stands for each."""
    return "(" + "".join(text.replace("#", str(i)) + ", " for i in range(count)) + ")"


class Source:
    """The lines of one version."""

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
        self.slots = len(shape.places.rows)
        self.unit = "factor" if version.factor else "ONE"
        # rounded by itself: an assembler that made a multiply-add of it would change the largest score a little from
        # step to step, and with it all sums so far
        self.in_units = "rounded_product({}, factor)" if version.factor else "{}"

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
        return lines + _within(
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

    def scores(self):
        """Lines that make the scores, in units of log 2 or of what `unit` is times that: -inf what is not seen."""
        version, shape = self.version, self.shape
        lines = self.product("scores", self.rows[0], self.columns[0])
        lines += ["scores = scaled(scores, factor)"] * (not version.factor)
        for name in ("bias", "keep"):
            if getattr(version, name):
                lines.append(f"{name}_begin = n * {name}_n + h * {name}_h")
        if version.bias:
            lines.append(f"scores = added(scores, {self.fetch('bias')}, LOG2_E)")
        if version.keep:
            lines.append(f"scores = kept_only(scores, {self.fetch('keep')})")
        if self.turned:
            edge = f"first + {shape.columns} > queries or causal and top + {shape.rows - 1} > first"
        else:
            edge = f"first + {shape.columns} > keys or causal and first + {shape.columns - 1} > top"
        lines += _within(f"if {edge}:", "scores = seen(scores, top + row, first + column, queries, keys, causal)")
        return lines

    def kept(self):
        """Lines that find what dropout keeps of the tile."""
        query, key = ("first + column", "top + row") if self.turned else ("top + row", "first + column")
        return [f"bits = kept(state, below, head * queries * keys, keys, {query}, {key}, lane)"]

    def forward(self):
        lines = self.scores()
        lines.append("best = maxima(scores, tops)")
        for partner in self.shape.partners:
            lines.append("best = " + _each(self.slots, f"larger(best[#], {partner})"))
        lines += [
            "base = " + _each(self.slots, self.in_units.format("usable(best[#])")),
            f"scores = exponentials(scores, {self.unit}, base)",
            "shrink = " + _each(self.slots, f"exponential({self.in_units.format('tops[#]')} - base[#])"),
            "totals = sums_of(scores, " + _each(self.slots, "totals[#] * shrink[#]") + ")",
            "tops = best",
            "total = times(total, shrink)",
        ]
        if self.version.drop:
            lines += [*self.kept(), "scores = dropped(scores, bits, rest)"]
        return lines + self.spread("total", "scores", "v")

    def weights(self):
        """Weights made again from lse."""
        lines = self.scores()
        if self.turned:
            at = f"(at + {self.bases_at}) // {self.ratio} + column"
            lines.append(f"base = column_values(numbers, {at})")
        return [*lines, f"scores = exponentials(scores, {self.unit}, base)"]

    def gradients(self):
        """Weights to `scores`, the gradient of the scores to `slopes`, and results."""
        version, lines = self.version, self.weights()
        if version.weights:
            return [*lines, self.store_scores("p", "scores")]
        lines += self.product("slopes", self.rows[1], self.columns[1])
        if version.drop:
            lines += [*self.kept(), "slopes = dropped(slopes, bits, rest)"]
        if version.slopes:
            lines.append(f"slopes = added(slopes, {self.matrix('dp')}, ONE)")
        if self.turned:
            at = f"(at + {self.bases_at + self.shape.columns * self.ratio}) // {self.ratio} + column"
            lines.append(f"delta = column_values(numbers, {at})")
        lines.append("slopes = gradients(scores, slopes, delta)")
        if version.scores:
            lines += _within("if part == 0:", self.store_scores("dscores", "slopes"))
        if self.turned:
            kept = ["scores = dropped(scores, bits, rest)"] * version.drop
            lines += [*kept, *self.spread("other", "scores", "dy")]
        return lines + self.spread("total", "slopes", self.columns[0])

    def store_scores(self, name, tile):
        return f"store_one({name}, head * queries * keys, keys, top + row, first + column, queries, keys, {tile})"

    def store(self, name, tile, limit):
        place = f"{name}_begin + part, {name}_l, top + row, out, {limit}, {self.extent(name)} - part"
        return f"store({name}, {place}, {tile})"

    # ---- the whole

    def begin(self):
        version, shape = self.version, self.shape
        rows = shape.rows
        lines = []
        if self.turned:
            lines += [
                "groups = divided(heads, share)",
                "n = divided(own, groups)",
                "g = own - n * groups",
                f"top = tile * {rows}",
                "blocks, skipped = (queries + COLUMNS - 1) // COLUMNS, 0",
                *_within("if causal:", "skipped = min(top // COLUMNS, blocks)", "blocks -= skipped"),
                "count = blocks * share",
                *self.begins([*self.rows, *self.results]),
                "other = NOTHING",
            ]
        else:
            seen = _within("if causal:", f"count = min(count, (top + {rows} + COLUMNS - 1) // COLUMNS)")
            if version.scores or version.weights:
                # zeros are wanted of the others
                seen = []
            lines += [
                # the blocks that see most go first
                *_within("if causal:", "tile = tiles - 1 - tile"),
                "head = own",
                "n = divided(own, heads)",
                "h = own - n * heads",
                "g = divided(h, share)",
                f"top = tile * {rows}",
                "count = (keys + COLUMNS - 1) // COLUMNS",
                *seen,
                *self.begins([*self.rows, *self.columns, *self.results]),
            ]
        lines.append(f"part = cuda.blockIdx.y * {shape.width}")
        if not version.weights:
            lines.append("total = NOTHING")
        if version.form == "forward":
            lines += ["tops = " + _each(self.slots, "LOWEST"), "totals = " + _each(self.slots, "ZERO")]
        if version.form == "queries":
            for name, array in (("base", "bases"), ("delta", "deltas")):
                where = "head * queries + min(top + row + {}, queries - 1)"
                offsets = self.shape.places.rows
                lines.append(f"{name} = ({' '.join(f'{array}[{where.format(o)}],' for o in offsets)})")
        return lines

    def load(self):
        if not self.whole():
            return []
        here = [*self.at_step("0"), *self.bring_columns(self.stages_begin), *self.bring_numbers(self.stages_begin)]
        return [*self.bring_rows(), *_within("if count > 0:", *here), "commit_copies()"]

    def step(self):
        compute = self.forward() if self.version.form == "forward" else self.gradients()
        if not self.whole():
            numbers = ["cuda.syncthreads()", *self.bring_numbers("at"), *self.arrive()] if self.turned else []
            return [f"at = {self.stages_begin}", *self.at_step("s"), *numbers, *compute]
        two = self.shape.stages == 2
        there = f"{self.stages_begin} + (s + 1) % 2 * {self.stage}" if two else str(self.stages_begin)
        coming = [*self.at_step("(s + 1)"), *self.bring_columns(there), *self.bring_numbers(there)]
        bring = [*_within("if s + 1 < count:", *coming), "commit_copies()"]
        lines = ["wait_copies()", "cuda.syncthreads()"]
        at = f"at = {self.stages_begin}" + (f" + s % 2 * {self.stage}" if two else "")
        if two:
            return [*lines, *bring, *self.at_step("s"), at, *compute]
        return [*lines, *self.at_step("s"), at, *compute, "cuda.syncthreads()", *bring]

    def end(self):
        version = self.version
        if version.weights:
            return []
        if version.form != "forward":
            limit = "keys" if self.turned else "queries"
            lines = ["total = scaled(total, final)", self.store(self.results[0], "total", limit)]
            return lines + [self.store("dv", "other", limit)] * self.turned
        lines = []
        for partner in self.shape.partners:
            lines.append("totals = " + _each(self.slots, f"plus(totals[#], {partner})"))
        lines += [
            "total = times(total, " + _each(self.slots, "reciprocal(totals[#])") + ")",
            self.store("y", "total", "queries"),
        ]
        keep = [
            line
            for i, offset in enumerate(self.shape.places.rows)
            for line in _within(
                f"if top + row + {offset} < queries:",
                f"lse[head * queries + top + row + {offset}] = logarithm(tops[{i}] * {self.unit}, totals[{i}])",
            )
        ]
        return lines + _within("if part == 0 and column == 0:", *keep)

    def text(self):
        arrays, scalars = arguments_of(self.version)
        return SOURCE.format(
            threads=self.shape.threads,
            resident=self.shape.resident,
            name=f"attention_{self.version.form}",
            arguments=", ".join(arrays + scalars),
            lanes=self.shape.lanes,
            apart_begin=self.apart_begin,
            setup=_indented(self.core.setup, 4),
            begin=_indented(self.begin(), 4),
            load=_indented(self.load(), 4),
            step=_indented(self.step(), 8),
            end=_indented(self.end(), 4),
        )


@functools.cache
def shared_bytes(form, dtype, shape):
    """What a block has in shared memory."""
    return Source(Version(form, dtype, shape)).end_of_shared * dtype.itemsize
