"""Sorting, searching, and sets of values.

Orders are stable, and NaN comes last in both directions. Results whose size depends on values (``nonzero``,
``unique_*``) look at them on the host, and so cannot be used under vmap and stage.
"""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np

from ..backend import Spec
from ..dispatch import bind, lifted
from ..dtypes import DTYPES, KIND, int64, promote
from ..errors import ShapeError, shown
from ..op import Op
from ..tensor import Tensor
from . import elementwise as ew
from . import reduction as rd
from .common import Axis, AxisOp, cast, normal_axes, repeated, tensors
from .indexing import take, take_along_axis
from .movement import concat, reshape

# fmt: off
__all__ = [
    "argsort", "count_nonzero", "isin", "nonzero", "searchsorted", "sort", "top_k", "unique_all",
    "unique_counts", "unique_inverse", "unique_values"
]
# fmt: on


class _Argsort(AxisOp):
    def spec(self, x: Any, *, axis: int, descending: bool) -> Any:
        return Spec(x.shape, int64)


class _Sort(AxisOp):
    """The elements in order; what is differentiated is the gather."""

    def spec(self, x: Any, *, axis: int, descending: bool) -> Any:
        return Spec(x.shape, x.dtype)

    def decompose(self, x: Tensor, *, axis: int, descending: bool) -> Tensor:
        return take_along_axis(x, ARGSORT(x, axis=axis, descending=descending), axis=axis)


class _Searchsorted(Op):
    """numpy.searchsorted: for each value the number of elements of a sorted 1-d operand that come before it."""

    def spec(self, x: Any, v: Any, *, side: str) -> Any:
        if x.ndim != 1:
            raise ShapeError(f"searchsorted: shape {x.shape} is not that of sorted values; they must be 1-d")
        return Spec(v.shape, int64)

    def batch(self, size: int, xs: Any, batched: Any, *, side: str) -> Any:
        """Of several sorted operands: the place of a value among both, less its place among the values."""
        x, v = xs
        if not batched[0]:
            return self(x, v, side=side)
        shape = v.shape if batched[1] else (size, *v.shape)
        v = reshape(repeated(size, v, batched[1]), (size, -1) if v.size else (size, 0))
        first, second = (v, x) if side == "left" else (x, v)
        among = _places(concat([first, second], axis=1))
        ours = among[:, : v.shape[1]] if side == "left" else among[:, x.shape[1] :]
        return reshape(ours - _places(v), shape)


def _places(rows: Tensor) -> Tensor:
    """Where each element of a row would be if the row were sorted: the inverse of its order."""
    return argsort(argsort(rows))


ARGSORT = _Argsort("argsort", dtypes="ordered")
SORT = _Sort("sort", dtypes="ordered")
SEARCHSORTED = _Searchsorted("searchsorted", dtypes="ordered", together="all")


def argsort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """Positions (int64) that sort ``x`` along an axis; equal elements keep their order, whatever ``stable`` says.

    >>> argsort(asarray([3.0, 1.0, 2.0]), descending=True).tolist()
    [0, 2, 1]
    """
    (a,) = normal_axes("argsort", x.ndim, axis)
    return bind(ARGSORT, (x,), {"axis": a, "descending": bool(descending)})


def sort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """``x`` sorted along an axis, of bools or real numbers; NaN comes last. The cotangent goes back to where each
    element was.

    >>> sort(asarray([3.0, 1.0, 2.0])).tolist()
    [1.0, 2.0, 3.0]
    """
    (a,) = normal_axes("sort", x.ndim, axis)
    return bind(SORT, (x,), {"axis": a, "descending": bool(descending)})


class TopK(NamedTuple):
    """What ``top_k`` gives."""

    values: Tensor
    indices: Tensor


