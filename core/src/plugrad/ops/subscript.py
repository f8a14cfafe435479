"""What ``x[index]`` says, in NumPy's meaning, checked against a shape; and the positions of an index with arrays."""

from __future__ import annotations

import math
import operator
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import B1, KIND, bool_, int64
from ..errors import ArgumentError, ConcretizationError, DTypeError, shown
from ..frames import user_line
from ..tensor import Tensor
from .common import cast
from .indexing import from_front
from .movement import broadcast_to, reshape

Shape = tuple[int, ...]


class Pick(NamedTuple):
    """An integer array or a mask of an index: its first axis of the tensor, and how many axes of the rest precede."""

    axis: int
    before: int
    array: Any

    @property
    def is_mask(self) -> bool:
        """Whether the array is of bools."""
        return bool(self.array.dtype == bool_)


class Subscript(NamedTuple):
    """An index that was read.

    ``runs`` has (start, size, step) for each axis of the tensor, the whole axis where an array picks. ``rest`` has the
    sizes of the result's axes but for those of arrays, ``sources`` the tensor's axis that each is of, -1 for a new one.
    The axes of arrays, as one block, come before axis ``place`` of the rest.
    """

    runs: list[tuple[int, int, int]]
    rest: Shape
    sources: list[int]
    picks: list[Pick]
    place: int

    @property
    def region(self) -> dict[str, Shape]:
        """The runs as attributes of ``slice``."""
        start, size, step = zip(*self.runs) if self.runs else ((), (), ())
        return {"start": start, "size": size, "step": step}


_PLAIN = frozenset({int, slice})
_OWN = (TypeError, ValueError)
"""What Python says of a slice whose bounds are no integers, or whose step is 0."""


def parse(name: str, x: Tensor, index: Any) -> Subscript:
    """Read an index of ``x``; IndexError or DTypeError, beginning with the name, where it is none."""
    given = index if isinstance(index, tuple) else (index,)
    if _PLAIN.issuperset(map(type, given)) and len(given) <= x.ndim:
        return _plain(name, x, given)
    parts, used, dots = [], 0, 0
    for i in given:
        if type(i) in _PLAIN:
            used += 1
        else:
            i = _part(name, i)
            dots += i is Ellipsis
            used += i.ndim if _is_mask(i) else i is not None and i is not Ellipsis
        parts.append(i)
    if used > x.ndim:
        extra = used - x.ndim
        raise IndexError(f"{name}: {used} indices for shape {x.shape}, which has {x.ndim} axes; leave out {extra}")
    if dots > 1:
        raise IndexError(f"{name}: an index may hold only one '...'; write ':' for single axes")
    return _placed(name, x, parts if dots else [*parts, Ellipsis], x.ndim - used)


def _plain(name: str, x: Tensor, parts: tuple[Any, ...]) -> Subscript:
    """The short way for integers and slices alone."""
    runs = [_run(name, i, axis, x) for axis, i in enumerate(parts)]
    rest = [run[1] for run, i in zip(runs, parts, strict=True) if type(i) is slice]
    left = x.shape[len(parts) :]
    return Subscript(runs + [(0, d, 1) for d in left], (*rest, *left), [], [], 0)


def _placed(name: str, x: Tensor, parts: list[Any], left: int) -> Subscript:
    """The parts with their axes; '...' stands for the ``left`` axes. Integers count for where arrays are together."""
    runs: list[tuple[int, int, int]] = []
    rest, sources, picks = [], [], []
    place, gap, apart = -1, False, False
    for i in parts:
        axis = len(runs)
        if i is None or i is Ellipsis or type(i) is slice:
            axes = [-1] if i is None else [axis] if i is not Ellipsis else list(range(axis, axis + left))
            found = [_run(name, i if type(i) is slice else slice(None), a, x) for a in axes if a >= 0]
            runs += found
            rest += [size for _, size, _ in found] if i is not None else [1]
            sources += axes
            gap = place >= 0
        else:
            apart = apart or gap
            place = len(rest) if place < 0 else place
            if type(i) is int:
                runs.append(_run(name, i, axis, x))
            else:
                wanted = x.shape[axis : axis + (i.ndim if _is_mask(i) else 1)]
                picks.append(Pick(axis, len(rest), _fitting(name, i, wanted, axis, x) if _is_mask(i) else i))
                runs += [(0, d, 1) for d in wanted]
    return Subscript(runs, tuple(rest), sources, picks, 0 if apart else place)


