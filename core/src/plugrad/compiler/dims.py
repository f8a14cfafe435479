"""Sizes that tell when they are decided upon, while a function of a batch is staged.

User code that reads a size of the batch gets a ``Dim``: a number that stays one under ``+ - * /``, and tells whether
anything else was done with it. A decision taken for one size need not hold for another.
"""

from __future__ import annotations

import math
import operator
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from ..fallback import INTERNAL, user_line
from ..tensor import Tensor


class Dim:
    """A number that depends on the size of the batch; to ``isinstance`` an int or a float, as it may be.

    It is no subclass of these: functions in C read the value of a subclass without asking, and here ask for it.
    """

    __slots__ = ("array", "decided", "value")

    def __init__(self, value: Any, decided: list[str]) -> None:
        self.value, self.decided = value, decided
        self.array: Any = None
        """What NumPy was given, as it does not keep it."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self.value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_told(self), name)

    @property
    def __array_interface__(self) -> Any:
        self.array = np.asarray(_told(self))
        return self.array.__array_interface__

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self.value), (_told(self),)


def _of_user() -> bool:
    """Whether the user's own code asks, if only through NumPy."""
    frame: Any = sys._getframe(2)
    while (top := frame.f_globals.get("__name__", "").partition(".")[0]) == "numpy":
        frame = frame.f_back
    return top not in INTERNAL


def _told(d: Dim) -> Any:
    """The value, and a note that somebody knows it."""
    frame: Any = sys._getframe(1)
    while (top := frame.f_globals.get("__name__", "").partition(".")[0]) == "numpy" or frame.f_globals is globals():
        frame = frame.f_back
    if top not in INTERNAL:
        d.decided.append(user_line())
    return d.value


def _value(x: Any) -> Any:
    return x.value if type(x) is Dim else x


def _arithmetic(compute: Callable[..., Any], turned: bool = False) -> Any:
    def method(self: Dim, *others: Any) -> Any:
        values = [self.value, *map(_value, others)]
        found = compute(*(values[::-1] if turned else values))
        return Dim(found, self.decided) if type(found) in (int, float) else found

    return method


def _deciding(compute: Callable[..., Any], turned: bool = False) -> Any:
    def method(self: Dim, *others: Any) -> Any:
        values = [_told(self), *map(_value, others)]
        return compute(*(values[::-1] if turned else values))

    return method


for _name in ("add", "sub", "mul", "truediv"):
    setattr(Dim, f"__{_name}__", _arithmetic(getattr(operator, _name)))
    setattr(Dim, f"__r{_name}__", _arithmetic(getattr(operator, _name), turned=True))
for _name in ("neg", "pos"):
    setattr(Dim, f"__{_name}__", _arithmetic(getattr(operator, _name)))
for _name in ("floordiv", "mod", "pow", "and_", "or_", "xor", "lshift", "rshift"):
    setattr(Dim, f"__{_name.strip('_')}__", _deciding(getattr(operator, _name)))
    setattr(Dim, f"__r{_name.strip('_')}__", _deciding(getattr(operator, _name), turned=True))
for _name in ("lt", "le", "gt", "ge", "eq", "ne", "abs", "index", "invert"):
    setattr(Dim, f"__{_name}__", _deciding(getattr(operator, _name)))
for _function in (bool, int, float, complex, hash, repr, str, format, round, divmod, math.floor, math.ceil, math.trunc):
    setattr(Dim, f"__{_function.__name__}__", _deciding(_function))
Dim.__rdivmod__ = _deciding(divmod, turned=True)  # type: ignore[attr-defined]


class Watch:
    """A block in which user code of this thread reads sizes that equal ``size`` as ``Dim``s. ``decided`` has the lines
    that decided upon one.
    """

    open = 0
    lock = threading.Lock()
    usual: tuple[Any, ...] = ()
    here = threading.local()

    def __init__(self, size: int) -> None:
        self.size = size
        self.decided: list[str] = []
        self.given = False
        """Whether user code has read a size."""

    def __enter__(self) -> Watch:
        self.before, Watch.here.watch = getattr(Watch.here, "watch", None), self
        with Watch.lock:
            if not Watch.open:
                Watch.usual = Tensor.shape, Tensor.size, Tensor.__len__, Tensor.__getitem__
                Tensor.shape, Tensor.size = property(_shape), property(_size)  # type: ignore[assignment, method-assign]
                Tensor.__len__, Tensor.__getitem__ = _length, _item  # type: ignore[method-assign]
            Watch.open += 1
        return self

    def __exit__(self, *_: object) -> None:
        Watch.here.watch = self.before
        with Watch.lock:
            Watch.open -= 1
            if not Watch.open:
                Tensor.shape, Tensor.size, Tensor.__len__, Tensor.__getitem__ = Watch.usual  # type: ignore


def _watching() -> Watch | None:
    watch: Watch | None = getattr(Watch.here, "watch", None)
    return watch


def _shape(t: Tensor) -> tuple[Any, ...]:
    watch = _watching()
    if watch is None or watch.size not in t._shape or not _of_user():
        return t._shape
    watch.given = True
    return tuple([Dim(n, watch.decided) if n == watch.size else n for n in t._shape])


def _size(t: Tensor) -> Any:
    watch, n = _watching(), math.prod(t._shape)
    if watch is None or watch.size not in t._shape or not _of_user():
        return n
    watch.given = True
    return Dim(n, watch.decided)


def _length(t: Tensor) -> int:
    watch = _watching()
    if watch is not None and t._shape and t._shape[0] == watch.size and _of_user():
        watch.decided.append(user_line())  # len() makes a plain integer of whatever it is given
    found: int = Watch.usual[2](t)
    return found


def _item(t: Tensor, index: Any) -> Any:
    """A slice of a batch that stops, or steps, where some sizes would not reach."""
    watch = _watching()
    if watch is not None and watch.size in t._shape:
        for part in index if isinstance(index, tuple) else (index,):
            bounds = (part.start, part.stop) if isinstance(part, slice) else ()
            fixed = any(type(b) is int and b != 0 for b in bounds) or (type(part) is int and not -2 <= part < 2)
            if fixed or (isinstance(part, slice) and part.step not in (None, 1)):
                watch.decided.append(user_line())
    return Watch.usual[3](t, index)
