"""Ops that move elements without computing: shapes, order, padding, joining.

Most results are views of their operand.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Sequence
from typing import Any

from ..backend import Spec
from ..dispatch import bind
from ..dtypes import DTYPES, promote
from ..errors import ShapeError
from ..op import Op, broadcast_shapes, unbroadcast
from ..tensor import Tensor, install
from .elementwise import where
from .handles import alias, cast
from .reduction import normal_axes

# fmt: off
__all__ = [
    "broadcast_arrays", "broadcast_to", "concat", "copy", "expand_dims", "flip", "matrix_transpose", "moveaxis",
    "pad", "permute_dims", "reshape", "split", "squeeze", "stack"
]
# fmt: on


def repeated(size: int, x: Tensor, batched: bool) -> Tensor:
    """An operand with a batch dimension, repeated if it had none."""
    return x if batched else x.reshape((1, *x.shape)).broadcast_to((size, *x.shape))


class _Reshape(Op):
    name = "reshape"
    alias = True
    linear = (0,)

    def spec(self, x: Any, *, shape: tuple[int, ...]) -> Any:
        return Spec(shape, x.dtype)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, shape: tuple[int, ...]) -> Any:
        return (g.reshape(xs[0].shape),)

    def batch(self, size: int, xs: Any, batched: Any, *, shape: tuple[int, ...]) -> Any:
        return self(xs[0], shape=(size, *shape))


class _Permute(Op):
    name = "permute"
    alias = True
    linear = (0,)

    def spec(self, x: Any, *, axes: tuple[int, ...]) -> Any:
        return Spec(tuple([x.shape[a] for a in axes]), x.dtype)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, axes: tuple[int, ...]) -> Any:
        return (self(g, axes=tuple([axes.index(i) for i in range(len(axes))])),)

    def batch(self, size: int, xs: Any, batched: Any, *, axes: tuple[int, ...]) -> Any:
        return self(xs[0], axes=(0, *[a + 1 for a in axes]))


class _BroadcastTo(Op):
    name = "broadcast_to"
    alias = True
    linear = (0,)

    def spec(self, x: Any, *, shape: tuple[int, ...]) -> Any:
        if len(shape) < x.ndim or broadcast_shapes("broadcast_to", x.shape, shape) != shape:
            raise ShapeError(
                f"broadcast_to: {x.shape} does not broadcast to {shape}; sizes must agree or be 1, counted from the "
                "last axis"
            )
        return Spec(shape, x.dtype)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, shape: tuple[int, ...]) -> Any:
        return (unbroadcast(g, xs[0].shape),)

    def batch(self, size: int, xs: Any, batched: Any, *, shape: tuple[int, ...]) -> Any:
        (x,) = xs
        ones = (1,) * (len(shape) - (x.ndim - 1))
        return x.reshape((size, *ones, *x.shape[1:])).broadcast_to((size, *shape))


class _Pad(Op):
    """Zeros before, after and between the elements of each axis; the adjoint of a strided slice."""

    name = "pad"
    linear = (0,)

    def spec(self, x: Any, *, low: tuple[int, ...], high: tuple[int, ...], interior: tuple[int, ...]) -> Any:
        shape = tuple(
            [lo + hi + d + max(d - 1, 0) * gap for d, lo, hi, gap in zip(x.shape, low, high, interior, strict=True)]
        )
        return Spec(shape, x.dtype)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, low: Any, high: Any, interior: Any) -> Any:
        return (SLICE(g, start=low, size=xs[0].shape, step=tuple([gap + 1 for gap in interior])),)

    def batch(self, size: int, xs: Any, batched: Any, *, low: Any, high: Any, interior: Any) -> Any:
        return self(xs[0], low=(0, *low), high=(0, *high), interior=(0, *interior))


class _Slice(Op):
    """Element k of an axis is element start + k * step of the operand's; steps may be negative."""

    name = "slice"
    alias = True
    linear = (0,)

    def spec(self, x: Any, *, start: tuple[int, ...], size: tuple[int, ...], step: tuple[int, ...]) -> Any:
        return Spec(size, x.dtype)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, start: Any, size: Any, step: Any) -> Any:
        backwards = tuple([i for i, k in enumerate(step) if k < 0])
        if backwards:
            g = flip(g, axis=backwards)
        low, high, gaps = [], [], []
        for d, a, n, k in zip(xs[0].shape, start, size, step, strict=True):
            first = a if k > 0 else a + (n - 1) * k
            covered = (n - 1) * abs(k) + 1 if n else 0
            low.append(first if n else 0)
            high.append(d - covered - low[-1])
            gaps.append(abs(k) - 1)
        return (PAD(g, low=tuple(low), high=tuple(high), interior=tuple(gaps)),)

    def batch(self, size_: int, xs: Any, batched: Any, *, start: Any, size: Any, step: Any) -> Any:
        return self(xs[0], start=(0, *start), size=(size_, *size), step=(1, *step))


