"""Matrix products: strided operands as they are, any number of leading axes, tiles by the size of the problem."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .array import DeviceArray
from .elementwise import fill, remember
from .layout import Ints, Layout, broadcast, broadcast_strides, collapse, dense, layout_of
from .runtime import Runtime
from .text import STORED, UNSIGNED, Entry, short, template, walk


class Tile(NamedTuple):
    """A block's share of the result, its step along the sum, and a thread's share."""

    m: int
    n: int
    k: int
    each_m: int
    each_n: int


SMALL, MIDDLE, LARGE = Tile(32, 32, 16, 2, 2), Tile(64, 64, 16, 4, 4), Tile(128, 128, 8, 8, 8)
TILES = {"small": SMALL, "middle": MIDDLE, "large": LARGE}
_ENOUGH_BLOCKS = 264


class Form(NamedTuple):
    """What distinguishes kernels: the tile, whether each operand's rows have stride 1, the axes of the batch."""

    tile: str
    a_rows: bool
    b_rows: bool
    batch: int


def kernel_name(dtype: str, form: Form) -> str:
    """A name that says everything: "matmul_f4_middle_rr_1"."""
    along = "".join("r" if rows else "c" for rows in (form.a_rows, form.b_rows))
    return f"matmul_{dtype}_{form.tile}_{along}_{form.batch}"


def entry(dtype: str, form: Form) -> Entry:
    """The kernel's name and its text."""
    tile = TILES[form.tile]
    zeros = (0,) * form.batch
    batch = walk("batch", "matrix", (1,) * form.batch, [zeros, zeros], True, "    ")
    along_k, across_k = (f"e / {tile.k}", f"e % {tile.k}"), (f"e % {tile.m}", f"e / {tile.m}")
    a_i, a_j = along_k if form.a_rows else across_k
    b_i, b_j = (f"e / {tile.n}", f"e % {tile.n}") if form.b_rows else (f"e % {tile.k}", f"e / {tile.k}")
    name = kernel_name(dtype, form)
    return name, template("contraction.cu").substitute(
        name=name,
        type=STORED[dtype],
        sum=UNSIGNED.get(dtype, STORED[dtype]),
        resident=1 if form.tile == "large" or dtype[1:] == "8" else 2,
        tile_m=tile.m,
        tile_n=tile.n,
        tile_k=tile.k,
        each_m=tile.each_m,
        each_n=tile.each_n,
        a_i=a_i,
        a_j=a_j,
        b_i=b_i,
        b_j=b_j,
        extents=batch.parameters,
        batch=batch.coordinates,
        a_offset=batch.offsets[0],
        b_offset=batch.offsets[1],
    )


def tiles_of(dtype: str) -> tuple[str, ...]:
    """The tiles that a dtype may use, the largest first; sums of wide or short types would not fit the registers."""
    return ("large", "middle", "small") if dtype in ("f4", "i4", "u4") else ("middle", "small")


_plans: dict[Any, Any] = {}


def matmul(a: DeviceArray, b: DeviceArray) -> DeviceArray:
    """Products of the matrices in the last two axes; leading axes broadcast."""
    runtime = a.runtime
    key = runtime, a.layout, b.layout
    made = _plans.get(key)
    if made is None:
        made = remember(_plans, key, _plan(runtime, a.layout, b.layout))
    result, kernel, config, arguments = made
    if kernel is None:
        return fill(runtime, result, 0)
    out = runtime.empty(result, "matmul")
    runtime.launch("matmul", kernel, config, out.pointer, a.pointer, b.pointer, *arguments)
    return out


def _plan(runtime: Runtime, a: Layout, b: Layout) -> Any:
    (m, k), n = a.shape[-2:], b.shape[-1]
    lead = broadcast([a.shape[:-2], b.shape[:-2]])
    result = dense(a.dtype, (*lead, m, n))
    if not result.size or not k:
        return result, None, None, ()
    batches = [broadcast_strides(_leading(x), lead) for x in (a, b)]
    sizes, strides = collapse(lead, batches)
    matrices = int(np.prod(lead, dtype=np.int64))
    dtype = short(a.dtype)
    tile = _tile(m, n, matrices, dtype)
    form = Form(tile, _by_rows(a), _by_rows(b), len(sizes))
    kernel = runtime.kernel("matmul", kernel_name(dtype, form), lambda: [entry(dtype, form)])
    tiles = -(-m // TILES[tile].m) * -(-n // TILES[tile].n)
    arguments = (
        *map(np.int32, (m, n, k, matrices)),
        *map(np.int64, (*a.strides[-2:], *b.strides[-2:])),
        *walk("batch", "matrix", sizes, strides).arguments,
    )
    return result, kernel, runtime.config((tiles, min(matrices, 65535)), 256), arguments


def _leading(x: Layout) -> Layout:
    return layout_of(x.dtype, x.shape[:-2], x.strides[:-2])


def _by_rows(x: Layout) -> bool:
    """Whether neighbours along a row are nearer than along a column."""
    rows, columns = x.strides[-2:]
    shape: Ints = x.shape[-2:]
    return shape[0] == 1 or (shape[1] != 1 and abs(columns) <= abs(rows))


def _tile(m: int, n: int, matrices: int, dtype: str) -> str:
    """The largest tile that the matrices fill and of which there are enough to keep the device busy."""
    *larger, smallest = tiles_of(dtype)
    for name in larger:
        tile = TILES[name]
        tiles = -(-m // tile.m) * -(-n // tile.n) * matrices
        if min(m, n) * 2 > tile.m and tiles >= _ENOUGH_BLOCKS:
            return name
    return smallest
