"""compile: a function staged once for each kind of call, and replayed. Guards decide which graph a call may use."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from . import tree
from .module import Module
from .ops import creation
from .state import state
from .tensor import Tensor
from .transforms import Staged, as_array, stage

F = Callable[..., Any]


LIMIT = 16
"""Graphs kept for one kind of call; the oldest goes first."""


class _Same:
    """Equal only for the same object, which it keeps alive, so that its identity stays its own."""

    __slots__ = ("thing",)

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.thing is other.thing

    __hash__ = None  # type: ignore[assignment]


def _guard(value: Any) -> Any:
    """What must stay equal: plain values and containers as they are, an array by its contents, all else by identity."""
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return type(value), value
    if isinstance(value, (list, tuple)):
        return [_guard(v) for v in value]
    if isinstance(value, dict):
        return {k: _guard(v) for k, v in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return value.dtype, value.shape, value.tobytes()
    return _Same(value)


def _look(m: Module) -> Any:
    return m.training, {name: _guard(value) for name, value in vars(m).items()}


def _captured(f: Any) -> list[Module]:
    """Modules that a function may use without being given them: in its closure, bound to it, or global to it."""
    f = getattr(f, "__wrapped__", f)
    bound = getattr(f, "__self__", None)
    code = getattr(f, "__code__", getattr(getattr(f, "__func__", None), "__code__", None))
    names = getattr(f, "__globals__", {})
    found = [bound, *[names.get(n) for n in (code.co_names if code is not None else ())]]
    for closed in getattr(f, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # a name that is not bound yet
            found.append(closed.cell_contents)
    return [m for thing in found if isinstance(thing, (Module, list, tuple, dict)) for m in _modules(thing)]


def _modules(thing: Any) -> list[Module]:
    if isinstance(thing, Module):
        return list(thing.modules())
    return [
        m for x in (thing.values() if isinstance(thing, dict) else thing) if isinstance(x, Module) for m in x.modules()
    ]


class _Guarded:
    """A staged function, and what the Modules in its reach looked like then."""

    def __init__(self, staged: Staged, modules: list[Module]) -> None:
        self.staged = staged
        self.seen = [(m, _look(m)) for m in {id(m): m for m in modules}.values()]

    def holds(self) -> bool:
        """Whether none of those modules has changed in anything but the values of its tensors."""
        return all(_look(m) == known for m, known in self.seen)


def compile(f: F) -> F:
    """``f``, staged at the first call with arguments of some structure, shapes, dtypes, devices; replayed afterwards.

    The result composes with every transformation, as ``f`` does. Tensors that ``f`` captures are read anew at each call
    and those it writes are written; a module that changes its mode or another Python attribute is staged again. Python
    control flow on values raises, as it cannot be part of a graph; other side effects happen while staging only. Python
    numbers are part of the graph: give what changes from call to call as a tensor.

    >>> import plugrad
    >>> f = compile(lambda x: plugrad.sin(x) * plugrad.sin(x))
    >>> f(plugrad.asarray([0.0])).tolist(), len(f.graphs)
    ([0.0], 1)
    """
    graphs: dict[Any, list[_Guarded]] = {}
    name = getattr(f, "__name__", type(f).__name__)

    @functools.wraps(f, updated=())
    def wrapped(*args: Any) -> Any:
        args = tuple([as_array(a) for a in args])
        known = graphs.setdefault(_key(args), [])
        for guarded in known:
            if guarded.holds():
                return guarded.staged(*args)
        modules = _captured(f)
        staged = stage(f, *args, met=modules)
        known.append(_Guarded(staged, modules))
        if len(known) > LIMIT:
            known.pop(0)
            warnings.warn(
                f"compile: {name} was staged more than {LIMIT} times for one kind of call: a Python attribute "
                "of a module changes from call to call; make it a tensor, or a Buffer",
                stacklevel=2,
            )
        return staged(*args)

    wrapped.graphs = graphs  # type: ignore[attr-defined]
    return wrapped


def _key(args: tuple[Any, ...]) -> Any:
    """What a graph depends on besides the values: structure, static parts, shapes, dtypes, places, defaults."""
    leaves, _, structure = tree.flatten(args)
    shapes = tuple([_leaf_key(t) for t in leaves])
    return _Hashed((structure.signature(), shapes, creation.place(None), state().strict, state().draws))


def _leaf_key(t: Tensor) -> tuple[Any, ...]:
    return type(t), t.shape, t.dt, t.be, t.dev


class _Hashed:
    """A key that may hold unhashable static parts: these are told apart by equality alone."""

    __slots__ = ("number", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        try:
            self.number = hash(value)
        except TypeError:
            self.number = hash(value[1])

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashed) and bool(self.value == other.value)
