"""Guards: what a graph was staged for, besides its arguments, and whether it is still so.

Checked at every call, so mostly by identity: only where an object is another one than before are contents compared. A
guard that fails says why, in words.
"""

from __future__ import annotations

import contextlib
import dis
from collections.abc import Callable, Container, Iterator, Sequence
from types import CodeType
from typing import Any

import numpy as np

from .. import tree
from ..interpreters.stage import Graph
from ..module import Module
from ..tensor import Tensor
from . import calls

PLAIN = (bool, int, float, complex, str, bytes, type(None))
LONG = 1000
"""Elements of a list or dict from which on it is taken for data, and looked at by identity."""
MISSING = object()
"""What is seen where there is nothing."""


def content(value: Any) -> Any:
    """What must stay equal: plain values and containers as they are, an array by its contents, all else by identity
    (the number decides; the value is there to stay alive, so that its identity remains its own).
    """
    kind = type(value)
    if issubclass(kind, (float, complex)):
        return kind, value, repr(value)  # 0.0 is not -0.0
    if issubclass(kind, PLAIN):
        return kind, value
    if issubclass(kind, (list, tuple)):
        return kind, [content(v) for v in value]
    if issubclass(kind, dict):
        return kind, [(k, content(v)) for k, v in value.items()]
    if issubclass(kind, (np.ndarray, np.generic)):
        return value.dtype, value.shape, value.tobytes()
    return id(value), value


class Watched:
    """An object's attributes, as they were when the graph was staged.

    ``deep`` looks into lists and dicts too: those of a Module are part of its tree.
    """

    __slots__ = ("arrays", "containers", "contents", "names", "seen", "thing", "what")

    def __init__(self, thing: Any, what: str) -> None:
        self.thing, self.what = thing, what
        self.contents = self._look()
        self._note()

    def _look(self) -> dict[str, Any]:
        deep = isinstance(self.thing, Module)
        look = {
            k: content(v) if deep or issubclass(type(v), PLAIN) else (id(v), v) for k, v in vars(self.thing).items()
        }
        return {**look, "training": content(self.thing.training)} if deep else look

    def _note(self) -> None:
        """The identities by which nearly every later check is done."""
        own = vars(self.thing)
        self.names, self.seen = tuple(own), list(own.values())
        self.containers: list[tuple[Any, list[Any]]] = []
        self.arrays = any(isinstance(v, np.ndarray) for v in own.values())
        if isinstance(self.thing, Module):
            todo = [v for v in own.values() if isinstance(v, (list, dict, tuple))]
            while todo:
                box = todo.pop()
                parts = list(box.values()) if isinstance(box, dict) else list(box)
                self.arrays = self.arrays or any(isinstance(v, np.ndarray) for v in parts)
                todo += [v for v in parts if isinstance(v, (list, dict, tuple))]
                if not isinstance(box, tuple):
                    self.containers.append((box, parts_of(box)))

    def saw(self, facts: Any) -> bool:
        """Tell what nearly every check needs to find; False if that is not enough."""
        if self.arrays or type(vars(self.thing)) is not dict:
            return False
        facts.dicts.append((vars(self.thing), self.names, self.seen, True))
        return all([facts.box(box, parts) for box, parts in self.containers])

    def changed(self) -> str:
        """What is no longer as it was, or ""."""
        own = self.thing.__dict__
        if not self.arrays and calls.holds(own, self.names, self.seen) and _kept(self.containers):
            return ""
        now = self._look()
        if now == self.contents:
            self._note()
            return ""
        for name in dict.fromkeys([*self.contents, *now]):
            then, new = self.contents.get(name, MISSING), now.get(name, MISSING)
            if then != new:
                kind = "the module " if isinstance(self.thing, Module) else ""
                return f"{kind}{self.what}.{name} {_difference(then, new)}"
        return f"{self.what} changed"