def top_k(x: Tensor, k: int, /, *, axis: int = -1) -> TopK:
    """The ``k`` greatest values along an axis, the greatest first, and their positions (int64); of equal ones those
    that come first, and NaN after all numbers. Values are differentiable, as a gather. ShapeError if there are fewer.

    >>> found = top_k(asarray([1.0, 5.0, 3.0]), 2)
    >>> found.values.tolist(), found.indices.tolist()
    ([5.0, 3.0], [1, 2])
    """
    (a,) = normal_axes("top_k", x.ndim, axis)
    if not 0 <= operator.index(k) <= x.shape[a]:
        wrong = f"k is {shown(k)} for {x.shape[a]} elements along axis {a} of shape {x.shape}"
        raise ShapeError(f"top_k: {wrong}; give at least 0 and at most as many")
    order = argsort(x, axis=a, descending=True)[(*(slice(None),) * a, slice(k))]
    return TopK(take_along_axis(x, order, axis=a), order)


def searchsorted(x1: Tensor, x2: Any, /, *, side: str = "left", sorter: Any = None) -> Tensor:
    """For each value of ``x2`` the position (int64) in the sorted 1-d ``x1`` where it belongs: before its equals
    ("left") or behind them. ``sorter`` are the positions that sort an ``x1`` that is not.

    >>> searchsorted(asarray([1, 2, 2, 5]), asarray([2, 9]), side="right").tolist()
    [3, 4]
    """
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side {shown(side)} is unknown; use 'left' or 'right'")
    if sorter is not None:
        if x1.ndim != 1 or np.shape(sorter) != x1.shape:
            what = f"a sorter of shape {np.shape(sorter)} for values of shape {x1.shape}"
            raise ShapeError(f"searchsorted: {what}; both must be 1-d and of one size")
        x1 = take(x1, sorter)
    return bind(SEARCHSORTED, (x1, x2), {"side": side})


# -- counting and finding

_FEW = 16
"""So many values are compared with each element; more are sorted."""


