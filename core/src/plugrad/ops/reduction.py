"""Reductions over any axes, arg-reductions and cumulative sums. Kernels get sorted, non-negative axes."""

from __future__ import annotations

import builtins
import functools
import math
import operator
from typing import Any

from ..backend import Spec
from ..dispatch import bind
from ..dtypes import B1, BF2, DTYPES, F2, F4, I8, KIND, int64, real_code
from ..errors import DTypeError, ShapeError
from ..op import OPS, Op
from ..tensor import Tensor, install
from . import elementwise as ew
from .handles import cast

__all__ = ["all", "any", "argmax", "argmin", "cumulative_sum", "max", "mean", "min", "prod", "std", "sum", "var"]

Axis = int | tuple[int, ...] | None


def normal_axes(name: str, ndim: int, axis: Axis) -> tuple[int, ...]:
    """Sorted, non-negative axes; ShapeError for one out of range or named twice.

    >>> normal_axes("sum", 3, (-1, 0))
    (0, 2)
    """
    given = tuple(range(ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    try:
        return _normal_axes(name, ndim, given)
    except TypeError:
        raise ShapeError(f"{name}: axis {axis!r} must be an integer, a tuple of integers or None") from None


@functools.lru_cache(4096)
def _normal_axes(name: str, ndim: int, given: tuple[Any, ...]) -> tuple[int, ...]:
    out = []
    for a in given:
        a = operator.index(a)
        if not -ndim <= a < ndim:
            raise ShapeError(f"{name}: axis {a} is out of range for {ndim} dimensions; use {-ndim} to {ndim - 1}")
        out.append(a % ndim)
    if len(set(out)) != len(out):
        raise ShapeError(f"{name}: axis {given!r} names the same axis twice")
    return tuple(sorted(out))


def _shifted(axis: Any) -> Any:
    return tuple([a + 1 for a in axis]) if isinstance(axis, tuple) else axis + 1


@functools.lru_cache(4096)
def reduced_shape(shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool) -> tuple[int, ...]:
    """What is left of a shape once axes are reduced."""
    return tuple([1 if i in axes else d for i, d in enumerate(shape) if keepdims or i not in axes])


class _Reduction(Op):
    """Shape rule and batching of every reduction."""

    def spec(self, x: Any, *, axis: Any, keepdims: bool) -> Any:
        axes = axis if isinstance(axis, tuple) else (axis,)
        shape = reduced_shape(x.shape, axes, keepdims)
        if not self.empty_ok and 0 not in shape and builtins.any(x.shape[a] == 0 for a in axes):
            raise ShapeError(
                f"{self.name}: no elements to reduce over axis {axis} of shape {x.shape}; the result has no identity"
            )
        return Spec(shape, int64 if self.name in ("argmax", "argmin") else x.dtype)

    empty_ok = False

    def batch(self, size: int, xs: Any, batched: Any, *, axis: Any, keepdims: bool) -> Any:
        return self(xs[0], axis=_shifted(axis), keepdims=keepdims)


def restore_axes(t: Tensor, shape: tuple[int, ...], axis: tuple[int, ...]) -> Tensor:
    """Put reduced axes back with size 1, so that ``t`` broadcasts against ``shape``."""
    return t.reshape(tuple([1 if i in axis else d for i, d in enumerate(shape)]))


class _Sum(_Reduction):
    name = "sum"
    dtypes = "arithmetic"
    empty_ok = True
    linear = (0,)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, axis: Any, keepdims: bool) -> Any:
        return (restore_axes(g, xs[0].shape, axis).broadcast_to(xs[0].shape),)


class _Prod(_Reduction):
    name = "prod"
    dtypes = "arithmetic"
    empty_ok = True

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, axis: Any, keepdims: bool) -> Any:
        """g times the product of the other elements, which zeros do not disturb: exclusive products from both ends."""
        (x,) = xs
        rest = tuple([i for i in range(x.ndim) if i not in axis])
        order = (*rest, *axis)
        n = math.prod([x.shape[i] for i in axis])
        flat = x.permute_dims(order).reshape((*[x.shape[i] for i in rest], n))
        others = _exclusive_products(flat)
        back = others.reshape(tuple([x.shape[i] for i in order])).permute_dims(
            tuple([order.index(i) for i in range(x.ndim)])
        )
        return (restore_axes(g, x.shape, axis) * ew.conjugate(back),)


