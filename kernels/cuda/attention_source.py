"""The three kernels of attention, one source: a block has rows, and goes along blocks of columns that they see.

    forward   rows are queries, columns keys:   scores -> weights, the largest score so far -> y and lse
    queries   rows are queries, columns keys:   weights, made again from lse -> dq, dscores, or p
    keys      rows are keys, columns queries:   the same, turned -> dk and dv

How operands come to shared memory: attention_operands.py.
"""

import functools

from .attention_operands import Operands, each, indented, within
from .attention_version import Version, arguments_of

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


class Source(Operands):
    """The lines of one version."""

    def __init__(self, version):
        super().__init__(version)
        self.slots = len(self.shape.places.rows)
        self.unit = "factor" if version.factor else "ONE"
        # rounded by itself: an assembler that made a multiply-add of it would change the largest score a little from
        # step to step, and with it all sums so far
        self.in_units = "rounded_product({}, factor)" if version.factor else "{}"

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
        lines += within(f"if {edge}:", "scores = seen(scores, top + row, first + column, queries, keys, causal)")
        return lines

    def kept(self):
        """Lines that find what dropout keeps of the tile."""
        query, key = ("first + column", "top + row") if self.turned else ("top + row", "first + column")
        return [f"bits = kept(state, below, head * queries * keys, keys, {query}, {key}, lane)"]

    def forward(self):
        lines = self.scores()
        lines.append("best = maxima(scores, tops)")
        for partner in self.shape.partners:
            lines.append("best = " + each(self.slots, f"larger(best[#], {partner})"))
        lines += [
            "base = " + each(self.slots, self.in_units.format("usable(best[#])")),
            f"scores = exponentials(scores, {self.unit}, base)",
            "shrink = " + each(self.slots, f"exponential({self.in_units.format('tops[#]')} - base[#])"),
            "totals = sums_of(scores, " + each(self.slots, "totals[#] * shrink[#]") + ")",
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
            lines += within("if part == 0:", self.store_scores("dscores", "slopes"))
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
                *within("if causal:", "skipped = min(top // COLUMNS, blocks)", "blocks -= skipped"),
                "count = blocks * share",
                *self.begins([*self.rows, *self.results]),
                "other = NOTHING",
            ]
        else:
            seen = within("if causal:", f"count = min(count, (top + {rows} + COLUMNS - 1) // COLUMNS)")
            if version.scores or version.weights:
                # zeros are wanted of the others
                seen = []
            lines += [
                # the blocks that see most go first
                *within("if causal:", "tile = tiles - 1 - tile"),
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
            lines += ["tops = " + each(self.slots, "LOWEST"), "totals = " + each(self.slots, "ZERO")]
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
        return [*self.bring_rows(), *within("if count > 0:", *here), "commit_copies()"]

    def step(self):
        compute = self.forward() if self.version.form == "forward" else self.gradients()
        if not self.whole():
            numbers = ["cuda.syncthreads()", *self.bring_numbers("at"), *self.arrive()] if self.turned else []
            return [f"at = {self.stages_begin}", *self.at_step("s"), *numbers, *compute]
        two = self.shape.stages == 2
        there = f"{self.stages_begin} + (s + 1) % 2 * {self.stage}" if two else str(self.stages_begin)
        coming = [*self.at_step("(s + 1)"), *self.bring_columns(there), *self.bring_numbers(there)]
        bring = [*within("if s + 1 < count:", *coming), "commit_copies()"]
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
            lines.append("totals = " + each(self.slots, f"plus(totals[#], {partner})"))
        lines += [
            "total = times(total, " + each(self.slots, "reciprocal(totals[#])") + ")",
            self.store("y", "total", "queries"),
        ]
        keep = [
            line
            for i, offset in enumerate(self.shape.places.rows)
            for line in within(
                f"if top + row + {offset} < queries:",
                f"lse[head * queries + top + row + {offset}] = logarithm(tops[{i}] * {self.unit}, totals[{i}])",
            )
        ]
        return lines + within("if part == 0 and column == 0:", *keep)

    def text(self):
        arrays, scalars = arguments_of(self.version)
        return SOURCE.format(
            threads=self.shape.threads,
            resident=self.shape.resident,
            name=f"attention_{self.version.form}",
            arguments=", ".join(arrays + scalars),
            lanes=self.shape.lanes,
            apart_begin=self.apart_begin,
            setup=indented(self.core.setup, 4),
            begin=indented(self.begin(), 4),
            load=indented(self.load(), 4),
            step=indented(self.step(), 8),
            end=indented(self.end(), 4),
        )


@functools.cache
def shared_bytes(form, dtype, shape):
    """What a block has in shared memory."""
    return Source(Version(form, dtype, shape)).end_of_shared * dtype.itemsize
