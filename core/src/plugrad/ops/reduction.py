"""Reductions over any axes, arg-reductions and cumulative sums. Kernels get sorted, non-negative axes.

``np.sum(x)`` and NumPy's other reductions call the method of that name with all their words, so the functions know
these: ``out``, which must be None; ``dtype`` for means and variances; ``ddof`` for ``correction``.
"""

from __future__ import annotations

import builtins
import math
from typing import Any

from ..backend import Spec
from ..dispatch import bind
from ..dtypes import B1, BF2, DTYPES, F2, KIND, float32, int64, real_code, uint64
from ..errors import ArgumentError, DTypeError, ShapeError, shown
from ..op import OPS, Op, conjugate
from ..tensor import Tensor, install
from . import elementwise as ew
from .common import Axis, AxisOp, cast, normal_axes, reduced_shape, single_axis

__all__ = [
    "all",
    "any",
    "argmax",
    "argmin",
    "cumulative_prod",
    "cumulative_sum",
    "logsumexp",
    "max",
    "mean",
    "min",
    "prod",
    "std",
    "sum",
    "var",
]


class _Reduction(AxisOp):
    """The shape rule of every reduction. An axis that is one integer says that positions are returned."""

    def spec(self, x: Any, *, axis: Any, keepdims: bool) -> Any:
        axes, dtype = (axis, x.dtype) if isinstance(axis, tuple) else ((axis,), int64)
        shape = reduced_shape(x.shape, axes, keepdims)
        if 0 in x.shape and 0 not in shape and self.name not in ("sum", "prod"):
            raise ShapeError(f"{self.name}: no elements over axis {axis} of shape {x.shape}; it has no identity")
        return Spec(shape, dtype)


def restore_axes(t: Tensor, shape: tuple[int, ...], axis: tuple[int, ...]) -> Tensor:
    """Put reduced axes back with size 1, so that ``t`` broadcasts against ``shape``."""
    return t.reshape(reduced_shape(shape, axis, True))


def _sum_vjp(g: Tensor, y: Tensor, xs: Any, need: Any, *, axis: Any, keepdims: bool) -> Any:
    return (restore_axes(g, xs[0].shape, axis).broadcast_to(xs[0].shape),)


def _prod_vjp(g: Tensor, y: Tensor, xs: Any, need: Any, *, axis: Any, keepdims: bool) -> Any:
    """g times the product of the other elements, one axis after the other."""
    (x,) = xs
    g = restore_axes(g, x.shape, axis)
    for a in axis:
        g = g * conjugate(_product_of_others(x, a))
        x = prod(x, a, keepdims=True)
    return (g,)


def _product_of_others(x: Tensor, axis: int) -> Tensor:
    """For each element the product of those before it along an axis times that of those behind it: no division, so
    zeros do not disturb.
    """
    return _before(x, axis) * _before(x.flip(axis=axis), axis).flip(axis=axis)


def _before(x: Tensor, axis: int) -> Tensor:
    """For each element the product of those before it along an axis."""
    n, region = x.shape[axis], (slice(None),) * axis
    one = x.ones_like((*x.shape[:axis], builtins.min(n, 1), *x.shape[axis + 1 :]))
    return OPS["concat"](one, CUMPROD(x[(*region, slice(n - 1))], axis=axis), axis=axis) if n > 1 else one


def _extremum_vjp(g: Tensor, y: Tensor, xs: Any, need: Any, *, axis: Any, keepdims: bool) -> Any:
    """Equal extrema share the cotangent; NaN, where there is any, is the extremum."""
    (x,) = xs
    g, y = restore_axes(g, x.shape, axis), restore_axes(y, x.shape, axis)
    chosen, wide = (x == y) | ew.isnan(x), _wide("max", g)  # float16 may not hold the count
    share = wide / sum(chosen, axis=axis, dtype=wide.dtype, keepdims=True)
    return (ew.where(chosen, cast(share, g.dtype), 0),)


def _cumsum_vjp(g: Tensor, y: Tensor, xs: Any, need: Any, *, axis: int) -> Any:
    """The cotangent summed from the other end."""
    return (CUMSUM(g.flip(axis=axis), axis=axis).flip(axis=axis),)