def parts_of(box: Any) -> list[Any]:
    """What a list, dict or set holds."""
    return [*box, *box.values()] if isinstance(box, dict) else [*box]


def _difference(then: Any, new: Any) -> str:
    if new is MISSING:
        return "is gone"
    if then is MISSING:
        return "is new"
    plain = [x[1] for x in (then, new) if isinstance(x, tuple) and len(x) in (2, 3) and issubclass(type(x[1]), PLAIN)]
    return f"was {plain[0]!r}, is {plain[1]!r}" if len(plain) == 2 else "is another object"


def is_compiled(thing: Any) -> bool:
    """Whether it is what ``compile`` returns, which this file is below. A user's object is not asked."""
    return type(thing).__module__ == f"{__package__}.function"


def chain(f: Any) -> list[Any]:
    """A function, those that it wraps, and compiled functions that it names, with theirs."""
    found: list[Any] = []
    todo = [f]
    while todo:
        g = todo.pop()
        if any(g is h for h in found) or len(found) > 50:
            continue
        found.append(g)
        inner = getattr(g, "__wrapped__", None)
        todo += [inner] if inner is not None else []
        todo += [thing for _, thing in Surroundings(g).things() if is_compiled(thing)]
    return found


class Surroundings:
    """The variables of its closure and the globals that a function names, as they were when it was staged. A list that
    the function itself adds to while it is staged is a log of its, and no setting.
    """

    __slots__ = ("boxes", "cells", "contents", "globals", "logs", "names", "seen")

    def __init__(self, f: Any) -> None:
        f = f.f if is_compiled(f) else f
        f = getattr(f, "__func__", f)
        code, closure = getattr(f, "__code__", None), getattr(f, "__closure__", None) or ()
        self.cells = list(zip(getattr(code, "co_freevars", ()), closure, strict=False))
        self.globals = getattr(f, "__globals__", {})
        self.names = [n for n in dict.fromkeys(_names(code)) if n in self.globals] if code is not None else []
        self.logs: set[int] = set()
        self._note()

    def settle(self) -> str:
        """Take down what holds now that the function was staged; what it changed itself, or ""."""
        self.logs = {id(box) for box, then in self.boxes if grew(then, box)}
        held = {id(box): then for box, then in self.boxes}
        names, values = [*[n for n, _ in self.cells], *self.names], self._values()
        why = ""
        for name, before, then, value in zip(names, self.seen, self.contents, values, strict=True):
            if value is not before and (now := self._setting(value)) != then:
                why = f"the variable {name!r} {_difference(then, now)}"
            for box, parts in _boxes([before], self.logs):
                if [*map(_setting, parts)] != [*map(_setting, held.get(id(box), parts))]:
                    why = f"the variable {name!r} holds something else"
        self._note()
        return why

    def _values(self) -> list[Any]:
        there = [self.globals.get(n, MISSING) for n in self.names]
        return [_inside(cell) for _, cell in self.cells] + there if self.cells else there

    def _note(self) -> None:
        values = self._values()
        self.seen = values
        self.contents = [self._setting(v) for v in values]
        self.boxes = _boxes(values, self.logs)

    def _setting(self, value: Any) -> Any:
        return _setting(value, self.logs)

    def things(self) -> Iterator[tuple[str, Any]]:
        """All of them, with their names."""
        return zip([*[n for n, _ in self.cells], *self.names], self._values(), strict=True)

    def changed(self) -> str:
        """What is no longer as it was, or ""."""
        values = self._values()
        if calls.same(values, self.seen) and (not self.boxes or _kept(self.boxes)):
            return ""
        why = self._difference([self._setting(v) for v in values])
        if not why:
            self._note()
        return why

    def _difference(self, now: Sequence[Any]) -> str:
        names = [*[n for n, _ in self.cells], *self.names]
        for name, then, new in zip(names, self.contents, now, strict=True):
            if new != then:
                return f"the variable {name!r} {_difference(then, new)}"
        return ""

    def saw(self, facts: Any) -> bool:
        """As for ``Watched``."""
        n = len(self.cells)
        facts.cells.extend(zip([cell for _, cell in self.cells], self.seen, strict=False))
        if self.names:
            facts.dicts.append((self.globals, self.names, self.seen[n:], False))
        return all([facts.box(box, parts) for box, parts in self.boxes])


