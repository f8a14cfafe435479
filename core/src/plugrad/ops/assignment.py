"""``x[index]`` and ``x[index] = v``, iteration over rows, and writes as functions: ``x.at[index].set(v)``."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ..dispatch import bind, lifted, overwrite, writable
from ..dtypes import KIND, RANK
from ..errors import ShapeError
from ..op import broadcast_shapes
from ..ownership import check_view_write
from ..tensor import Tensor, install
from .common import alias
from .elementwise import add, maximum, minimum, multiply, where
from .indexing import GATHER, SLICE_UPDATE
from .movement import RESHAPE, SLICE, broadcast_to, moveaxis, reshape, reshaped
from .scatter import SCATTER, SCATTER_MAX, SCATTER_MIN, SCATTER_MUL, added
from .subscript import Flat, Pick, Subscript, parse, positions

# -- reading


def getitem(x: Tensor, index: Any) -> Tensor:
    """``x[index]`` with NumPy's meaning: integers, slices, ``...`` and ``None`` give views; integer and bool arrays
    gather.
    """
    sub = parse("getitem", x, index)
    return _gathered(x, sub, positions("getitem", x, sub)) if sub.picks else _region(x, sub)


def _region(x: Tensor, sub: Subscript) -> Tensor:
    """A view, always another handle."""
    attrs = sub.region
    whole = attrs["size"] == x.shape and attrs["step"].count(1) == x.ndim
    out = x if whole else bind(SLICE, (x,), attrs)
    return bind(RESHAPE, (out,), {"shape": sub.rest}) if out.shape != sub.rest or out is x else out


def _gathered(x: Tensor, sub: Subscript, flat: Flat) -> Tensor:
    low, high, at, block, before = flat
    n = math.prod(x.shape[low:high])
    merged = x if high - low == 1 else reshape(x, (*x.shape[:low], n, *x.shape[high:]))
    try:
        out = bind(GATHER, (merged, at), {"axis": low})
    except IndexError as error:
        raise IndexError(f"getitem: {str(error).removeprefix('gather: ')}") from error
    if before < low and block:
        out = moveaxis(out, tuple(range(low, low + len(block))), tuple(range(before, before + len(block))))
    return reshape(out, _whole(sub, block)) if out.ndim != len(sub.rest) + len(block) else out


def _whole(sub: Subscript, block: tuple[int, ...]) -> tuple[int, ...]:
    """The result's shape."""
    return (*sub.rest[: sub.place], *block, *sub.rest[sub.place :])


def _iterate(x: Tensor) -> Iterator[Tensor]:
    """Rows of a tensor, as views."""
    return (x[i] for i in range(len(x)))


# -- writing


class _Way(NamedTuple):
    """How values meet what is there: elementwise, and at positions, ``f(x, positions, values, axis=...)``."""

    change: Callable[[Tensor, Tensor], Tensor]
    scatter: Callable[..., Tensor]


_SET = _Way(lambda old, v: v, SCATTER)
_ADD = _Way(add, added)
_MULTIPLY = _Way(multiply, SCATTER_MUL)
_MIN, _MAX = _Way(minimum, SCATTER_MIN), _Way(maximum, SCATTER_MAX)


def setitem(x: Tensor, index: Any, value: Any) -> None:
    """``x[index] = value``: the handle is rebound; the buffer is reused when nobody else can see it."""
    references = sys.getrefcount(x)  # first: an argument on the stack is a reference too
    check_view_write(x, references, assignment=True)
    _write("setitem", x, index, value, _SET)


def _write(name: str, x: Tensor, index: Any, value: Any, way: _Way) -> None:
    """Everything is checked before anything is changed."""
    value = writable(name, _lifted(name, value, x), x)
    sub = parse(name, x, index)
    if not sub.picks:
        value = _fitted(name, value, sub.rest)
        new = value if way is _SET else way.change(_region(x, sub), value)
        attrs = sub.region
        overwrite(SLICE_UPDATE, x, (reshaped(broadcast_to(new, sub.rest), attrs["size"]),), attrs)
    elif (spread := _spread(name, value, sub)) is not None:
        _select(x, sub, *spread, way)
    else:
        _scatter(name, x, sub, value, way)


def _lifted(name: str, value: Any, x: Tensor) -> Tensor:
    """The numbers of a list are weak, as a single one is: not rounded to float32 on their way into float64."""
    new = lifted(name, value, x)
    weak = isinstance(value, (list, tuple)) and RANK[KIND[new.dt]] <= RANK[KIND[x.dt]] and new.dt != x.dt
    return Tensor._convert(value, dtype=x.dtype, device=x.device) if weak else new