class _Cumprod(AxisOp):
    def decompose(self, x: Tensor, *, axis: int) -> Tensor:
        """By doubling: each pass multiplies by what stands twice as far in front."""
        out, before, step = cast(x, float32) if x.dt in (BF2, F2) else x, (slice(None),) * axis, 1
        while step < x.shape[axis]:
            rest = out[(*before, slice(step, None))] * out[(*before, slice(None, -step))]
            out, step = OPS["concat"](out[(*before, slice(step))], rest, axis=axis), step * 2
        return cast(out, x.dtype)

    def jvp(self, ts: Any, y: Tensor, xs: Any, *, axis: int) -> Any:
        """That of the doubling; the value stays the kernel's."""
        wide = float32 if xs[0].dt in (BF2, F2) else xs[0].dtype
        x, t, concat, region, step = cast(xs[0], wide), cast(ts[0], wide), OPS["concat"], (slice(None),) * axis, 1
        while step < x.shape[axis]:
            first, late, early = [(*region, part) for part in (slice(step), slice(step, None), slice(None, -step))]
            t = concat(t[first], t[late] * x[early] + x[late] * t[early], axis=axis)
            x, step = concat(x[first], x[late] * x[early], axis=axis), step * 2
        return cast(t, xs[0].dtype)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, axis: int) -> Any:
        """That of the doubling: no division, so zeros do not disturb."""
        return self.vjp_by_decompose(g, xs, need, {"axis": axis})


SUM = _Reduction("sum", dtypes="arithmetic", linear=(0,), vjp=_sum_vjp)
PROD = _Reduction("prod", dtypes="arithmetic", vjp=_prod_vjp)
MAX, MIN = [_Reduction(name, dtypes="ordered", vjp=_extremum_vjp) for name in ("max", "min")]
ARGMAX, ARGMIN = [_Reduction(name, dtypes="ordered", saves=(), save_output=False) for name in ("argmax", "argmin")]
CUMSUM = AxisOp("cumsum", dtypes="arithmetic", linear=(0,), vjp=_cumsum_vjp)
CUMPROD = _Cumprod("cumprod", dtypes="arithmetic", save_output=False)

_SUMMED_IN = {"b": int64, "i": int64, "u": uint64}


def _summable(x: Tensor, dtype: Any) -> Tensor:
    """Integers narrower than the default are summed in int64 (uint64 for unsigned), as the Array API says."""
    wanted = _SUMMED_IN.get(KIND[x.dt]) if dtype is None else dtype
    return x if wanted is None else cast(x, wanted)


def _reduced(op: Op, x: Tensor, axis: Axis, keepdims: bool) -> Tensor:
    return bind(op, (x,), {"axis": normal_axes(op.name, x.ndim, axis), "keepdims": bool(keepdims)})


def _not_into(name: str, out: Any) -> ArgumentError:
    return ArgumentError(f"{name}: a {type(out).__name__} as out= cannot be written into; use what is returned")


def sum(x: Tensor, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False, out: None = None) -> Tensor:
    """Sum over axes (all by default). Low-precision floats accumulate in float32; small integers are summed in 64 bits.

    >>> sum(asarray([[1.0, 2.0], [3.0, 4.0]]), axis=0).tolist()
    [4.0, 6.0]
    """
    if out is not None:
        raise _not_into("sum", out)
    return _reduced(SUM, _summable(x, dtype), axis, keepdims)


def prod(x: Tensor, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False, out: None = None) -> Tensor:
    """Product over axes (all by default), 1 where there is no element; small integers are multiplied in 64 bits.

    The derivative divides by nothing, so that it is right where elements are 0.

    >>> prod(asarray([[1.0, 2.0], [3.0, 4.0]]), axis=1).tolist()
    [2.0, 12.0]
    """
    if out is not None:
        raise _not_into("prod", out)
    return _reduced(PROD, _summable(x, dtype), axis, keepdims)


def max(x: Tensor, axis: Axis = None, *, keepdims: bool = False, out: None = None) -> Tensor:
    """Maximum over axes (all by default); NaN wins. Equal maxima share the gradient. ShapeError where there is no
    element, DTypeError for complex dtypes, which have no order.

    >>> x = asarray([[1.0, 5.0], [4.0, 5.0]])
    >>> max(x, axis=0).tolist(), pg.grad(lambda x: max(x))(x).tolist()
    ([4.0, 5.0], [[0.0, 0.5], [0.0, 0.5]])
    """
    if out is not None:
        raise _not_into("max", out)
    return _reduced(MAX, x, axis, keepdims)


