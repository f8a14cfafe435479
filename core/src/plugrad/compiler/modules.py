"""A compiled Module is a Module: of the same type, on the same attributes, in whatever tree the other could stand.

It is a second object on the module's ``__dict__``, of a subclass that only says what a call is. Whatever walks Modules
(parameters, state, modes, pytrees) finds what it would find in the module, and a change to either is seen by both.
"""

from __future__ import annotations

import copy
import functools
from typing import Any

from ..state import ACTIVE, state


class _Compiled:
    """What differs from the module."""

    __slots__ = ()
    _function: Any

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The compiled call; the module's own inside a graph, which it becomes part of."""
        if ACTIVE[0] and state().stage is not None:
            return self._function.f(*args, **kwargs)
        return self._function(*args, **kwargs)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _compiled, (self._function.f, type(self._function), self._function.options)

    def __copy__(self) -> Any:
        return wrapped(self._function.again(copy.copy(self._function.f)))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return wrapped(self._function.again(copy.deepcopy(self._function.f, memo)))


@functools.cache
def _kind(cls: Any) -> Any:
    """The type of the compiled modules of a type; trees and names know it by that."""
    own = {"__slots__": ("_function",), "_plain": cls, "__module__": cls.__module__, "__qualname__": cls.__qualname__}
    return type(cls)(cls.__name__, (_Compiled, cls), {**own, "__doc__": cls.__doc__})


def wrapped(function: Any) -> Any:
    """The compiled form of a Module, ``function.f``, as a Module."""
    plain = function.f
    cls: Any = type(plain)
    new: Any = object.__new__(_kind(cls))
    new.__dict__ = plain.__dict__
    object.__setattr__(new, "_function", function)
    if getattr(plain, "_sealed", False):
        object.__setattr__(new, "_sealed", True)
    return new


def function_of(f: Any) -> Any:
    """The compiled function of a compiled Module; anything else as it is."""
    return f._function if isinstance(f, _Compiled) else f


def plain_of(f: Any) -> Any:
    """The Module that was compiled; anything else as it is."""
    return f._function.f if isinstance(f, _Compiled) else f


def _compiled(plain: Any, cls: Any, options: Any) -> Any:
    """A compiled Module that was pickled."""
    return wrapped(cls(plain, *options))
