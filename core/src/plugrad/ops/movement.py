"""Ops that move elements without computing: shapes, order, padding, joining.

Most results are views of their operand.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

from ..backend import Spec
from ..dispatch import bind, lifted
from ..dtypes import DTYPES, as_dtype, promote
from ..errors import DTypeError, ShapeError
from ..op import OPS, Op, broadcast_shapes, elementwise, pad_rank
from ..tensor import Tensor, install
from .common import Axis, AxisOp, alias, cast, identity_vjp, normal_axes, normal_shape, tensors

# fmt: off
__all__ = [
    "bitcast", "broadcast_arrays", "broadcast_to", "concat", "copy", "expand_dims", "flip", "matrix_transpose",
    "moveaxis", "pad", "permute_dims", "reshape", "split", "squeeze", "stack", "transpose"
]
# fmt: on


def _reshape_spec(x: Any, *, shape: tuple[int, ...]) -> Any:
    return Spec(shape, x.dtype)


def _reshape_vjp(g: Tensor, y: Tensor, xs: Any, need: Any, *, shape: tuple[int, ...]) -> Any:
    return (g.reshape(xs[0].shape),)


class _Permute(AxisOp):
    def spec(self, x: Any, *, axes: tuple[int, ...]) -> Any:
        return Spec(tuple([x.shape[a] for a in axes]), x.dtype)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, axes: tuple[int, ...]) -> Any:
        return (self(g, axes=tuple([axes.index(i) for i in range(len(axes))])),)


class _BroadcastTo(AxisOp):
    def spec(self, x: Any, *, shape: tuple[int, ...]) -> Any:
        if len(shape) < x.ndim or broadcast_shapes("broadcast_to", x.shape, shape) != shape:
            rule = "sizes must agree or be 1, counted from the last axis"
            raise ShapeError(f"broadcast_to: {x.shape} does not broadcast to {shape}; {rule}")
        return Spec(shape, x.dtype)

    def batch(self, size: int, xs: Any, batched: Any, /, **attrs: Any) -> Any:
        shape = attrs["shape"]
        return pad_rank(xs[0], len(shape)).broadcast_to((size, *shape))


class _Pad(AxisOp):
    """Zeros before, after and between the elements of each axis; the adjoint of a strided slice."""

    def spec(self, x: Any, *, low: tuple[int, ...], high: tuple[int, ...], interior: tuple[int, ...]) -> Any:
        axes = zip(x.shape, low, high, interior, strict=True)
        return Spec(tuple([lo + d + max(d - 1, 0) * gap + hi for d, lo, hi, gap in axes]), x.dtype)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, low: Any, high: Any, interior: Any) -> Any:
        return (SLICE(g, start=low, size=xs[0].shape, step=tuple([gap + 1 for gap in interior])),)


def _slice_spec(x: Any, *, start: tuple[int, ...], size: tuple[int, ...], step: tuple[int, ...]) -> Any:
    """Element k of an axis is element start + k * step of the operand's; steps may be negative."""
    return Spec(size, x.dtype)


def _slice_vjp(g: Tensor, y: Tensor, xs: Any, need: Any, *, start: Any, size: Any, step: Any) -> Any:
    if backwards := tuple([i for i, k in enumerate(step) if k < 0]):
        g = flip(g, axis=backwards)
    ends = [sorted((a, a + (n - 1) * k)) if n else (0, -1) for a, n, k in zip(start, size, step, strict=True)]
    high = tuple([d - 1 - last for d, (_, last) in zip(xs[0].shape, ends, strict=True)])
    interior = tuple([abs(k) - 1 for k in step])
    return (PAD(g, low=tuple([first for first, _ in ends]), high=high, interior=interior),)


class _Concat(AxisOp):
    def spec(self, *xs: Any, axis: int) -> Any:
        first = xs[0].shape
        if len({(x.ndim, *x.shape[:axis], *x.shape[axis + 1 :]) for x in xs}) > 1:
            shapes = ", ".join(str(x.shape) for x in xs)
            raise ShapeError(f"concat: shapes {shapes} differ outside axis {axis}; they must agree there")
        return Spec((*first[:axis], sum(x.shape[axis] for x in xs), *first[axis + 1 :]), xs[0].dtype)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, axis: int) -> Any:
        return tuple(split(g, [x.shape[axis] for x in xs], axis=axis))

    def jvp(self, ts: Any, y: Tensor, xs: Any, *, axis: int) -> Any:
        return self(*[x.zeros_like() if t is None else t for t, x in zip(ts, xs, strict=True)], axis=axis)


