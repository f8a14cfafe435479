"""The public face of the families: a call that fails in Python or NumPy says which function was called, and with what.

Functions of a family that take anything as an operand are left as they are: the road to a kernel names them.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
from types import ModuleType
from typing import Any

from ..errors import ArgumentError, PlugradError, article
from ..op import OPS
from ..tensor import Tensor, install
from . import (
    arrange,
    contraction,
    creation,
    dlpack,
    einsum,
    elementary,
    elementwise,
    fft,
    indexing,
    linalg,
    movement,
    random,
    reduction,
    sorting,
    windows,
)  # fmt: skip

_KEPT: dict[type, Any] = {IndexError: IndexError, MemoryError: MemoryError}
_BUILT_IN = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, MemoryError, RecursionError)
_TOLD = (PlugradError, *_BUILT_IN)
INNER: set[str] = set(OPS)
"""Names that an error may begin with, which the caller of another function did not write."""


def told(name: str, function: Any) -> Any:
    """``function``, whose errors say ``name`` before anything else. Those that plugrad raises on purpose stay what they
    are, and those of classes that are neither its own nor Python's are passed on as they are.
    """
    short = name.rpartition(".")[2]

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except _TOLD as error:
            text = str(error)
            head, colon, _ = text.partition(":")
            if colon and short in re.findall(r"\w+", head):
                raise
            while colon and head in INNER:  # of a function that this one calls
                text = text[len(head) + 1 :].lstrip()
                head, colon, _ = text.partition(":")
            if isinstance(error, PlugradError):
                error.args = (f"{name}: {text}",)
                raise
            if type(error).__module__.partition(".")[0] not in ("builtins", "numpy"):
                raise
            kind = _KEPT.get(type(error), ArgumentError)
            words = text if text != str(error) else _reason(function, error, args, kwargs)
            raise kind(f"{name}: {words}") from error

    return called


def _reason(function: Any, error: Exception, args: Any, kwargs: Any) -> str:
    """What is wrong with the arguments, or else the error's own words."""
    parameters = inspect.signature(function).parameters
    try:
        bound = inspect.signature(function).bind(*args, **kwargs).arguments
    except TypeError as wrong:
        return f"{wrong}; the call is {function.__name__}{inspect.signature(function)}"
    for name, value in bound.items():
        needed = parameters[name].annotation == "Tensor"
        many = value if parameters[name].kind is inspect.Parameter.VAR_POSITIONAL else (value,)
        odd = [type(v).__name__ for v in many if needed and not isinstance(v, Tensor)]
        if odd:
            return f"{name} is {article(odd[0])}, but must be a tensor; make one with plugrad.asarray"
    given = ", ".join(f"{name}: {_kind(value)}" for name, value in bound.items())
    words = "nested too deeply" if isinstance(error, RecursionError) else str(error) or type(error).__name__
    return f"{words} (got {given})"


def _kind(value: Any) -> str:
    return value.describe() if isinstance(value, Tensor) else type(value).__name__


def _takes_anything(function: Any) -> bool:
    return all(p.annotation == "Any" for p in inspect.signature(function).parameters.values())


def _name_errors(module: ModuleType, names: list[str], prefix: str = "") -> None:
    for name in names:
        function = getattr(module, name)
        if inspect.isfunction(function) and not (module in (elementary, elementwise) and _takes_anything(function)):
            setattr(module, name, told(prefix + name, function))
            INNER.add(prefix + name)


# not guarded: what the user's function raises is the user's
_ARRAYS = (arrange, contraction, creation, elementary, elementwise, indexing, movement, reduction, sorting)
for _family in (*_ARRAYS, einsum, windows):
    _name_errors(_family, _family.__all__)
for _family in (fft, linalg, random):  # public modules of their own, with functions of others among them
    _homes = {name: getattr(_family, name).__module__ for name in _family.__all__}
    _own = [name for name, home in _homes.items() if home == _family.__name__]
    _name_errors(_family, _own, _family.__name__.rpartition(".")[2] + ".")
    for _name in _homes.keys() - set(_own):
        setattr(_family, _name, getattr(sys.modules[_homes[_name]], _name))
install(to_device=told("to_device", creation.to_device), __dlpack__=told("dlpack", dlpack.to_dlpack))