def _exclusive_products(x: Tensor) -> Tensor:
    """Along the last axis, for each element the product of all others."""
    n = x.shape[-1]
    if n <= 1:
        return x.ones_like()
    half = n // 2
    low, high = x[..., :half], x[..., half:]
    first = _exclusive_products(low) * prod(high, axis=-1, keepdims=True)
    second = _exclusive_products(high) * prod(low, axis=-1, keepdims=True)
    return OPS["concat"](first, second, axis=x.ndim - 1)


class _Extremum(_Reduction):
    """max and min: equal extrema share the gradient."""

    dtypes = "ordered"

    def weights(self, y: Tensor, x: Tensor, axis: Any) -> Tensor:
        chosen = (x == restore_axes(y, x.shape, axis)).astype(x.dtype)
        return chosen / sum(chosen, axis=axis, keepdims=True)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, axis: Any, keepdims: bool) -> Any:
        return (restore_axes(g, xs[0].shape, axis) * self.weights(y, xs[0], axis),)

    def jvp(self, ts: Any, y: Tensor, xs: Any, *, axis: Any, keepdims: bool) -> Any:
        return sum(ts[0] * self.weights(y, xs[0], axis), axis=axis, keepdims=keepdims)


class _ArgExtremum(_Reduction):
    dtypes = "ordered"
    saves = ()
    save_output = False


SUM, PROD = _Sum(), _Prod()
MAX, MIN = _Extremum("max"), _Extremum("min")
ARGMAX, ARGMIN = _ArgExtremum("argmax"), _ArgExtremum("argmin")


class _CumulativeSum(Op):
    name = "cumsum"
    dtypes = "arithmetic"
    linear = (0,)

    def spec(self, x: Any, *, axis: int) -> Any:
        return Spec(x.shape, x.dtype)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, axis: int) -> Any:
        """The cotangent summed from the other end."""
        back = tuple([slice(None, None, -1) if i == axis else slice(None) for i in range(g.ndim)])
        return (self(g[back], axis=axis)[back],)

    def batch(self, size: int, xs: Any, batched: Any, *, axis: int) -> Any:
        return self(xs[0], axis=axis + 1)


CUMSUM = _CumulativeSum()


def _summable(x: Tensor, dtype: Any) -> Tensor:
    """Integers narrower than the default are summed in int64 (uint64 for unsigned), as the Array API says."""
    if dtype is not None:
        return cast(x, dtype)
    if x.dt == B1 or (KIND[x.dt] == "i" and x.dt < I8):
        return x.astype(DTYPES[I8])
    if KIND[x.dt] == "u" and x.dtype.itemsize < 8:
        return x.astype("uint64")
    return x