def _fitting(name: str, mask: Any, shape: Shape, axis: int, x: Tensor) -> Any:
    """A mask of the shape of its axes; one without elements may have size 0 along any of them, as in NumPy."""
    if mask.shape == shape:
        return mask
    if any(m not in (d, 0) for m, d in zip(mask.shape, shape, strict=True)):
        raise IndexError(f"{name}: a mask of shape {mask.shape} does not fit {x.shape} from axis {axis} on")
    return np.zeros(shape, bool)


def _is_mask(i: Any) -> bool:
    return isinstance(i, (Tensor, np.ndarray)) and i.dtype == bool_


def _part(name: str, i: Any) -> Any:
    """A part of an index as None, '...', a slice, an integer, or an array of integers or bools."""
    if i is None or i is Ellipsis or isinstance(i, slice):
        return i
    if isinstance(i, Tensor):
        if i.dt != B1 and KIND[i.dt] not in "iu":
            raise DTypeError(f"{name}: indices are {i.dtype}; they must be integers, such as .astype('int64')")
        return int(i) if not i.shape and i.dt != B1 and i.known else i
    if isinstance(i, (bool, np.bool_, list, tuple, range)) or (hasattr(i, "__array__") and not _is_number(i)):
        return _array(name, i)
    if not hasattr(type(i), "__index__"):
        remedy = "use integers, slices, None, '...' or integer and bool arrays"
        raise IndexError(f"{name}: {shown(i)} is no index; {remedy}")
    return operator.index(i)


def _is_number(i: Any) -> bool:
    return isinstance(i, np.generic) and not isinstance(i, np.bool_)


def _array(name: str, i: Any) -> Any:
    """Integers as int64, one of no axes as a Python integer; a list without any counts as integers."""
    try:
        array = np.asarray(i)
    except (ValueError, RecursionError) as error:
        raise IndexError(f"{name}: {shown(i)} is no index; the rows of a nested list must be of one length") from error
    if array.dtype == bool_:
        return array
    if not array.size and array.dtype.kind == "f" and not hasattr(i, "dtype"):
        array = array.astype(int64)
    if array.dtype.kind not in "iu":
        raise DTypeError(f"{name}: indices are {array.dtype}; they must be integers, such as .astype('int64')")
    return array.astype(int64, copy=False) if array.ndim else int(array)


def _run(name: str, i: Any, axis: int, x: Tensor) -> tuple[int, int, int]:
    """Start, size and step of a slice or an integer along an axis."""
    d = x.shape[axis]
    if type(i) is slice:
        try:
            run = range(*i.indices(d))
        except _OWN as error:
            if type(error) not in _OWN:
                raise  # the user's, from __index__
            raise ArgumentError(f"{name}: {shown(i)} along axis {axis} of shape {x.shape}: {error}") from error
        return run.start if run else 0, len(run), run.step if len(run) > 1 else 1
    if not -d <= i < d:
        raise _out_of_range(name, i, axis, x)
    return i % d, 1, 1


def _out_of_range(name: str, i: Any, axis: int, x: Tensor) -> IndexError:
    d = x.shape[axis]
    remedy = f"use {-d} to {d - 1}" if d else "it has no elements"
    return IndexError(f"{name}: index {shown(i)} is out of range for axis {axis} of shape {x.shape}; {remedy}")


# -- arrays


class Flat(NamedTuple):
    """Positions over axes ``low`` to ``high`` of a tensor as if these were one, with axes ``shape``: the slices among
    them and, from ``low`` on or where the result has it, the ``block`` of arrays. ``before`` is how many axes, new ones
    aside, precede the block in the result.
    """

    low: int
    high: int
    at: Tensor
    block: Shape
    before: int