RESHAPE = AxisOp("reshape", alias=True, linear=(0,), spec=_reshape_spec, vjp=_reshape_vjp)
PERMUTE = _Permute("permute", alias=True, linear=(0,))
BROADCAST_TO = _BroadcastTo("broadcast_to", elementwise=True, alias=True, linear=(0,), vjp=identity_vjp)
PAD = _Pad("pad", linear=(0,))
SLICE = AxisOp("slice", alias=True, linear=(0,), spec=_slice_spec, vjp=_slice_vjp)
CONCAT = _Concat("concat", together="all", saves=(), save_output=False)
COPY = elementwise("copy", linear=(0,), vjp=identity_vjp)


class _Bitcast(Op):
    def spec(self, x: Any, *, dtype: Any) -> Any:
        if dtype.itemsize != x.dtype.itemsize or dtype.kind == "b":
            sizes = f"{x.dtype.itemsize} and {dtype.itemsize} bytes"
            raise DTypeError(f"bitcast: {x.dtype} to {dtype}, of {sizes}; give a dtype of the same size, but not bool")
        return Op.spec(self, x)._replace(dtype=dtype)


BITCAST = _Bitcast("bitcast", elementwise=True, dtypes="numeric", partials=(None,), saves=(), save_output=False)


def bitcast(x: Tensor, dtype: Any) -> Tensor:
    """The bits of each element as they are, read as another dtype of the same size; the derivative is 0. DTypeError for
    another size, and for bools.

    >>> bitcast(asarray([1.0, -0.0]), "int32").tolist()
    [1065353216, -2147483648]
    """
    return bind(BITCAST, (x,), {"dtype": as_dtype(dtype)})


