"""What several families share: handles on one value and casts; axes and shapes in canonical form, and the batching rule
of ops over axes.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

from ..backend import BACKENDS
from ..dispatch import bind
from ..dtypes import CODE, KIND, as_dtype
from ..errors import AxisError, LeakedTracerError, ShapeError, shown
from ..op import OPS, Op, broadcast_shapes, elementwise
from ..state import state
from ..table import check_stored
from ..tensor import Shared, Tensor

# -- handles


def identity_vjp(g: Tensor, y: Tensor, xs: Any, need: Any, **attrs: Any) -> tuple[Tensor]:
    """The cotangent as it is; the rule's caller casts it to the operand's dtype."""
    return (g,)


class _Cast(Op):
    def spec(self, x: Any, *, dtype: Any) -> Any:
        return Op.spec(self, x)._replace(dtype=dtype)


CAST = _Cast("cast", elementwise=True, linear=(0,), vjp=identity_vjp)
STOP_GRADIENT = elementwise("stop_gradient", alias=True, run=Tensor.detach)


def device_of(*xs: Any) -> str | None:
    """The device of the first operand that is a tensor."""
    return next((x.device for x in xs if isinstance(x, Tensor)), None)


def tensors(*xs: Any) -> list[Tensor]:
    """Operands that are not tensors become tensors, on the device of the first that is."""
    device = device_of(*xs)
    return [x if isinstance(x, Tensor) else Tensor._convert(x, device=device) for x in xs]


def alias(x: Tensor) -> Tensor:
    """Another handle on the value of ``x``, recorded as it is: a write to one does not show in the other."""
    here = state()
    if not x.is_leaf and here.stage is None and here.capture is None:
        return x.clone(x.node, x.mask, x.ix)
    out: Tensor = bind(OPS["reshape"], (x,), {"shape": x.shape})
    if out.base is x.val:
        out.base = Shared(x.val)
    return out


def cast(x: Tensor, dtype: Any) -> Tensor:
    """``astype`` for callers that only read: the same handle if it has the dtype."""
    dtype = as_dtype(dtype)
    if x.dtype == dtype:
        return x
    check_stored("astype", CODE[dtype], BACKENDS[x.be])
    if (x.mask or x.tr is not None) and KIND[CODE[dtype]] in "biu" and KIND[x.dt] in "fc":
        x = stop_gradient(x)
    return bind(CAST, (x,), {"dtype": dtype})


def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: str | None = None) -> Tensor:
    """``x`` cast to ``dtype``, on its device or another. Complex to real keeps the real part; float to integer
    truncates.

    A tensor that has the dtype gives a new handle on its value (values are immutable), or itself with ``copy=False``.
    An array becomes a tensor.
    """
    if not isinstance(x, Tensor):
        (x,) = tensors(x)
    out = cast(x if device is None else x.to(device), dtype)
    return alias(x) if out is x and copy else out


def stop_gradient(x: Tensor) -> Tensor:
    """``x`` as a constant for every kind of differentiation.

    >>> import plugrad
    >>> plugrad.grad(lambda x: x * stop_gradient(x))(3.0).item()
    3.0
    """
    return bind(STOP_GRADIENT, (x,), {})


# -- axes

Axis = int | tuple[int, ...] | None


def normal_axes(name: str, ndim: int, axis: Axis, in_order: bool = False) -> tuple[int, ...]:
    """Non-negative axes, sorted or in the order given; ShapeError for one out of range or named twice.

    >>> normal_axes("sum", 3, (-1, 0))
    (0, 2)
    """
    given = tuple(range(ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    try:
        return _normal_axes(name, ndim, given, in_order)
    except TypeError as error:
        if isinstance(error, LeakedTracerError):
            raise
        raise ShapeError(f"{name}: axis {shown(axis)} must be an integer, a tuple of integers or None") from None


def _integer(x: Any) -> int:
    """``operator.index``, with one error for whatever is no integer."""
    try:
        return operator.index(x)
    except ShapeError:  # a tensor of several elements
        raise TypeError(shown(x)) from None


@functools.lru_cache(4096)
def _normal_axes(name: str, ndim: int, given: tuple[Any, ...], in_order: bool) -> tuple[int, ...]:
    axes = [_integer(a) for a in given]
    for a in axes:
        if not -ndim <= a < ndim:
            remedy = f"use {-ndim} to {ndim - 1}" if ndim else "a 0-d tensor has no axes, reshape it first"
            raise AxisError(f"{name}: axis {a} is out of range for {ndim} dimensions; {remedy}")
    found = [a % ndim for a in axes]
    if len(set(found)) != len(found):
        raise ShapeError(f"{name}: axis {shown(given)} names the same axis twice")
    return tuple(found if in_order else sorted(found))


def single_axis(name: str, ndim: int, axis: int | None) -> int:
    """One non-negative axis, which may be left out for 1-d tensors only."""
    if axis is None and ndim != 1:
        raise ShapeError(f"{name}: a tensor of {ndim} dimensions needs axis=; it may be left out for 1-d tensors only")
    (found,) = normal_axes(name, ndim, axis)
    return found


def normal_shape(name: str, shape: Any, least: int = 0) -> tuple[int, ...]:
    """A shape as a tuple of integers; ShapeError for anything else, or a size below ``least``."""
    one = isinstance(shape, int) or getattr(shape, "ndim", 1) == 0  # NumPy's integers and 0-d tensors have dimensions
    try:
        sizes = tuple([_integer(d) for d in ((shape,) if one else shape)])
    except TypeError as error:
        if isinstance(error, LeakedTracerError):
            raise
        sizes = (least - 1,)
    if sizes and min(sizes) < least:
        raise ShapeError(f"{name}: {shown(shape)} is not a shape; sizes must be non-negative integers")
    return sizes


@functools.lru_cache(4096)
def reduced_shape(shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool) -> tuple[int, ...]:
    """What is left of a shape once axes are reduced."""
    return tuple([1 if i in axes else d for i, d in enumerate(shape) if keepdims or i not in axes])


def batch_shape(name: str, a: Any, b: Any, kept: int = 2) -> tuple[int, ...]:
    """What the axes of two operands in front of the ``kept`` last ones broadcast to; ShapeError showing both whole."""
    one, two = a.shape[: a.ndim - kept], b.shape[: b.ndim - kept]
    try:
        return broadcast_shapes(name, one, two)
    except ShapeError as error:
        which = f"the axes before the last{f' {kept}' if kept > 1 else ''}, {one} and {two}"
        rule = "sizes must agree or be 1, counted from the last of these"
        raise ShapeError(f"{name}: shapes {a.shape} and {b.shape}: {which}, do not broadcast; {rule}") from error


def repeated(size: int, x: Tensor, batched: bool) -> Tensor:
    """An operand with a batch dimension, repeated if it had none."""
    return x if batched else x.reshape((1, *x.shape)).broadcast_to((size, *x.shape))


class AxisOp(Op):
    """An op whose attributes say all about axes, so that it runs over a batch with these changed."""

    def batch(self, size: int, xs: Any, batched: Any, /, **attrs: Any) -> Any:
        """One axis more, in front of every operand and of every attribute: the op leaves it as it is."""
        first = {"shape": size, "size": size, "start": 0, "step": 1, "low": 0, "high": 0, "interior": 0}
        for name, value in attrs.items():
            if name in first:
                attrs[name] = (first[name], *value)
            elif name == "axes":
                attrs[name] = (0, *[a + 1 for a in value])
            elif name == "axis":
                attrs[name] = value + 1 if isinstance(value, int) else tuple([a + 1 for a in value])
        return self(*[repeated(size, x, b) for x, b in zip(xs, batched, strict=True)], **attrs)