def positions(name: str, x: Tensor, sub: Subscript) -> Flat:
    """All that is not a whole axis as positions, so that reading and writing cost what is read or written."""
    arrays = [found for pick in sub.picks for found in _arrays(name, pick)]
    try:
        block = np.broadcast_shapes(*[i.shape for _, i in arrays]) if arrays[1:] else arrays[0][1].shape
    except ValueError as error:
        listed = ", ".join([str(i.shape) for _, i in arrays])
        raise IndexError(f"{name}: arrays of positions of shapes {listed} do not broadcast together") from error
    before = sum([a >= 0 for a in sub.sources[: sub.place]])
    touched = [a for a, d in enumerate(x.shape) if a not in sub.sources or sub.runs[a] != (0, d, 1)]
    low, high = (touched[0], max(touched[-1] + 1, before)) if touched else (before, before)
    if len(arrays) == 1 and high - low == 1 and arrays[0][0] == low:
        return Flat(low, high, _alone(name, arrays[0][1], low, x), block, before)
    slices = [a for a in range(low, high) if a in sub.sources]
    first = max(before - low, 0)  # of the slices, those before the block
    shape = (*[sub.runs[a][1] for a in slices[:first]], *block, *[sub.runs[a][1] for a in slices[first:]])
    n, after = math.prod(x.shape[low:high]), (1,) * (len(slices) - first)
    host: Any = np.zeros((1,) * len(shape), int64)
    unknown: list[Tensor] = []
    for axis, i in arrays:
        if axis >= 0 and 0 not in block:  # as in NumPy, arrays that are broadcast away are not looked at
            front = _from_front(name, i, axis, x, n) * math.prod(x.shape[axis + 1 : high])
            if isinstance(front, Tensor):
                unknown.append(reshape(front, (*i.shape, *after)))
            else:
                host = host + front.reshape((*i.shape, *after))
    chosen = {a for a, _ in arrays}
    for axis in [a for a in touched if a not in chosen and a not in slices]:
        host = host + sub.runs[axis][0] * math.prod(x.shape[axis + 1 : high])
    for k, axis in enumerate(slices):
        start, size, step = sub.runs[axis]
        run = (start + step * np.arange(size)) * math.prod(x.shape[axis + 1 : high])
        host = host + run.reshape((size, *(1,) * (len(shape) - 1 - k - (len(block) if k >= first else 0))))
    if unknown:
        at = broadcast_to(sum(unknown[1:], unknown[0]) + host, shape)
    else:
        at = Tensor._convert(np.array(np.broadcast_to(host, shape)), device=x.device, copy=False)
    return Flat(low, high, at, block, before)


def _arrays(name: str, pick: Pick) -> list[tuple[int, Any]]:
    """Arrays of positions with their axes: for a mask one an axis, or for one without axes, none or one of axis -1."""
    if not pick.is_mask:
        return [(pick.axis, pick.array)]
    mask = _known(name, pick.array) if isinstance(pick.array, Tensor) else pick.array
    return list(enumerate(np.nonzero(mask), pick.axis)) if mask.shape else [(-1, np.zeros(int(mask), int64))]


def _known(name: str, mask: Tensor) -> np.ndarray:
    try:
        return mask.numpy()
    except ConcretizationError:
        what = f"{name}: how many elements this mask of shape {mask.shape} selects, and so a shape, is not known here"
        remedy = f"use where(mask, x, other), or make this call outside the transformation; called at {user_line()}"
        raise ConcretizationError(f"{what}; {remedy}") from None


def _alone(name: str, i: Any, axis: int, x: Tensor) -> Tensor:
    """Positions along a single axis; those of a tensor are checked by the kernel, where it has anything to do."""
    if isinstance(i, Tensor):
        if not x.size and i.known:
            _check(name, i.numpy(), axis, x)
        return cast(i, int64)
    _check(name, i, axis, x)
    return Tensor._convert(i, device=x.device)


def _check(name: str, i: np.ndarray, axis: int, x: Tensor) -> None:
    d = x.shape[axis]
    if i.size and (i.min() < -d or i.max() >= d):
        raise _out_of_range(name, int(i[(i < -d) | (i >= d)][0]), axis, x)


def _from_front(name: str, i: Any, axis: int, x: Tensor, past: int) -> Any:
    """Positions along an axis, none negative, as an array where they are known; out of range they raise here, or are
    ``past`` at least, which the kernel refuses.
    """
    if isinstance(i, Tensor):
        if not i.known:
            return from_front(name, cast(i, int64), x.shape[axis], past)
        i = i.numpy().astype(int64)
    _check(name, i, axis, x)
    return np.where(i < 0, i + x.shape[axis], i)