class _Concat(Op):
    name = "concat"

    saves = ()
    save_output = False

    def spec(self, *xs: Any, axis: int) -> Any:
        first = xs[0].shape
        for x in xs:
            if x.ndim != len(first) or any(
                d != e for i, (d, e) in enumerate(zip(x.shape, first, strict=True)) if i != axis
            ):
                shapes = ", ".join(str(x.shape) for x in xs)
                raise ShapeError(f"concat: shapes {shapes} differ outside axis {axis}; they must agree there")
        return Spec((*first[:axis], sum(x.shape[axis] for x in xs), *first[axis + 1 :]), xs[0].dtype)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, axis: int) -> Any:
        found, at = [], 0
        for x, wanted in zip(xs, need, strict=True):
            cut = tuple([slice(at, at + x.shape[axis]) if i == axis else slice(None) for i in range(g.ndim)])
            found.append(g[cut] if wanted else None)
            at += x.shape[axis]
        return tuple(found)

    def jvp(self, ts: Any, y: Tensor, xs: Any, *, axis: int) -> Any:
        return self(*[x.zeros_like() if t is None else t for t, x in zip(ts, xs, strict=True)], axis=axis)

    def batch(self, size: int, xs: Any, batched: Any, *, axis: int) -> Any:
        return self(*[repeated(size, x, b) for x, b in zip(xs, batched, strict=True)], axis=axis + 1)


class _Copy(Op):
    name = "copy"
    elementwise = True
    linear = (0,)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any) -> Any:
        return (g,)


RESHAPE, PERMUTE, BROADCAST_TO, PAD, SLICE, CONCAT, COPY = (
    _Reshape(),
    _Permute(),
    _BroadcastTo(),
    _Pad(),
    _Slice(),
    _Concat(),
    _Copy(),
)


def _shape(name: str, shape: Any) -> tuple[int, ...]:
    if isinstance(shape, int):
        shape = (shape,)
    try:
        return tuple([operator.index(d) for d in shape])
    except TypeError:
        raise ShapeError(f"{name}: {shape!r} is not a shape; give a tuple of integers") from None


