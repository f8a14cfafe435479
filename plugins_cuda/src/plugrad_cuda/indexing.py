"""Reading and adding at positions along an axis. Bad positions are found by the device and raised by a later wait."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .array import DeviceArray
from .elementwise import OPS, copy_into, remember
from .layout import Ints, Layout, collapse, dense
from .runtime import Runtime
from .text import BLOCK, STORED, Entry, Walk, blocks, short, template, walk

ADDED = "i4 i8 u4 u8 f4 f8"
"""Dtypes that the hardware adds atomically."""

Ranks = tuple[int, int, int]
"""Axes before the axis, of the positions, and after the axis, once collapsed."""

_PARTS = ("outer", "pick", "inner")
_plans: dict[Any, Any] = {}


def kernel_name(op: str, dtype: str, ranks: Ranks) -> str:
    """A name that says everything: "gather_f4_1_1_1"."""
    return f"{op}_{dtype}_{'_'.join(map(str, ranks))}"


def entry(op: str, dtype: str, ranks: Ranks) -> Entry:
    """The kernel's name and its text."""
    counts = (1, 2 if op == "scatter_add" else 1, 1)
    outer, pick, inner = [
        walk(name, name, (1,) * rank, ((0,) * rank,) * count, True, "    ")
        for name, rank, count in zip(_PARTS, ranks, counts, strict=True)
    ]
    walks = (outer, pick, inner)
    offset = f"{outer.offsets[0]} + {inner.offsets[0]}"
    ends = {"from_x": offset} if op == "gather" else {"from_v": f"{offset} + {pick.offsets[1]}"}
    name = kernel_name(op, dtype, ranks)
    return name, template("indexing.cu", op).substitute(
        name=name,
        type=STORED[dtype],
        extents="".join(w.parameters for w in walks),
        coordinates="\n".join(w.coordinates for w in walks),
        from_positions=pick.offsets[0],
        **ends,
    )


def _walks(outer: tuple[Ints, Any], pick: tuple[Ints, Any], inner: tuple[Ints, Any]) -> tuple[Ranks, list[np.generic]]:
    """Ranks and arguments of the three collapsed walks."""
    found: list[Walk] = []
    ranks = []
    for name, (shape, strides) in zip(_PARTS, (outer, pick, inner), strict=True):
        sizes, steps = collapse(shape, strides)
        ranks.append(len(sizes))
        found.append(walk(name, name, sizes, steps))
    return (ranks[0], ranks[1], ranks[2]), [a for w in found for a in w.arguments]


def gather(x: DeviceArray, i: DeviceArray, *, axis: int) -> DeviceArray:
    """``numpy.take`` along an axis."""
    runtime = x.runtime
    key = "gather", runtime, x.layout, i.layout, axis
    made = _plans.get(key)
    if made is None:
        made = remember(_plans, key, _plan_gather(runtime, x.layout, i.layout, axis))
    result, kernel, config, arguments, extents = made
    out = runtime.empty(result, "gather")
    if kernel is not None:
        what = runtime.reporter("gather")
        place = (runtime.report_pointer, what)
        runtime.launch("gather", kernel, config, out.pointer, x.pointer, i.pointer, *arguments, *place, *extents)
    return out


def _plan_gather(runtime: Runtime, x: Layout, i: Layout, axis: int) -> Any:
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    result = dense(x.dtype, (*before, *i.shape, *after))
    if not result.size:
        return result, None, None, (), ()
    ranks, extents = _walks((before, [x.strides[:axis]]), (i.shape, [i.strides]), (after, [x.strides[axis + 1 :]]))
    numbers = (result.size, i.size, math.prod(after), x.shape[axis], x.strides[axis])
    kernel, config, arguments = _launch(runtime, "gather", x.dtype, ranks, numbers)
    return result, kernel, config, arguments, extents


def _launch(runtime: Runtime, op: str, dtype: np.dtype, ranks: Ranks, numbers: Ints) -> tuple[Any, Any, Any]:
    name = short(dtype)
    kernel = runtime.kernel(op, kernel_name(op, name, ranks), lambda: [entry(op, name, ranks)])
    return kernel, runtime.config(blocks(numbers[0]), BLOCK), tuple(map(np.int64, numbers))


def scatter_add(x: DeviceArray, i: DeviceArray, v: DeviceArray, *, axis: int) -> DeviceArray:
    """A copy of ``x`` with slices of ``v`` added at positions along an axis; positions may repeat."""
    out = OPS["copy"](x)
    _add(out, i, v, axis)
    return out


def scatter_add_into(out: DeviceArray, x: DeviceArray, i: DeviceArray, v: DeviceArray, *, axis: int) -> Any:
    """The same, into ``out``, which may be ``x``."""
    if not out.layout.dense or short(out.dtype) not in ADDED.split():
        return NotImplemented
    if out is not x:
        copy_into(out, x)
    _add(out, i, v, axis)
    return None


def _add(out: DeviceArray, i: DeviceArray, v: DeviceArray, axis: int) -> None:
    runtime = out.runtime
    if not v.layout.size:
        return
    key = "scatter_add", runtime, out.layout, i.layout, v.layout, axis
    made = _plans.get(key)
    if made is None:
        made = remember(_plans, key, _plan_add(runtime, out.layout, i.layout, v.layout, axis))
    kernel, config, arguments, extents = made
    what = runtime.reporter("scatter_add")
    place = (runtime.report_pointer, what)
    runtime.launch("scatter_add", kernel, config, out.pointer, v.pointer, i.pointer, *arguments, *place, *extents)


def _plan_add(runtime: Runtime, out: Layout, i: Layout, v: Layout, axis: int) -> Any:
    after, rank = out.shape[axis + 1 :], len(i.shape)
    ranks, extents = _walks(
        (out.shape[:axis], [v.strides[:axis]]),
        (i.shape, [i.strides, v.strides[axis : axis + rank]]),
        (after, [v.strides[axis + rank :]]),
    )
    numbers = (v.size, i.size, math.prod(after), out.shape[axis])
    kernel, config, arguments = _launch(runtime, "scatter_add", v.dtype, ranks, numbers)
    return kernel, config, arguments, extents