def min(x: Tensor, axis: Axis = None, *, keepdims: bool = False, out: None = None) -> Tensor:
    """Minimum over axes (all by default), as ``max`` otherwise.

    >>> min(asarray([[1.0, 5.0], [4.0, 5.0]]), axis=1, keepdims=True).tolist()
    [[1.0], [4.0]]
    """
    if out is not None:
        raise _not_into("min", out)
    return _reduced(MIN, x, axis, keepdims)


def _averaged(name: str, x: Tensor, dtype: Any, out: Any) -> Tensor:
    if out is not None:
        raise _not_into(name, out)
    return x if dtype is None else cast(x, dtype)


def _wide(name: str, x: Tensor) -> Tensor:
    """What a mean is computed in, so that the sum of many float16 does not overflow: float32 at least."""
    if KIND[x.dt] not in "fc":
        raise DTypeError(f"{name}: not defined for {x.dtype}; cast with .astype('float32')")
    return cast(x, float32) if x.dt in (F2, BF2) else x


def _mean(x: Tensor, axes: tuple[int, ...], correction: float, keepdims: bool) -> Tensor:
    """The sum over axes, divided by (count - correction)."""
    n = math.prod([x.shape[a] for a in axes]) - correction
    return sum(x, axes, keepdims=keepdims) / builtins.max(n, 0)


def mean(x: Tensor, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False, out: None = None) -> Tensor:
    """Arithmetic mean over axes (all by default), of floating dtypes; integers need a ``dtype`` to be cast to first.

    Low-precision floats compute in float32.

    >>> mean(asarray([1.0, 3.0])).item(), mean(asarray([1, 2]), dtype="float64").item()
    (2.0, 1.5)
    """
    x = _averaged("mean", x, dtype, out)
    return cast(_mean(_wide("mean", x), normal_axes("mean", x.ndim, axis), 0, keepdims), x.dtype)


def _variance(name: str, x: Tensor, axis: Axis, correction: float, ddof: float, keepdims: bool) -> Tensor:
    if correction and ddof:
        raise ArgumentError(
            f"{name}: correction={shown(correction)} and ddof={shown(ddof)} mean the same; give one of them"
        )
    wide, axes = _wide(name, x), normal_axes(name, x.ndim, axis)
    centred = wide - _mean(wide, axes, 0, keepdims=True)
    squares = ew.real(centred * ew.conj(centred)) if KIND[x.dt] == "c" else centred * centred
    return _mean(squares, axes, correction or ddof, keepdims)


def var(
    x: Tensor, axis: Axis = None, *, correction: float = 0, keepdims: bool = False,
    dtype: Any = None, out: None = None, ddof: float = 0,
) -> Tensor:  # fmt: skip
    """Variance over axes (all by default), of floating and complex dtypes, real: squared deviations summed and divided
    by (count - correction).

    Two passes, so no cancellation. Low-precision floats compute in float32; integers need a ``dtype`` to be cast to
    first. ``ddof`` is NumPy's word for ``correction``.

    >>> var(asarray([1.0, 2.0, 6.0])).item(), var(asarray([1.0, 2.0, 6.0]), correction=1).item()
    (4.666..., 7.0)
    """
    x = _averaged("var", x, dtype, out)
    return cast(_variance("var", x, axis, correction, ddof, keepdims), DTYPES[real_code(x.dt)])


def std(
    x: Tensor, axis: Axis = None, *, correction: float = 0, keepdims: bool = False,
    dtype: Any = None, out: None = None, ddof: float = 0,
) -> Tensor:  # fmt: skip
    """Square root of the variance, with its arguments. The derivative where that is 0 is NaN, the infinite slope of the
    root times 0.

    >>> std(asarray([1.0, 3.0])).item()
    1.0
    """
    x = _averaged("std", x, dtype, out)
    return cast(ew.sqrt(_variance("std", x, axis, correction, ddof, keepdims)), DTYPES[real_code(x.dt)])


def any(x: Tensor, axis: Axis = None, *, keepdims: bool = False, out: None = None) -> Tensor:
    """Whether some element is true (not 0; NaN is true), over axes (all by default), bool; False where there is none.

    >>> any(asarray([[0, 2], [0, 0]]), axis=1).tolist()
    [True, False]
    """
    if out is not None:
        raise _not_into("any", out)
    return _bool_reduction("any", MAX, x, axis, keepdims, False)