def count_nonzero(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """How many elements (int64) over axes (all by default) are not zero.

    >>> count_nonzero(asarray([[0, 7], [8, 9]]), axis=0).tolist()
    [1, 2]
    """
    return rd.sum(ew.not_equal(x, 0), axis, dtype=int64, keepdims=keepdims)


def _on_host(name: str, x: Tensor) -> np.ndarray:
    return x.detach().concrete(name).numpy()


def _positions(array: np.ndarray, device: str) -> Tensor:
    return Tensor._convert(array.astype(int64, copy=False), device=device)


def nonzero(x: Tensor, /) -> tuple[Tensor, ...]:
    """The positions (int64) of the elements that are not zero, a tensor for each axis, in row-major order.

    >>> [i.tolist() for i in nonzero(asarray([[0, 7], [8, 0]]))]
    [[0, 1], [1, 0]]
    """
    if x.ndim == 0:
        raise ShapeError("nonzero: a 0-d tensor has no positions; reshape it to (1,) first")
    return tuple([_positions(i, x.device) for i in np.nonzero(_on_host("nonzero", x))])


def isin(x1: Any, x2: Any, /, *, invert: bool = False) -> Tensor:
    """Elementwise, as bool: is the element of ``x1`` one of ``x2``? (With ``invert``: is it none?) NaN is in nothing.

    >>> isin(asarray([1, 2, 3]), asarray([3, 1])).tolist()
    [True, False, True]
    """
    like = next((x for x in (x1, x2) if isinstance(x, Tensor)), None)
    x, among = [lifted("isin", v, like) for v in (x1, x2)] if like is not None else tensors(x1, x2)
    dtype = DTYPES[promote("isin", x.dt, among.dt)]
    x, among = cast(x, dtype), reshape(cast(among, dtype), (-1,))
    found = (_is_one if among.size <= _FEW else _is_pair if KIND[x.dt] == "c" else _is_ordered)(x, among)
    return ew.logical_not(found) if invert else found


def _is_one(x: Tensor, among: Tensor) -> Tensor:
    """Each with each."""
    return rd.any(ew.equal(x, reshape(among, (-1, *(1,) * x.ndim))), axis=0)


def _is_ordered(x: Tensor, among: Tensor) -> Tensor:
    """By the place where it would be."""
    ordered = sort(among)
    return ew.equal(take(ordered, ew.minimum(searchsorted(ordered, x), among.size - 1)), x)


def _is_pair(x: Tensor, among: Tensor) -> Tensor:
    """Complex numbers have no order, but their parts have: pairs of the places of these, as one integer, are looked
    up.
    """
    parts = [(f(x), f(among)) for f in (ew.real, ew.imag)]
    (a, a_among), (b, b_among) = [[searchsorted(sort(other), v) for v in (own, other)] for own, other in parts]
    n = among.size + 1
    both = _is_ordered(a * n + b, a_among * n + b_among)
    return ew.logical_and(both, ew.logical_and(*[_is_ordered(own, other) for own, other in parts]))


# -- sets


class UniqueAll(NamedTuple):
    """What ``unique_all`` gives."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """What ``unique_counts`` gives."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """What ``unique_inverse`` gives."""

    values: Tensor
    inverse_indices: Tensor


def _unique(name: str, x: Tensor, first: bool = False, inverse: bool = False, counts: bool = False) -> list[Tensor]:
    """The values, and what else is asked for: positions of the first of each, of each one's value, and counts.

    Positions cost a stable sort: values alone, of a tensor that nobody differentiates, do without.
    """
    array = _on_host(name, x)
    array = array.astype(np.float32) if array.dtype.kind == "V" else array  # NumPy sorts no NaN of ml_dtypes' floats
    stable = first or inverse or bool(x.mask) or x.tr is not None
    wanted: dict[str, Any] = {"return_index": stable, "return_inverse": inverse, "return_counts": counts}
    found: Any = np.unique(array, **wanted, equal_nan=False)
    values, *rest = found if isinstance(found, tuple) else (found,)
    if stable:
        out, rest = take(reshape(x, (-1,)), rest[0], axis=0), rest if first else rest[1:]
    else:
        out = Tensor._convert(values.astype(x.dtype, copy=False), device=x.device)
    if inverse:
        rest[first] = rest[first].reshape(x.shape)
    return [out, *[_positions(i, x.device) for i in rest]]


def unique_all(x: Tensor, /) -> UniqueAll:
    """The different values of ``x``, in ascending order; the position in the flattened ``x`` where each comes first;
    for each element of ``x`` the position of its value; and how often each occurs.

    Values are differentiable, as a gather of the first of each. NaNs are all different. Not for vmap and stage, under
    which the size would depend on values.

    >>> found = unique_all(asarray([3, 1, 3]))
    >>> found.values.tolist(), found.indices.tolist(), found.inverse_indices.tolist(), found.counts.tolist()
    ([1, 3], [1, 0], [1, 0, 1], [1, 2])
    """
    return UniqueAll(*_unique("unique_all", x, True, True, True))


def unique_counts(x: Tensor, /) -> UniqueCounts:
    """The values and counts of ``unique_all``.

    >>> [t.tolist() for t in unique_counts(asarray([3, 1, 3]))]
    [[1, 3], [1, 2]]
    """
    return UniqueCounts(*_unique("unique_counts", x, counts=True))


def unique_inverse(x: Tensor, /) -> UniqueInverse:
    """The values and inverse indices of ``unique_all``.

    >>> [t.tolist() for t in unique_inverse(asarray([3, 1, 3]))]
    [[1, 3], [1, 0, 1]]
    """
    return UniqueInverse(*_unique("unique_inverse", x, inverse=True))


def unique_values(x: Tensor, /) -> Tensor:
    """The values of ``unique_all``.

    >>> unique_values(asarray([3, 1, 3])).tolist()
    [1, 3]
    """
    return _unique("unique_values", x)[0]