def reshape(x: Tensor, shape: int | Sequence[int], *more: int, copy: bool | None = None) -> Tensor:
    """``x`` with another shape of the same number of elements; one size may be -1. A view where the layout allows.

    >>> reshape(asarray([1, 2, 3, 4]), (2, -1)).shape
    (2, 2)
    """
    given = new = normal_shape("reshape", (shape, *more) if more else shape, least=-1)
    if new.count(-1) == 1 and (known := -math.prod(new)) > 0:
        new = tuple([x.size // known if d == -1 else d for d in new])
    if math.prod(new) != x.size or -1 in new:
        raise ShapeError(f"reshape: {x.shape} has {x.size} elements, which do not fit {given}; their number must agree")
    out = bind(RESHAPE, (x,), {"shape": new})
    return bind(COPY, (out,), {}) if copy else out


def reshaped(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """``reshape`` for callers that only read: the same handle if it has the shape."""
    return x if x.shape == shape else reshape(x, shape)


def permute_dims(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Axis i of the result is axis ``axes[i]`` of ``x``; a view. ShapeError for what is not a permutation.

    >>> permute_dims(asarray([[[1, 2, 3]], [[4, 5, 6]]]), (2, 0, 1)).shape
    (3, 2, 1)
    """
    order = normal_axes("permute_dims", x.ndim, tuple(axes) if isinstance(axes, Iterable) else axes, in_order=True)
    if len(order) != x.ndim:
        raise ShapeError(f"permute_dims: axes {order} are not a permutation of the {x.ndim} axes of shape {x.shape}")
    return bind(PERMUTE, (x,), {"axes": order})


def transpose(x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    """``permute_dims`` by NumPy's name; all axes reversed by default.

    >>> transpose(asarray([[1, 2], [3, 4]])).tolist()
    [[1, 3], [2, 4]]
    """
    return permute_dims(x, range(x.ndim)[::-1] if axes is None else axes)


def broadcast_to(x: Tensor, shape: Sequence[int]) -> Tensor:
    """``x`` repeated to ``shape`` without copying; ShapeError where it does not broadcast to that.

    >>> broadcast_to(asarray([1, 2]), (2, 2)).tolist()
    [[1, 2], [1, 2]]
    """
    new = normal_shape("broadcast_to", shape)
    return alias(x) if x.shape == new else bind(BROADCAST_TO, (x,), {"shape": new})


def broadcast_arrays(*xs: Tensor) -> tuple[Tensor, ...]:
    """All tensors broadcast to their common shape; views.

    >>> [x.shape for x in broadcast_arrays(asarray([[1], [2]]), asarray([1, 2, 3]))]
    [(2, 3), (2, 3)]
    """
    shape = broadcast_shapes("broadcast_arrays", *[x.shape for x in xs])
    return tuple([broadcast_to(x, shape) for x in xs])


def matrix_transpose(x: Tensor) -> Tensor:
    """The last two axes swapped, (..., m, n) -> (..., n, m); a view.

    >>> matrix_transpose(asarray([[1, 2, 3]])).tolist()
    [[1], [2], [3]]
    """
    if x.ndim < 2:
        raise ShapeError(f"matrix_transpose: shape {x.shape} has fewer than 2 axes; reshape it first")
    return bind(PERMUTE, (x,), {"axes": (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)})


def moveaxis(x: Tensor, source: int | tuple[int, ...], destination: int | tuple[int, ...]) -> Tensor:
    """Move axes to new positions; the others keep their order. A view.

    >>> moveaxis(asarray([[[1, 2, 3]], [[4, 5, 6]]]), 0, -1).shape
    (1, 3, 2)
    """
    sources = normal_axes("moveaxis", x.ndim, source, in_order=True)
    targets = normal_axes("moveaxis", x.ndim, destination, in_order=True)
    if len(sources) != len(targets):
        wrong = f"source {source} and destination {destination} differ in length"
        raise ShapeError(f"moveaxis: {wrong}; give each axis of x that moves one place")
    pairs = dict(zip(targets, sources, strict=True))
    rest = iter([i for i in range(x.ndim) if i not in sources])
    axes = tuple([pairs[i] if i in pairs else next(rest) for i in range(x.ndim)])
    return alias(x) if axes == tuple(range(x.ndim)) else bind(PERMUTE, (x,), {"axes": axes})


def expand_dims(x: Tensor, axis: int | tuple[int, ...] = 0) -> Tensor:
    """New axes of size 1, which are these axes of the result; a view.

    >>> expand_dims(asarray([1, 2, 3]), (0, -1)).shape
    (1, 3, 1)
    """
    rank = x.ndim + (len(axis) if isinstance(axis, tuple) else 1)
    axes, sizes = normal_axes("expand_dims", rank, axis), iter(x.shape)
    return reshape(x, tuple([1 if a in axes else next(sizes) for a in range(rank)]))


def squeeze(x: Tensor, axis: Axis = None) -> Tensor:
    """Without the named axes, which must have size 1, or ShapeError; by default without all that have. A view.

    >>> squeeze(asarray([[[1], [2]]]), (0, -1)).tolist()
    [1, 2]
    """
    axis = tuple([i for i, d in enumerate(x.shape) if d == 1]) if axis is None else axis
    axes = normal_axes("squeeze", x.ndim, axis)
    if any(x.shape[a] != 1 for a in axes):
        raise ShapeError(f"squeeze: axes {axes} of shape {x.shape} are not all of size 1; name only those that are")
    return reshape(x, tuple([d for i, d in enumerate(x.shape) if i not in axes]))


def flip(x: Tensor, *, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """Elements in reverse order along axes (all by default); a view.

    >>> flip(asarray([[1, 2], [3, 4]]), axis=1).tolist()
    [[2, 1], [4, 3]]
    """
    axes = normal_axes("flip", x.ndim, axis)
    start = tuple([d - 1 if i in axes and d else 0 for i, d in enumerate(x.shape)])
    step = tuple([-1 if i in axes else 1 for i in range(x.ndim)])
    return bind(SLICE, (x,), {"start": start, "size": x.shape, "step": step})


def concat(xs: Sequence[Tensor], *, axis: int | None = 0) -> Tensor:
    """Join tensors along an existing axis; ``axis=None`` flattens them first. Dtypes promote; ShapeError where other
    axes differ.

    >>> concat([asarray([1]), asarray([2, 3])]).tolist()
    [1, 2, 3]
    """
    xs = tensors(*xs)
    if not xs:
        raise ShapeError("concat: needs at least one tensor")
    if axis is None:
        xs, axis = [reshape(x, (-1,)) for x in xs], 0
    (a,) = normal_axes("concat", xs[0].ndim, axis)
    return bind(CONCAT, tuple(xs), {"axis": a})


def stack(xs: Sequence[Tensor], *, axis: int = 0) -> Tensor:
    """Join tensors of one shape along a new axis. Dtypes promote; ShapeError where shapes differ.

    >>> stack([asarray([1, 2]), asarray([3, 4])], axis=1).tolist()
    [[1, 3], [2, 4]]
    """
    xs = tensors(*xs)
    if not xs:
        raise ShapeError("stack: needs at least one tensor")
    if len({x.shape for x in xs}) > 1:
        raise ShapeError(f"stack: shapes {', '.join(str(x.shape) for x in xs)} differ; they must be the same")
    return concat([expand_dims(x, axis) for x in xs], axis=axis)


def split(x: Tensor, sections: int | Sequence[int], *, axis: int = 0) -> list[Tensor]:
    """Views of consecutive pieces along an axis: so many of equal size, or of the given sizes (not places to cut at, as
    NumPy's). ShapeError where they do not add up to the axis.

    >>> [part.tolist() for part in split(asarray([1, 2, 3, 4, 5]), [1, 4])]
    [[1], [2, 3, 4, 5]]
    """
    (a,) = normal_axes("split", x.ndim, axis)
    n = x.shape[a]
    if isinstance(sections, int):
        if sections <= 0 or n % sections:
            raise ShapeError(f"split: axis {a} of {x.shape} does not divide into {sections} equal sections; give sizes")
        sections = [n // sections] * sections
    sections = normal_shape("split", sections)
    if sum(sections) != n:
        raise ShapeError(f"split: sizes {list(sections)} do not add up to {n}, the size of axis {a} of shape {x.shape}")
    ends = itertools.accumulate(sections)
    return [x[(*(slice(None),) * a, slice(end - size, end))] for size, end in zip(sections, ends, strict=True)]


def pad(x: Tensor, widths: Sequence[tuple[int, int]], *, value: float = 0) -> Tensor:
    """``x`` with ``widths[i] = (before, after)`` elements of ``value`` around axis i.

    The value is a number or a 0-d tensor, differentiable as ``x`` is; the two promote. ShapeError unless there are two
    non-negative widths for each axis.

    >>> pad(asarray([1.0]), [(1, 2)]).tolist()
    [0.0, 1.0, 0.0, 0.0]
    """
    if len(widths) != x.ndim or any(len(w) != 2 or min(w) < 0 for w in widths):
        raise ShapeError(f"pad: {x.shape} needs (before, after), both non-negative, for each axis, got {list(widths)}")
    low, high = [tuple([w[k] for w in widths]) for k in (0, 1)]
    if not isinstance(value, Tensor) and value == 0:
        return bind(PAD, (x,), {"low": low, "high": high, "interior": (0,) * x.ndim})
    fill = lifted("pad", value, x)
    dtype, sizes = DTYPES[promote("pad", x.dt, fill.dt)], zip(x.shape, low, high, strict=True)
    around = broadcast_to(cast(fill, dtype), tuple([lo + d + hi for d, lo, hi in sizes]))
    attrs = {"start": low, "size": x.shape, "step": (1,) * x.ndim}
    return bind(OPS["slice_update"], (around, cast(x, dtype)), attrs)


def copy(x: Tensor) -> Tensor:
    """``x`` in memory of its own, contiguous."""
    return bind(COPY, (x,), {})


def _transpose(x: Tensor) -> Tensor:
    """All axes reversed; a view."""
    return bind(PERMUTE, (x,), {"axes": tuple(range(x.ndim))[::-1]})


install(reshape, permute_dims, broadcast_to, moveaxis, expand_dims, squeeze, flip, copy, split)
install(T=property(_transpose), mT=property(matrix_transpose, doc="``matrix_transpose`` of the tensor."))
