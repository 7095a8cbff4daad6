"""The kernel that both cores are: what they have in common, as source with holes for what differs.

A block makes one tile of results. Along the depth it goes in slices, which lie in `stages` stages of shared memory:
while one is multiplied the next are on their way. Then the sums go to y by way of shared memory, some rows of every
warp at a time, so that stores follow the order of y and the epilogue is inlined once.
"""

import numpy as np

from .ptx import load4, store4
from .ptx_tile import commit_copies, copy_chunk, copy_chunk_if, copy_element, copy_element_if, waiting
from .target import cuda, jit
from .tile import DEPTH, tile_order

SOURCE = """
@jit(launch_bounds=({threads}, {resident}))
def {name}(y, a, b, {arrays}rows, columns, slices, {scalars}):
{memory}
    thread = cuda.threadIdx.x
    g, split = cuda.blockIdx.z, cuda.blockIdx.y
    down, across = (rows + {down} - 1) // {down}, (columns + {across} - 1) // {across}
    tile_row, tile_column = tile_order(cuda.blockIdx.x, down, across)
    top, left = tile_row * {down}, tile_column * {across}
    warp, lane = thread // {lanes}, thread % {lanes}
    warp_row, warp_column = warp // {warp_columns}, warp % {warp_columns}
    # what this thread multiplies of a slice, and what it brings
{setup}
    first = split * slices
    sums = ZEROS
    for s in range({ahead}):
        if s < slices:
            start, to = np.int32((first + s) * {depth}), np.int32(s * {stage})
{bring}
        commit_copies()
    for s in range(slices):
        wait_copies()
        cuda.syncthreads()
        if s + {ahead} < slices:
            start = np.int32((first + s + {ahead}) * {depth})
            to = np.int32(np.uint32(s + {ahead}) % np.uint32({stages}) * {stage})
{bring}
        commit_copies()
        at = np.int32(np.uint32(s) % np.uint32({stages}) * {stage})
{multiply}
    for part in range({parts}):
        cuda.syncthreads()
{keep}
        cuda.syncthreads()
        for c in range(thread % {along} * {vector}, {across}, {along} * {vector}):
            j = np.int32(left + c)
            for staged in range(thread // {along}, {staged}, {threads} // {along}):
                i = np.int32(top + staged // {band} * {warp_height} + part * {band} + staged % {band})
                if i < rows and j < columns:
                    at = output_place(split * cuda.gridDim.z + g, i, j, rows, columns{output})
                    finish(y, at, g, i, j, {read}{epilogue})
"""


def _indented(lines, depth):
    return "\n".join(" " * depth + line for line in lines)


def bringing(side, operand, depth, lines, threads, along, vector, place, moved):
    """(setup, bring): the lines that copy a thread's part of an operand's slice, `lines` lines of `depth` elements.

    along   how many threads lie side by side along the contiguous axis, each with `vector` elements
    place   where the first element of the thread goes in shared memory, from the slice's beginning: source that names
            its k and line k_{side} and line_{side}
    moved   (k, line) -> how much further the element goes that lies so much further
    """
    first = "top" if side == "a" else "left"
    extra = "".join(f", {side}_{p}" for p in operand.parameters)
    inner, outer = f"thread % {along} * {vector}", f"thread // {along}"
    if operand.contiguous == DEPTH:
        k, line, step_k, step_line = inner, outer, along * vector, threads // along
    else:
        k, line, step_k, step_line = outer, inner, threads // along, along * vector
    setup = [f"begin_{side} = {side}_begin(g{extra})", f"k_{side}, line_{side} = {k}, {line}", f"own_{side} = {place}"]
    bring = [
        f"for up in range(0, {depth}, {step_k}):",
        f"    k, own = np.int32(start + k_{side} + up), np.int32(to + own_{side} + up * {moved(1, 0)})",
    ]
    for at in range(0, lines, step_line):
        setup.append(f"state_{side}{at} = {side}_line(np.int32({first} + line_{side} + {at}){extra})")
        there = f", {side}_inside(state_{side}{at}, k{extra})" if operand.inside else ""
        bring.append(f"    offset = {side}_place(state_{side}{at}, k{extra})")
        bring.append(f"    copy_{side}(shared, own + {moved(0, at)}, {side}, begin_{side}, offset{there})")
    return setup, bring


def build(
    name,
    shape,
    depth,
    stage,
    memory,
    operands,
    output,
    epilogue,
    chunks,
    vectors,
    setup,
    bring,
    multiply,
    keep,
    band,
    width,
    scope,
):
    """The kernel `name`: name(y, a, b, *epilogue.arrays, rows, columns, slices, *a.parameters, *b.parameters,
    *output.parameters, *epilogue.scalars); grid (tiles, splits, matrices); a split sums `slices` slices of `depth`.

    shape        of a block: rows, columns, threads, warps, resident, stages
    stage        elements of a slice in shared memory
    memory       the arrays `shared`, of slices, and `results`, of sums on their way to y
    chunks       for a and b, whether they are copied 16 bytes at a time or by elements
    vectors      whether four results may be stored at once
    setup, bring, multiply  lines of source
    keep         for each part, the lines that lay `band` rows of each warp into `results`, `width` elements from one
                 row to the next
    scope        what those lines use
    """
    a, b = operands
    vector, parts = 4 if vectors else 1, len(keep)
    kept = [line for part, lines in enumerate(keep) for line in (f"if part == {part}:", *(f"    {s}" for s in lines))]
    scalars = [f"{side}_{p}" for side, part in (("a", a), ("b", b), ("y", output)) for p in part.parameters]
    source = SOURCE.format(
        name=name,
        threads=shape.threads,
        resident=shape.resident,
        arrays="".join(f"{name}, " for name in epilogue.arrays),
        scalars=", ".join([*scalars, *epilogue.scalars]),
        memory=_indented(memory, 4),
        down=shape.rows,
        across=shape.columns,
        lanes=shape.threads // (shape.warps[0] * shape.warps[1]),
        warp_columns=shape.warps[1],
        setup=_indented(setup, 4),
        ahead=shape.stages - 1,
        stages=shape.stages,
        stage=stage,
        depth=depth,
        bring=_indented(bring, 12),
        multiply=_indented(multiply, 8),
        parts=parts,
        keep=_indented(kept, 8),
        along=min(shape.columns // vector, shape.threads),
        staged=shape.warps[0] * band,
        vector=vector,
        band=band,
        warp_height=band * parts,
        output="".join(f", y_{p}" for p in output.parameters),
        epilogue="".join(f", {p}" for p in epilogue.arrays + epilogue.scalars),
        read=f"load4(results, staged * {width} + c)" if vectors else f"results[staged * {width} + c]",
    )
    scope = scope | {
        "jit": jit,
        "cuda": cuda,
        "np": np,
        "tile_order": tile_order,
        "load4": load4,
        "store4": store4,
        "commit_copies": commit_copies,
        "wait_copies": waiting(shape.stages - 2),
        "output_place": output.place,
        "finish": epilogue.finish4 if vectors else epilogue.finish1,
    }
    for side, operand, whole in zip("ab", (a, b), chunks, strict=True):
        scope |= {f"{side}_begin": operand.begin, f"{side}_line": operand.line, f"{side}_place": operand.place}
        scope[f"{side}_inside"] = operand.inside
        copies = (copy_element, copy_element_if), (copy_chunk, copy_chunk_if)
        scope[f"copy_{side}"] = copies[whole][operand.inside is not None]
    exec(compile(source, f"<{name} {a.name} {b.name} {output.name} {epilogue.name}>", "exec"), scope)
    return scope[name]