def reshape(x: Tensor, shape: int | Sequence[int], *more: int, copy: bool | None = None) -> Tensor:
    """``x`` with another shape of the same number of elements; one size may be -1. A view where the layout allows.

    >>> reshape(asarray([1, 2, 3, 4]), (2, -1)).shape
    (2, 2)
    """
    new = _shape("reshape", (shape, *more) if more else shape)
    if new.count(-1) == 1:
        known = -math.prod(new)
        if known == 0 or x.size % known:
            raise ShapeError(f"reshape: {x.shape} has {x.size} elements, which do not fit {new}")
        new = tuple([x.size // known if d == -1 else d for d in new])
    n = math.prod(new)
    if n != x.size or any(d < 0 for d in new):
        raise ShapeError(f"reshape: {x.shape} has {x.size} elements, {new} has {n}; the number must stay the same")
    out = bind(RESHAPE, (x,), {"shape": new})
    return bind(COPY, (out,), {}) if copy else out


def permute_dims(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Axis i of the result is axis ``axes[i]`` of ``x``; a view."""
    given = _shape("permute_dims", axes)
    if len(given) != x.ndim or normal_axes("permute_dims", x.ndim, given) != tuple(range(x.ndim)):
        raise ShapeError(f"permute_dims: axes {given} are not a permutation of the {x.ndim} axes of shape {x.shape}")
    return bind(PERMUTE, (x,), {"axes": tuple([a % x.ndim for a in given])})


def broadcast_to(x: Tensor, shape: Sequence[int]) -> Tensor:
    """``x`` repeated to ``shape`` without copying."""
    new = _shape("broadcast_to", shape)
    return alias(x) if x.shape == new else bind(BROADCAST_TO, (x,), {"shape": new})


def broadcast_arrays(*xs: Tensor) -> list[Tensor]:
    """All tensors broadcast to their common shape."""
    shape = broadcast_shapes("broadcast_arrays", *[x.shape for x in xs])
    return [broadcast_to(x, shape) for x in xs]


def matrix_transpose(x: Tensor) -> Tensor:
    """The last two axes swapped; a view."""
    if x.ndim < 2:
        raise ShapeError(f"matrix_transpose: shape {x.shape} has fewer than 2 axes; reshape it first")
    return bind(PERMUTE, (x,), {"axes": (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)})


def moveaxis(x: Tensor, source: int | tuple[int, ...], destination: int | tuple[int, ...]) -> Tensor:
    """Move axes to new positions; the others keep their order."""
    sources = source if isinstance(source, tuple) else (source,)
    targets = destination if isinstance(destination, tuple) else (destination,)
    if len(sources) != len(targets):
        raise ShapeError(f"moveaxis: source {source} and destination {destination} differ in length")
    normal_axes("moveaxis", x.ndim, sources)
    normal_axes("moveaxis", x.ndim, targets)
    pairs = {t % x.ndim: s % x.ndim for s, t in zip(sources, targets, strict=True)}
    rest = iter([i for i in range(x.ndim) if i not in pairs.values()])
    axes = tuple([pairs[i] if i in pairs else next(rest) for i in range(x.ndim)])
    return alias(x) if axes == tuple(range(x.ndim)) else bind(PERMUTE, (x,), {"axes": axes})


def expand_dims(x: Tensor, axis: int = 0) -> Tensor:
    """A new axis of size 1 at ``axis``."""
    (a,) = normal_axes("expand_dims", x.ndim + 1, axis)
    return reshape(x, (*x.shape[:a], 1, *x.shape[a:]))


def squeeze(x: Tensor, axis: int | tuple[int, ...]) -> Tensor:
    """Without the named axes, which must have size 1."""
    axes = normal_axes("squeeze", x.ndim, axis)
    if any(x.shape[a] != 1 for a in axes):
        raise ShapeError(f"squeeze: axes {axes} of shape {x.shape} are not all of size 1")
    return reshape(x, tuple([d for i, d in enumerate(x.shape) if i not in axes]))


def flip(x: Tensor, *, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """Elements in reverse order along axes (all by default); a view."""
    axes = normal_axes("flip", x.ndim, axis)
    start = tuple([d - 1 if i in axes and d else 0 for i, d in enumerate(x.shape)])
    return bind(
        SLICE, (x,), {"start": start, "size": x.shape, "step": tuple([-1 if i in axes else 1 for i in range(x.ndim)])}
    )


def tensors(xs: Sequence[Any]) -> list[Tensor]:
    """Operands that are not tensors become tensors, on the device of the first that is."""
    device = next((x.device for x in xs if isinstance(x, Tensor)), None)
    return [x if isinstance(x, Tensor) else Tensor._convert(x, device=device) for x in xs]


def concat(xs: Sequence[Tensor], *, axis: int | None = 0) -> Tensor:
    """Join tensors along an existing axis; ``axis=None`` flattens them first.

    >>> concat([asarray([1]), asarray([2, 3])]).tolist()
    [1, 2, 3]
    """
    xs = tensors(xs)
    if not xs:
        raise ShapeError("concat: needs at least one tensor")
    if axis is None:
        xs, axis = [reshape(x, (-1,)) for x in xs], 0
    code = xs[0].dt
    for x in xs[1:]:
        code = promote("concat", code, x.dt)
    (a,) = normal_axes("concat", xs[0].ndim, axis)
    return bind(CONCAT, tuple([cast(x, DTYPES[code]) for x in xs]), {"axis": a})


def stack(xs: Sequence[Tensor], *, axis: int = 0) -> Tensor:
    """Join tensors of one shape along a new axis."""
    xs = tensors(xs)
    if len({x.shape for x in xs}) > 1:
        raise ShapeError(f"stack: shapes {', '.join(str(x.shape) for x in xs)} differ; they must be the same")
    return concat([expand_dims(x, axis) for x in xs], axis=normal_axes("stack", xs[0].ndim + 1, axis)[0] if xs else 0)


def split(x: Tensor, sections: int | Sequence[int], *, axis: int = 0) -> list[Tensor]:
    """Views of consecutive pieces along an axis: so many of equal size, or of the given sizes."""
    (a,) = normal_axes("split", x.ndim, axis)
    n = x.shape[a]
    if isinstance(sections, int):
        if sections <= 0 or n % sections:
            raise ShapeError(
                f"split: axis {a} of shape {x.shape} does not divide into {sections} equal sections; give their sizes"
            )
        sections = [n // sections] * sections
    if sum(sections) != n:
        raise ShapeError(f"split: sizes {list(sections)} do not add up to {n}, the size of axis {a} of shape {x.shape}")
    ends = itertools.accumulate(sections)
    return [x[(*(slice(None),) * a, slice(end - size, end))] for size, end in zip(sections, ends, strict=True)]


def pad(x: Tensor, widths: Sequence[tuple[int, int]], *, value: float = 0) -> Tensor:
    """``x`` with ``widths[i] = (before, after)`` elements of ``value`` around axis i.

    >>> pad(asarray([1.0]), [(1, 2)]).tolist()
    [0.0, 1.0, 0.0, 0.0]
    """
    if len(widths) != x.ndim or any(len(w) != 2 or min(w) < 0 for w in widths):
        raise ShapeError(
            f"pad: shape {x.shape} needs one (before, after) pair of non-negative widths an axis, got {list(widths)}"
        )
    attrs = {"low": tuple([w[0] for w in widths]), "high": tuple([w[1] for w in widths]), "interior": (0,) * x.ndim}
    padded = bind(PAD, (x,), attrs)
    if value == 0:
        return padded
    inside = bind(PAD, (Tensor._convert(True, device=x.device).broadcast_to(x.shape),), attrs)
    return where(inside, padded, value)


def copy(x: Tensor) -> Tensor:
    """``x`` in memory of its own, contiguous."""
    return bind(COPY, (x,), {})


def _transpose(x: Tensor) -> Tensor:
    """All axes reversed; a view."""
    return bind(PERMUTE, (x,), {"axes": tuple(range(x.ndim))[::-1]})


install(
    T=property(_transpose),
    mT=property(matrix_transpose),
    reshape=reshape,
    permute_dims=permute_dims,
    broadcast_to=broadcast_to,
    moveaxis=moveaxis,
    expand_dims=expand_dims,
    squeeze=squeeze,
    flip=flip,
    copy=copy,
    split=split,
)
