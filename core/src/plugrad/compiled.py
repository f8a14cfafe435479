"""compile: a function staged once for each kind of call, and replayed. Guards decide which graph a call may use."""

from __future__ import annotations

import contextlib
import functools
import warnings
from typing import Any, NamedTuple

import numpy as np

from . import tree
from .module import Module
from .ops import creation
from .state import state
from .transforms import F, Staged, as_array, named, stage

LIMIT = 16
"""Graphs kept for one kind of call; the oldest goes first."""


def _guard(value: Any) -> Any:
    """What must stay equal: plain values and containers as they are, an array by its contents, all else by identity
    (the number decides; the value is there to stay alive, so that its identity remains its own).
    """
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return type(value), value
    if isinstance(value, (list, tuple)):
        return [_guard(v) for v in value]
    if isinstance(value, dict):
        return {k: _guard(v) for k, v in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return value.dtype, value.shape, value.tobytes()
    return id(value), value


def _look(m: Module) -> Any:
    return m.training, {name: _guard(value) for name, value in vars(m).items()}


def _captured(f: Any) -> list[Module]:
    """Modules that a function may use without being given them: in its closure, bound to it, or global to it."""
    f = getattr(f, "__wrapped__", f)
    names = getattr(getattr(f, "__code__", None), "co_names", ())
    found = [getattr(f, "__self__", None), *[getattr(f, "__globals__", {}).get(name) for name in names]]
    for closed in getattr(f, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # a name that is not bound yet
            found.append(closed.cell_contents)
    parts = [part for thing in found for part in (thing, *tree.children(thing).values())]
    return [m for part in parts if isinstance(part, Module) for m in part.modules()]


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
    named(f, "compile")
    # staged functions, and what the Modules in their reach looked like then: in all but the values of their tensors
    graphs: dict[_Key, list[tuple[Staged, list[tuple[Module, Any]]]]] = {}

    @functools.wraps(f, updated=())
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        args = tuple([as_array(a) for a in args])
        if kwargs:
            args = (*args, {name: as_array(value) for name, value in kwargs.items()})
        known = graphs.setdefault(_key(args, bool(kwargs)), [])
        for staged, seen in known:
            if all(_look(m) == then for m, then in seen):
                return staged(*args)
        staged = stage((lambda *given: f(*given[:-1], **given[-1])) if kwargs else f, *args)
        met = {id(m): m for m in (*_captured(f), *staged.modules)}
        known.append((staged, [(m, _look(m)) for m in met.values()]))
        if len(known) > LIMIT:
            known.pop(0)
            often = f"{named(f, 'compile')}: staged more than {LIMIT} times for one kind of call"
            remedy = "a Python attribute of a module changes from call to call; make it a tensor, or a Buffer"
            warnings.warn(f"{often}: {remedy}", stacklevel=2)
        return staged(*args)

    wrapped.graphs = graphs  # type: ignore[attr-defined]
    return wrapped


class _Key(NamedTuple):
    """What a graph depends on besides the values: structure with static parts, which may not be hashable; the rest."""

    structure: Any
    rest: tuple[Any, ...]

    def __hash__(self) -> int:
        return hash(self.rest)


def _key(args: tuple[Any, ...], named: bool) -> _Key:
    leaves, _, structure = tree.flatten_each(args)
    places = [(type(t), t.shape, t.dt, t.be, t.dev) for t in leaves]
    here = state()
    return _Key(structure.signature(), (*places, creation.place(None), here.strict, here.draws, named))