def all(x: Tensor, axis: Axis = None, *, keepdims: bool = False, out: None = None) -> Tensor:
    """Whether every element is true (not 0; NaN is true), over axes (all by default), bool; True where there is none.

    >>> all(asarray([[1, 2], [0, 3]]), axis=1).tolist()
    [True, False]
    """
    if out is not None:
        raise _not_into("all", out)
    return _bool_reduction("all", MIN, x, axis, keepdims, True)


def _bool_reduction(name: str, op: Op, x: Tensor, axis: Axis, keepdims: bool, identity: bool) -> Tensor:
    axes = normal_axes(name, x.ndim, axis)
    if builtins.any(x.shape[a] == 0 for a in axes):
        shape = reduced_shape(x.shape, axes, bool(keepdims))
        return Tensor._convert(identity, device=x.device).broadcast_to(shape)
    return _reduced(op, x if x.dt == B1 else ew.not_equal(x, 0), axes, keepdims)


def _arg(op: Op, x: Tensor, axis: int | None, keepdims: bool) -> Tensor:
    flat = x.reshape((-1,)) if axis is None else x
    found = bind(op, (flat,), {"axis": single_axis(op.name, flat.ndim, axis), "keepdims": bool(keepdims)})
    return found.reshape((1,) * x.ndim) if keepdims and axis is None else found


def logsumexp(x: Tensor, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """``log(sum(exp(x)))`` over axes (all by default) of real floats, without overflow: the maximum is taken out, and
    added behind. -infinity where there is no element. The derivative is the softmax of ``x``.

    >>> logsumexp(asarray([1000.0, 1000.0])).item()
    1000.693...
    """
    wide, axes = _wide("logsumexp", x), normal_axes("logsumexp", x.ndim, axis)
    if KIND[x.dt] == "c":
        raise DTypeError(
            f"logsumexp: complex numbers, as of this {x.describe()}, have no maximum; use log(sum(exp(x)))"
        )
    kept = reduced_shape(x.shape, axes, True)
    top = MAX(wide.detach(), axis=axes, keepdims=True) if 0 not in x.shape else wide.zeros_like(kept)
    top = ew.where(ew.isfinite(top), top, 0)
    out = ew.log(sum(ew.exp(wide - top), axes, keepdims=True)) + top
    return cast(out if keepdims else out.reshape(reduced_shape(x.shape, axes, False)), x.dtype)


def argmax(x: Tensor, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """Index (int64) of the first maximum along an axis, or in the flattened tensor; of the first NaN if there is one.
    ShapeError where there is no element.

    >>> x = asarray([[1.0, 9.0], [9.0, 2.0]])
    >>> argmax(x).item(), argmax(x, axis=0).tolist()
    (1, [1, 0])
    """
    return _arg(ARGMAX, x, axis, keepdims)


def argmin(x: Tensor, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """Index (int64) of the first minimum along an axis, as ``argmax`` otherwise.

    >>> argmin(asarray([3.0, 1.0, 1.0]), keepdims=True).tolist()
    [1]
    """
    return _arg(ARGMIN, x, axis, keepdims)


def _cumulative(name: str, op: Op, x: Tensor, axis: int | None, dtype: Any, include_initial: bool) -> Tensor:
    a = single_axis(name, x.ndim, axis)
    out: Tensor = bind(op, (_summable(x, dtype),), {"axis": a})
    if not include_initial:
        return out
    identity = out.zeros_like if op is CUMSUM else out.ones_like
    return OPS["concat"](identity((*x.shape[:a], 1, *x.shape[a + 1 :])), out, axis=a)


def cumulative_sum(
    x: Tensor, /, axis: int | None = None, *, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Running sum along an axis, which may be left out for 1-d tensors; ``include_initial`` puts a 0 in front.

    >>> cumulative_sum(asarray([1.0, 2.0, 3.0])).tolist()
    [1.0, 3.0, 6.0]
    """
    return _cumulative("cumulative_sum", CUMSUM, x, axis, dtype, include_initial)


def cumulative_prod(
    x: Tensor, /, axis: int | None = None, *, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Running product along an axis, which may be left out for 1-d tensors; ``include_initial`` puts a 1 in front.

    The derivative divides by nothing, so that it is right where elements are 0.

    >>> cumulative_prod(asarray([2.0, 3.0, 4.0]), include_initial=True).tolist()
    [1.0, 2.0, 6.0, 24.0]
    """
    return _cumulative("cumulative_prod", CUMPROD, x, axis, dtype, include_initial)


install(sum, prod, max, min, mean, var, std, any, all, argmax, argmin, cumulative_sum)