def _fitted(name: str, value: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A value that broadcasts to the shape, without leading axes of size 1 that are too many."""
    extra = max(value.ndim - len(shape), 0)
    if extra and value.shape[:extra] == (1,) * extra:
        value = reshape(value, value.shape[extra:])
    if broadcast_shapes(name, value.shape, shape) != shape:
        raise ShapeError(f"{name}: a value of shape {value.shape} does not broadcast to the region's shape {shape}")
    return value


def _spread(name: str, value: Tensor, sub: Subscript) -> tuple[Pick, Tensor] | None:
    """For an index whose only array is a mask, and a value that is the same wherever the mask selects: the mask and the
    value, shaped to broadcast against the region in which it selects. Nobody need know how many elements it selects.
    """
    (pick, *more), place, ndim = sub.picks, sub.place, len(sub.rest) + 1
    one = (*sub.rest[:place], 1, *sub.rest[place:])
    if more or not pick.is_mask or (value.ndim >= ndim - place and value.shape[place - ndim] != 1):
        return None
    value = _fitted(name, value, one)
    shape = (*(1,) * (ndim - value.ndim), *value.shape)
    rest = (*shape[:place], *shape[place + 1 :])
    return pick, reshape(value, (*rest[: pick.before], *(1,) * pick.array.ndim, *rest[pick.before :]))


def _select(x: Tensor, sub: Subscript, pick: Pick, values: Tensor, way: _Way) -> None:
    """Write the values where the mask holds in the region that the rest of the index says."""
    rest = (*sub.rest[: pick.before], *pick.array.shape, *sub.rest[pick.before :])
    window = Subscript(sub.runs, rest, [], [], 0)
    attrs, new = window.region, _selected(x, window, pick, values, way)
    if rest == attrs["size"] == x.shape and attrs["step"].count(1) == x.ndim:
        x.rebind(new)
    else:
        overwrite(SLICE_UPDATE, x, (reshaped(new, attrs["size"]),), attrs)


def _selected(x: Tensor, window: Subscript, pick: Pick, values: Tensor, way: _Way) -> Tensor:
    old = _region(x, window)
    mask = pick.array.reshape((*pick.array.shape, *(1,) * (old.ndim - pick.before - pick.array.ndim)))
    return where(mask, way.change(old, values), old)


def _scatter(name: str, x: Tensor, sub: Subscript, value: Tensor, way: _Way) -> None:
    """Write at positions, into the buffer of ``x`` where values replace and nobody else can see it."""
    low, high, at, block, before = positions(name, x, sub)
    shape = _whole(sub, block)
    value = broadcast_to(_fitted(name, value, shape), shape)
    real = [d for d, a in zip(sub.rest, sub.sources, strict=True) if a >= 0]
    value = reshaped(value, (*real[:before], *block, *real[before:]))
    count = len(block)
    if before < low and count:
        value = moveaxis(value, tuple(range(before, before + count)), tuple(range(low, low + count)))
    if low == high:  # masks without axes alone: all or nothing
        if 0 not in block:
            _write(name, x, ..., reshape(value, x.shape), way)
    else:
        axes = tuple(range(low, high))
        try:
            if way is _SET:
                overwrite(SCATTER, x, (at, value), {"axis": axes})
            else:
                x.rebind(way.scatter(x, at, value, axis=axes))
        except IndexError as error:
            raise IndexError(f"{name}: {error}") from error


# -- writing as a function


class At:
    """``x.at``: ``x.at[index]`` names a place of ``x``, of which a changed copy is made."""

    __slots__ = ("_x",)

    def __init__(self, x: Tensor) -> None:
        self._x = x

    def __getitem__(self, index: Any) -> Place:
        return Place(self._x, index)


class Place:
    """``x.at[index]``: each method gives a copy of ``x`` changed there, and leaves ``x`` as it is.

    Positions may repeat: the last value stays for ``set``, and all of them count for the others. Values are cast as for
    ``x[index] = v``.

    >>> import plugrad
    >>> plugrad.zeros(3).at[[0, 0, 2]].add(1.0).tolist()
    [2.0, 0.0, 1.0]
    """

    __slots__ = ("_index", "_x")

    def __init__(self, x: Tensor, index: Any) -> None:
        self._x, self._index = x, index

    def _changed(self, name: str, value: Any, way: _Way) -> Tensor:
        out = alias(self._x)
        _write(f"at.{name}", out, self._index, value, way)
        return out

    def set(self, value: Any) -> Tensor:
        """With the values in place of what is there."""
        return self._changed("set", value, _SET)

    def add(self, value: Any) -> Tensor:
        """With the values added."""
        return self._changed("add", value, _ADD)

    def multiply(self, value: Any) -> Tensor:
        """With what is there multiplied by the values."""
        return self._changed("multiply", value, _MULTIPLY)

    def divide(self, value: Any) -> Tensor:
        """With what is there divided by the values, which are multiplied first where they meet; of floating dtypes."""
        factors = Place(self._x.ones_like(), self._index)._changed("divide", value, _MULTIPLY)
        return writable("at.divide", self._x / factors, self._x)

    def min(self, value: Any) -> Tensor:
        """With the least of what is there and the values; the derivative as of ``minimum``."""
        return self._changed("min", value, _MIN)

    def max(self, value: Any) -> Tensor:
        """With the greatest of what is there and the values; the derivative as of ``maximum``."""
        return self._changed("max", value, _MAX)


install(__getitem__=getitem, __setitem__=setitem, __iter__=_iterate, at=property(At))
