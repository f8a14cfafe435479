"""Running sums along an axis."""

from __future__ import annotations

import math

from . import expressions
from .array import DeviceArray
from .layout import collapse, dense
from .text import BLOCK, COMPUTED, MOST_BLOCKS, STORED, UNSIGNED, Entry, integers, short, template, walk


def kernel_name(dtype: str, rank: int) -> str:
    """A name that says everything: "cumsum_f4_2"."""
    return f"cumsum_{dtype}_{rank}"


def entry(dtype: str, rank: int) -> Entry:
    """The kernel's name and its text."""
    name, ctype = kernel_name(dtype, rank), COMPUTED[dtype]
    lines = walk("line", "line", (1,) * rank, [(0,) * rank], True, "    ")
    using = f"using T = {ctype}; using U = {UNSIGNED.get(dtype, ctype)};"
    joined = expressions.BINARY["add"][expressions.kind(dtype)]
    join = f"__device__ inline {ctype} join_{name}({ctype} x, {ctype} y) {{ {using} return {joined}; }}\n"
    return name, join + template("scan.cu").substitute(
        name=name,
        type=STORED[dtype],
        value=ctype,
        extents=lines.parameters,
        coordinates=lines.coordinates,
        **{"from": lines.offsets[0]},
    )


def cumsum(x: DeviceArray, *, axis: int) -> DeviceArray:
    """Sums of the elements up to each one."""
    runtime, layout = x.runtime, x.layout
    out = runtime.empty(dense(layout.dtype, layout.shape), "cumsum")
    if not layout.size:
        return out
    others = [a for a in range(len(layout.shape)) if a != axis]
    sizes, (strides,) = collapse(tuple([layout.shape[a] for a in others]), [tuple([layout.strides[a] for a in others])])
    dtype, inners = short(layout.dtype), math.prod(layout.shape[axis + 1 :])
    lines = math.prod(sizes)
    kernel = runtime.kernel("cumsum", kernel_name(dtype, len(sizes)), lambda: [entry(dtype, len(sizes))])
    numbers = integers(lines, layout.shape[axis], layout.strides[axis], inners)
    extents = walk("line", "", sizes, [strides]).arguments
    config = runtime.config(min(lines, MOST_BLOCKS), BLOCK)
    runtime.launch("cumsum", kernel, config, out.pointer, x.pointer, *numbers, *extents)
    return out
