"""compile: a function staged once for each kind of call, and replayed. Guards decide which graph a call may use."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from . import dtypes, tree
from .module import Module
from .ops import creation
from .state import state
from .tensor import Tensor
from .transforms import Staged, as_tensor, stage

F = Callable[..., Any]


class _Guarded:
    """A staged function, and what the Modules it called looked like then."""

    def __init__(self, staged: Staged, modules: list[Module]) -> None:
        self.staged = staged
        self.seen = [(m, _static(m)) for m in {id(m): m for m in modules}.values()]

    def holds(self) -> bool:
        """Whether no module that was met has changed in anything but tensors."""
        return all(_static(m) == known for m, known in self.seen)


def _static(m: Module) -> list[tuple[str, Any]]:
    """A module's attributes: values that compare as themselves, tensors and containers by identity and length."""
    found: list[tuple[str, Any]] = [("training", m.training)]
    for name, value in vars(m).items():
        plain = value is None or isinstance(value, (bool, int, float, complex, str, bytes))
        size = len(value) if isinstance(value, (list, tuple, dict)) else 0
        found.append((name, value if plain else (id(value), size)))
    return found


def compile(f: F) -> F:
    """``f``, staged at the first call with arguments of some structure, shapes, dtypes, devices; replayed afterwards.

    The result composes with every transformation, as ``f`` does. Tensors that ``f`` captures are read anew at each call
    and those it writes are written; a module that changes its mode or another Python attribute is staged again. Python
    control flow on values raises, as it cannot be part of a graph; other side effects happen while staging only.

    >>> import plugrad
    >>> f = compile(lambda x: plugrad.sin(x) * plugrad.sin(x))
    >>> f(plugrad.asarray([0.0])).tolist(), len(f.graphs)
    ([0.0], 1)
    """
    graphs: dict[Any, list[_Guarded]] = {}

    @functools.wraps(f, updated=())
    def wrapped(*args: Any) -> Any:
        args = tuple([as_tensor(a) for a in args])
        known = graphs.setdefault(_key(args), [])
        for guarded in known:
            if guarded.holds():
                return guarded.staged(*args)
        modules: list[Module] = []
        staged = stage(f, *args, met=modules)
        known.append(_Guarded(staged, modules))
        return staged(*args)

    wrapped.graphs = graphs  # type: ignore[attr-defined]
    return wrapped


def _key(args: tuple[Any, ...]) -> Any:
    """What a graph depends on besides the values: structure, static parts, shapes, dtypes, places, defaults."""
    leaves, _, structure = tree.flatten(args)
    shapes = tuple([_leaf_key(t) for t in leaves])
    return _Hashed((structure.signature(), shapes, creation.place(None), dtypes.strict(), state().draws))


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