def sum(x: Tensor, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """Sum over axes (all by default). Low-precision floats accumulate in float32; small integers are summed in 64 bits.

    >>> sum(asarray([[1.0, 2.0], [3.0, 4.0]]), axis=0).tolist()
    [4.0, 6.0]
    """
    x = _summable(x, dtype)
    return bind(SUM, (x,), {"axis": normal_axes("sum", x.ndim, axis), "keepdims": bool(keepdims)})


def prod(x: Tensor, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """Product over axes (all by default)."""
    x = _summable(x, dtype)
    return bind(PROD, (x,), {"axis": normal_axes("prod", x.ndim, axis), "keepdims": bool(keepdims)})


def max(x: Tensor, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Maximum over axes (all by default); NaN wins."""
    return bind(MAX, (x,), {"axis": normal_axes("max", x.ndim, axis), "keepdims": bool(keepdims)})


def min(x: Tensor, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Minimum over axes (all by default); NaN wins."""
    return bind(MIN, (x,), {"axis": normal_axes("min", x.ndim, axis), "keepdims": bool(keepdims)})


def _wide(name: str, x: Tensor) -> Tensor:
    """What a mean is computed in, so that the sum of many float16 does not overflow: float32 at least."""
    if KIND[x.dt] not in "fc":
        raise DTypeError(f"{name}: not defined for {x.dtype}; cast with .astype({DTYPES[F4].name!r})")
    return cast(x, DTYPES[F4]) if x.dt in (F2, BF2) else x


def _over(total: Tensor, n: float) -> Tensor:
    return total * (1.0 / n) if n > 0 else total / 0.0


def mean(x: Tensor, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Arithmetic mean over axes (all by default), of floating dtypes. Low-precision floats compute in float32.

    >>> mean(asarray([1.0, 3.0])).item()
    2.0
    """
    wide, axes = _wide("mean", x), normal_axes("mean", x.ndim, axis)
    return cast(_over(sum(wide, axes, keepdims=keepdims), math.prod([x.shape[a] for a in axes])), x.dtype)


def var(x: Tensor, axis: Axis = None, *, correction: float = 0, keepdims: bool = False) -> Tensor:
    """Variance over axes: squared deviations summed and divided by (count - correction).

    Two passes, so no cancellation. Low-precision floats compute in float32.
    """
    found = _variance("var", x, axis, correction, keepdims)
    return cast(found, DTYPES[real_code(x.dt)])


def _variance(name: str, x: Tensor, axis: Axis, correction: float, keepdims: bool) -> Tensor:
    wide, axes = _wide(name, x), normal_axes(name, x.ndim, axis)
    centred = wide - mean(wide, axes, keepdims=True)
    squares = ew.real(centred * ew.conj(centred)) if KIND[x.dt] == "c" else centred * centred
    return _over(sum(squares, axes, keepdims=keepdims), math.prod([x.shape[a] for a in axes]) - correction)


def std(x: Tensor, axis: Axis = None, *, correction: float = 0, keepdims: bool = False) -> Tensor:
    """Square root of the variance."""
    return cast(ew.sqrt(_variance("std", x, axis, correction, keepdims)), DTYPES[real_code(x.dt)])


def _truth(x: Tensor) -> Tensor:
    return x if x.dt == B1 else ew.not_equal(x, 0)


def any(x: Tensor, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Whether some element is true, over axes; False where there is none."""
    return _bool_reduction("any", MAX, x, axis, keepdims, False)


def all(x: Tensor, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Whether every element is true, over axes; True where there is none."""
    return _bool_reduction("all", MIN, x, axis, keepdims, True)


def _bool_reduction(name: str, op: Op, x: Tensor, axis: Axis, keepdims: bool, identity: bool) -> Tensor:
    axes = normal_axes(name, x.ndim, axis)
    truth = _truth(x)
    if builtins.any(x.shape[a] == 0 for a in axes):
        shape = reduced_shape(x.shape, axes, bool(keepdims))
        return Tensor._convert(identity, device=x.device).broadcast_to(shape)
    return bind(op, (truth,), {"axis": axes, "keepdims": bool(keepdims)})


def _arg(op: Op, x: Tensor, axis: int | None, keepdims: bool) -> Tensor:
    if axis is None:
        found = bind(op, (x.reshape((-1,)),), {"axis": 0, "keepdims": False})
        return found.reshape((1,) * x.ndim) if keepdims else found
    (a,) = normal_axes(op.name, x.ndim, axis)
    return bind(op, (x,), {"axis": a, "keepdims": bool(keepdims)})


def argmax(x: Tensor, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """Index (int64) of the first maximum along an axis, or in the flattened tensor."""
    return _arg(ARGMAX, x, axis, keepdims)


def argmin(x: Tensor, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """Index (int64) of the first minimum along an axis, or in the flattened tensor."""
    return _arg(ARGMIN, x, axis, keepdims)


def cumulative_sum(x: Tensor, axis: int | None = None, *, dtype: Any = None) -> Tensor:
    """Running sum along an axis, which may be left out for 1-d tensors.

    >>> cumulative_sum(asarray([1.0, 2.0, 3.0])).tolist()
    [1.0, 3.0, 6.0]
    """
    if axis is None and x.ndim != 1:
        raise ShapeError(f"cumulative_sum: shape {x.shape} needs axis=; it may be left out for 1-d tensors only")
    x = _summable(x, dtype)
    (a,) = normal_axes("cumulative_sum", x.ndim, 0 if axis is None else axis)
    return bind(CUMSUM, (x,), {"axis": a})


install(
    sum=sum,
    prod=prod,
    max=max,
    min=min,
    mean=mean,
    var=var,
    std=std,
    any=any,
    all=all,
    argmax=argmax,
    argmin=argmin,
    cumulative_sum=cumulative_sum,
)