def _setting(value: Any, logs: Container[int] = ()) -> Any:
    """Plain values, lists and dicts by content; all else, and arrays and ``logs``, by identity."""
    if type(value) in (list, dict) and (id(value) in logs or len(value) > LONG):
        return id(value), value
    if type(value) in (list, tuple):
        return type(value), [_setting(v, logs) for v in value[: LONG + 1]]
    if type(value) is dict:
        return type(value), [(k, _setting(v, logs)) for k, v in value.items()]
    return content(value) if issubclass(type(value), PLAIN) else (id(value), value)


def grew(then: list[Any], box: Any) -> bool:
    """Whether a list, dict or set holds all that it held, and more."""
    if isinstance(box, dict):
        half = len(then) // 2
        return len(box) > half and all(box.get(k, MISSING) is v for k, v in zip(then[:half], then[half:], strict=True))
    if isinstance(box, list):
        return len(box) > len(then) and calls.same(box[: len(then)], then)
    return len(box) > len(then) and all(v in box for v in then)


def _boxes(values: Sequence[Any], logs: set[int]) -> list[tuple[Any, list[Any]]]:
    """The lists and dicts in which settings may change, with what they hold."""
    found, todo, seen = [], list(values), set(logs)
    while todo:
        box = todo.pop()
        if type(box) not in (list, dict, tuple) or id(box) in seen or len(box) > LONG:
            continue
        seen.add(id(box))
        parts = parts_of(box)
        if type(box) is not tuple:
            found.append((box, parts))
        todo += parts
    return found


def _kept(boxes: Sequence[tuple[Any, list[Any]]]) -> bool:
    """Whether lists and dicts hold what they held."""
    return all(calls.same(parts_of(box), parts) for box, parts in boxes)


def _inside(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return MISSING


def _names(code: CodeType) -> Iterator[str]:
    """The globals that a function names, and the functions inside it."""
    yield from [s.argval for s in dis.get_instructions(code) if s.opname in ("LOAD_GLOBAL", "LOAD_NAME")]
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _names(const)


class Handles:
    """Captured tensors: their shapes, dtypes and devices, and whether they are trained. Their values are inputs."""

    __slots__ = ("handles", "name", "seen")

    def __init__(self, handles: tuple[Tensor, ...], name: Callable[[Tensor], str] = lambda t: "") -> None:
        """``name``: what the user calls such a tensor, or ""."""
        self.handles, self.name = list(handles), name
        self.seen = [_kind(t) for t in handles]

    def changed(self) -> str:
        """What is no longer as it was, or ""."""
        i = calls.unlike(self.handles, self.seen)
        if i < 0:
            return ""
        t, then = self.handles[i], self.seen[i]
        was = t.clone(None, 0)
        was.be, was.dt, was._shape, was.dev = then[:4]
        named = f"{name}, " if (name := self.name(t)) else ""
        if then[:4] != _kind(t)[:4]:
            return f"{named}a captured {was.describe()}, is now a {t.describe()}"
        return f"{named}a captured {was.describe()}, {'is no longer' if then[4] else 'is now'} recorded"

    def saw(self, facts: Any) -> bool:
        """As for ``Watched``."""
        facts.handles.extend(zip(self.handles, self.seen, strict=True))
        return True


def _kind(t: Tensor) -> tuple[Any, ...]:
    return t.be, t.dt, t._shape, t.dev, t.mask & 1


class Gradients:
    """Gradients that the function reads before it writes them: there must be one where there was one, of as many
    handles as then.
    """

    __slots__ = ("graph", "handles", "missing", "others", "seen")

    def __init__(self, graph: Graph) -> None:
        self.graph, self.handles = graph, [h for h, _ in graph.met]
        found = [t._grad for t in self.handles]
        self.missing, self.seen = [g is None for g in found], [_kind(g) for g in found if g is not None]
        pairs = (*graph.state, *graph.constants) if rewritten(graph) else graph.state
        self.others = frozenset([id(h) for h, _ in pairs])
        """Captured tensors that must not be one of the gradients."""

    def changed(self) -> str:
        """What is no longer as it was, or ""."""
        found = [t._grad for t in self.handles]
        there = [g for g in found if g is not None]
        if (missing := [g is None for g in found]) != self.missing:
            i = [a != b for a, b in zip(missing, self.missing, strict=True)].index(True)
            return f"a captured {self.handles[i].describe()} has {'no' if missing[i] else 'a'} gradient now"
        if (i := calls.unlike(there, self.seen)) >= 0:
            return f"the gradient of a captured {there[i].describe()} is of another kind now"
        ids = set(map(id, there))
        if len(ids) < len(there) or not self.others.isdisjoint(ids) or (self.graph.ties and not self.graph.tied()):
            return "a gradient of captured tensors has another name too, or no longer"
        return ""

    def saw(self, facts: Any) -> bool:
        """As for ``Watched``."""
        return False


def rewritten(graph: Graph) -> list[Tensor]:
    """Handles whose gradient is written in place."""
    return [of for k, _ in graph.gradients if (of := graph.sources[k][0]) is not None]


def reach(f: Callable[..., Any], called: list[Module], given: Sequence[tuple[str, Any]] = ()) -> list[Watched]:
    """The Modules that a function may use without being given them, and plain objects that it names, with their own
    Modules: in its closure, bound to it, or global; Modules that it called; and plain objects that it was given.
    """
    found: dict[int, Watched] = {}

    def add(thing: Any, what: str) -> None:
        if isinstance(thing, Module):
            for path, m in thing.named_modules(what):
                if id(m) not in found:
                    found[id(m)] = Watched(m, path or type(m).__name__)
                    for name, part in vars(m).items():
                        if _holds_settings(part) and not isinstance(part, Module):
                            add(part, f"{path or type(m).__name__}.{name}")
        elif id(thing) not in found and _holds_settings(thing):
            found[id(thing)] = Watched(thing, what)
            for name, part in vars(thing).items():
                if isinstance(part, Module):
                    add(part, f"{what}.{name}")

    owner = getattr(f, "__self__", None)
    named = [("self", owner), *given, *[pair for g in chain(f) for pair in Surroundings(g).things()]]
    for what, thing in named:
        with contextlib.suppress(Exception):  # an object may refuse any question, which is not for us to tell
            add(thing, what)
            for key, part in tree.children(thing).items():
                add(part, f"{what}.{key}")
    for m in called:
        add(m, type(m).__name__)
    return list(found.values())


def name_of(f: Callable[..., Any], watched: tuple[Watched, ...], t: Tensor) -> str:
    """What a function calls a tensor that it captured: a variable, or the attribute of a Module; a Buffer's own name,
    or "" if it is hidden.
    """
    things = [(what, thing) for what, thing in Surroundings(f).things() if isinstance(thing, Tensor)]
    things += [(f"{w.what}.{k}", v) for w in watched for k, v in vars(w.thing).items() if isinstance(v, Tensor)]
    return next((what for what, thing in things if thing is t), getattr(t, "label", ""))


def _holds_settings(thing: Any) -> bool:
    """Whether it is an object of some class with attributes of its own: no function, class, tensor or Python module."""
    if isinstance(thing, (type, Tensor)) or callable(thing):
        return False
    return type(thing).__name__ != "module" and isinstance(getattr(thing, "__dict__", None), dict)
