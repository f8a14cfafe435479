"""What a function reads beyond its arguments and its own variables: defaults, code and closures of the functions that
it calls, the globals of those, attributes of classes, and of objects inside other objects.

All that a function can reach by the names in its code, and by those in the code of what it reaches, is walked through
after it was staged, and guarded: by identity, plain values by content.
"""

from __future__ import annotations

import builtins
import contextlib
import dis
import functools
import gc
import inspect
import operator
import sys
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from types import CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..backend import BACKENDS
from ..fallback import INTERNAL
from ..host import on_host
from ..module import Module
from ..tensor import Tensor
from . import calls
from .guards import LONG, MISSING, PLAIN, Watched, _difference, _inside, content, grew, is_compiled, parts_of

LIMIT = 20000
"""Things that are looked at, at most."""
ARRAY = 4096
"""Bytes of an array that is compared by content, at most."""
_FOREIGN = frozenset(sys.stdlib_module_names) | {"numpy", "ml_dtypes"}
_LEAVES = (*PLAIN, Tensor, np.generic, np.dtype, CodeType)
_CODE, _DEFAULTS, _KEYWORDS = map(operator.attrgetter, ("__code__", "__defaults__", "__kwdefaults__"))


def _top(module: Any) -> str:
    return str(module).partition(".")[0]


def _is_users(module: Any) -> bool:
    top = _top(module)
    return top not in INTERNAL and top not in _FOREIGN and not _is_installed(top)


@functools.cache
def _is_installed(top: str) -> bool:
    """Whether a package is one that was installed, and not in place: its settings are its own business."""
    file = getattr(sys.modules.get(top), "__file__", None) or ""
    return not {"site-packages", "dist-packages"}.isdisjoint(file.replace("\\", "/").split("/"))


_ONCE = frozenset(["__init__", "__new__", "__post_init__", "__init_subclass__", "__del__", "__repr__"])
"""What is not called of an object that is there."""


class Names(NamedTuple):
    """What code names, that of functions inside it too."""

    variables: frozenset[str]
    """Globals."""
    paths: frozenset[tuple[str, ...]]
    """Variables with attributes of theirs, of these, and so on."""
    own: frozenset[str]
    """Attributes of ``self``."""
    others: frozenset[str]
    """Attributes of anything else, and text that may name one."""


@functools.lru_cache(4096)
def names_of(code: CodeType) -> Names:
    """What code names."""
    variables, paths, own, others = set[str](), set[tuple[str, ...]](), set[str](), set[str]()
    path: tuple[str, ...] = ()
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR"):
            path = (*path, step.argval) if path else ()
            if len(path) == 2 and path[0] == "self":
                own.add(step.argval)
            elif path[:1] != ("self",) and path:
                paths.add(path)
            else:
                others.add(step.argval)
            continue
        path = ()
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            variables.add(step.argval)
        elif step.opname.startswith("IMPORT"):
            others.add(step.argval)
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF") or step.argval == "self":
            path = (step.argval,)
    others |= {c for c in code.co_consts if isinstance(c, str)}
    inner = [names_of(c) for c in code.co_consts if isinstance(c, CodeType)]
    return Names(
        frozenset(variables.union(*[n.variables for n in inner])),
        frozenset(paths.union(*[n.paths for n in inner])),
        frozenset(own.union(*[n.own for n in inner])),
        frozenset(others.union(*[n.others for n in inner])),
    )


class Member(NamedTuple):
    """Names that are read of an owner, by ``get(name, default)``."""

    what: str
    get: Callable[[str, Any], Any]
    names: tuple[str, ...]
    defaults: tuple[Any, ...]

    def values(self) -> list[Any]:
        """What they are now."""
        return [*map(self.get, self.names, self.defaults)]


class Reads:
    """What code can reach from some roots by the names in it, as it is now.

    ``covered`` are functions whose variables have guards of their own, ``watched`` objects whose attributes have;
    ``logs`` are the ids of boxes that the function itself fills. Arrays whose memory the ``borrowed`` tensors read are
    read at each call anyway.
    """

    def __init__(
        self,
        roots: Iterable[tuple[str, Any]],
        covered: Iterable[Any] = (),
        watched: Iterable[Watched] = (),
        logs: Iterable[int] = (),
        borrowed: Iterable[Tensor] = (),
    ) -> None:
        self.borrowed = [on_host(BACKENDS[t.be], t.val, t.root) for t in borrowed]
        self.covered, self.logs = {id(_function_of(f)) for f in covered}, set(logs)
        self.watched = {id(vars(w.thing)) for w in watched}
        self.attributes: set[str] = set()
        """Those that are read of whatever it may be, as far as it is known."""
        self.named: dict[int, tuple[Any, set[str]]] = {}
        """By id, things of which more is read."""
        self.own: dict[CodeType, frozenset[str]] = {}
        """By code, what it reads of ``self``."""
        roots, known = list(roots), -1
        while (count := len(self.attributes) + len(self.own) + sum([len(n) for _, n in self.named.values()])) > known:
            known = count
            self._walk(roots)
        self._note()

    def _walk(self, roots: Iterable[tuple[str, Any]]) -> None:
        self.functions: list[FunctionType] = []
        self.kinds: set[type] = set()
        self.members: list[Member] = []
        self.boxes: list[tuple[str, Any]] = []
        """Lists, dicts and sets."""
        self.arrays: list[tuple[str, np.ndarray]] = []
        self.globals: dict[int, tuple[dict[str, Any], dict[str, None]]] = {}
        """By id, globals with the names that are read of them."""
        known: dict[int, Any] = {}
        todo = deque(roots)
        while todo and len(known) < LIMIT:
            what, thing = todo.popleft()
            if id(thing) not in known and not issubclass(type(thing), _LEAVES):
                known[id(thing)] = thing
                with contextlib.suppress(Exception):  # an object may refuse any question, which is not for us to tell
                    todo += self._opened(what, thing)
        for there, names in self.globals.values():
            self._member("", there.get, names)

    def _member(self, what: str, get: Callable[[str, Any], Any], names: Iterable[str]) -> None:
        if names := tuple(names):
            self.members.append(Member(what, get, names, (MISSING,) * len(names)))

    def _opened(self, what: str, thing: Any) -> Iterator[tuple[str, Any]]:
        """Guard a thing; what may be read through it."""
        if isinstance(thing, FunctionType):
            yield from self._function(what, thing)
        elif isinstance(thing, MethodType):
            yield from ((what, thing.__func__), (what, thing.__self__))
        elif isinstance(thing, functools.partial):
            yield from ((what, thing.func), (what, thing.args), (what, thing.keywords))
        elif isinstance(thing, (staticmethod, classmethod)):
            yield what, thing.__func__
        elif isinstance(thing, property):
            yield what, thing.fget
        elif isinstance(thing, type):
            yield from self._class(what, thing)
        elif isinstance(thing, np.ndarray):
            if thing.nbytes <= ARRAY and not any(np.may_share_memory(thing, a) for a in self.borrowed):
                self.arrays.append((what, thing))
        elif isinstance(thing, ModuleType):
            if _is_users(thing.__name__):
                yield from self._named(what, vars(thing), self._wanted(thing))
        elif is_compiled(thing):
            yield what, thing.f
        elif isinstance(thing, Module):
            yield from self._kind(what, thing)
            yield from [(f"{what}.{name}", part) for name, part in vars(thing).items()]
        else:
            yield from self._object(what, thing)

    def _function(self, what: str, f: FunctionType) -> Iterator[tuple[str, Any]]:
        code, there = f.__code__, f.__globals__
        cells = list(zip(code.co_freevars, f.__closure__ or (), strict=True))
        if _is_users(there.get("__name__")):
            self.functions.append(f)
            names = names_of(code)
            self.attributes |= names.others
            self.own[code] = names.own
            for path in names.paths:
                self._follow(path, {**there, **{name: _inside(cell) for name, cell in cells}})
            read = self.globals.setdefault(id(there), (there, {}))[1]
            apart = id(f) not in self.covered
            read.update(dict.fromkeys([n for n in names.variables if n not in there or apart]))
            yield from [(n, there[n]) for n in names.variables if n in there]
            yield from [(n, sys.modules[n]) for n in names.others if n in sys.modules]  # imported by the function
            yield from ((f"a default of {what}", f.__defaults__), (f"a default of {what}", f.__kwdefaults__))
            for name, cell in cells if apart else ():
                self._member("", functools.partial(_content, cell), (name,))
        yield from self._named(what, f.__dict__, self._wanted(f) | {"__wrapped__"})
        yield from [(name, _inside(cell)) for name, cell in cells]
        yield what, getattr(f, "__wrapped__", None)

    def _follow(self, path: tuple[str, ...], variables: dict[str, Any]) -> None:
        """Note which attributes are read of what a variable holds, and of what those hold."""
        thing = variables.get(path[0], MISSING)
        for i, name in enumerate(path[1:], 1):
            if thing is MISSING:
                self.attributes.update(path[i:] if i > 1 or path[0] not in vars(builtins) else ())
                return
            self.named.setdefault(id(thing), (thing, set()))[1].add(name)
            thing = inspect.getattr_static(thing, name, MISSING)

    def _wanted(self, thing: Any) -> set[str]:
        """The attributes that are read of a thing."""
        kinds = thing.__mro__ if isinstance(thing, type) else type(thing).__mro__
        codes = [_code(getattr(v, "fget", v)) for c in kinds if _is_users(c.__module__) for v in vars(c).values()]
        own = [self.own[code] for code in codes if isinstance(code, CodeType) and code in self.own]
        return self.attributes.union(self.named.get(id(thing), (None, ()))[1], *own)

    def _kind(self, what: str, thing: Any) -> Iterator[tuple[str, Any]]:
        """The class of an object, of which is read what is read of the object."""
        kind = type(thing)
        if (names := self.named.get(id(thing))) is not None:
            self.named.setdefault(id(kind), (kind, set()))[1].update(names[1])
        if kind not in self.kinds:
            self.kinds.add(kind)
            yield from self._class(what, kind, _ONCE)

    def _class(self, what: str, cls: type, over: frozenset[str] = frozenset()) -> Iterator[tuple[str, Any]]:
        """Members that are read, that Python calls, or that replace what a class of the toolkit calls."""
        users = [c for c in cls.__mro__ if _is_users(c.__module__)]
        called = {n for c in cls.__mro__ if _top(c.__module__) in INTERNAL for n in vars(c) if n[:2] != "__"}
        pairs = [(n, v) for c in reversed(users) for n, v in vars(c).items()]
        wanted = self._wanted(cls) | called
        there = {n: v for n, v in pairs if n not in over and (n in wanted or _is_dunder(n, v))}
        for c in users:
            self._member(c.__name__, vars(c).get, there)
        yield from [(f"{what}.{name}", value) for name, value in there.items()]

    def _object(self, what: str, thing: Any) -> Iterator[tuple[str, Any]]:
        """A container, or an object with attributes."""
        if isinstance(thing, (list, tuple, dict, set, frozenset, deque)) and len(thing) > LONG:
            return  # data rather than settings
        if isinstance(thing, (list, dict, set, deque)):
            self.boxes.append((what, thing))
        if isinstance(thing, dict):
            yield from [(f"{what}[{key!r}]", part) for key, part in thing.items()]
        elif isinstance(thing, (list, tuple, set, frozenset, deque)):
            yield from [(f"{what}[{i}]", part) for i, part in enumerate(thing)]
        kind = type(thing)
        if kind.__module__ == "plugrad" or kind.__module__.startswith("plugrad."):
            return  # the toolkit's own has no settings
        yield from self._kind(what, thing)
        own = getattr(thing, "__dict__", None)
        every = _top(kind.__module__) in INTERNAL
        wanted = self._wanted(thing)
        if isinstance(own, dict):
            yield from self._named(what, own, own if every else wanted, every)
        slots = {n for c in kind.__mro__ for n in _slots(c)} & wanted
        self._member(what, functools.partial(getattr, thing), slots)
        yield from [(f"{what}.{name}", getattr(thing, name, None)) for name in slots]

    def _named(
        self, what: str, own: dict[str, Any], wanted: Container[str], every: bool = False
    ) -> Iterator[tuple[str, Any]]:
        """Attributes of an object: those that are read by name, or ``every`` one. What is behind an underscore is for a
        plugin itself to keep.
        """
        names = [name for name in own if name in wanted]
        if id(own) not in self.watched:
            self._member(what, own.get, names)
        yield from [(f"{what}.{name}", own[name]) for name in names if not (every and name.startswith("_"))]

    # -- as a guard

    def _note(self) -> None:
        self.boxes = [(what, box) for what, box in self.boxes if id(box) not in self.logs]
        self.parts = [(box, parts_of(box)) for _, box in self.boxes]
        self.bytes = [(array, array.tobytes()) for _, array in self.arrays]
        self.checks = [(*member, member.values()) for member in self.members]
        self.contents = [[_plain(v) for v in values] for *_, values in self.checks]
        self.given = [f for f in self.functions if f.__defaults__ or f.__kwdefaults__]
        self.made = self._made()

    def _made(self) -> list[Any]:
        """The code of functions, and their defaults."""
        codes = [*map(_CODE, self.functions)]
        return [*codes, *map(_DEFAULTS, self.given), *map(_KEYWORDS, self.given)] if self.given else codes

    def changed(self) -> str:
        """What is no longer as it was, or ""."""
        if not calls.same(self._made(), self.made):
            return self._remade()
        for _, get, names, defaults, seen in self.checks:
            if not calls.same([*map(get, names, defaults)], seen):
                break
        else:
            if not (self.parts or self.bytes) or self._kept():
                return ""
        return self._difference()

    def settle(self) -> str:
        """What the function changed while it was staged, but for logs, to which it added."""
        left = [pair for pair in zip(self.boxes, self.parts, strict=True) if not grew(pair[1][1], pair[1][0])]
        self.boxes, self.parts = [box for box, _ in left], [parts for _, parts in left]
        return self.changed()

    def saw(self, facts: Any) -> bool:
        """As for ``Watched``."""
        for _, get, names, _, seen in self.checks:
            owner = getattr(get, "__self__", None)
            if isinstance(owner, MappingProxyType):
                (owner,) = gc.get_referents(owner)  # the dict of a class
            if type(owner) is dict:
                facts.dicts.append((owner, names, seen, False))
            elif type(get) is functools.partial and get.func is _content:
                facts.cells.append((get.args[0], seen[0]))
            else:
                return False
        n = len(self.functions)
        defaults = {id(f): pair for f, *pair in zip(self.given, self.made[n:], self.made[n + len(self.given) :])}
        for f, code in zip(self.functions, self.made[:n], strict=True):
            facts.functions.append((f, code, *defaults.get(id(f), (f.__defaults__, f.__kwdefaults__))))
        return not self.bytes and all([facts.box(box, parts) for box, parts in self.parts])

    def _remade(self) -> str:
        every = [*self.functions, *self.given, *self.given]
        f = next(f for f, a, b in zip(every, self._made(), self.made, strict=True) if a is not b)
        return f"the function {f.__name__} has other {'code' if f.__code__ not in self.made else 'defaults'}"

    def _difference(self) -> str:
        for (what, box), (_, then) in zip(self.boxes, self.parts, strict=True):
            if [_plain(v) for v in parts_of(box)] != [_plain(v) for v in then]:
                return f"{what or 'a container'} holds something else"
        for member, contents in zip(self.members, self.contents, strict=True):
            for name, then, value in zip(member.names, contents, member.values(), strict=True):
                if (now := _plain(value)) != then:
                    where = f"{member.what}.{name}" if member.what else f"the variable {name!r}"
                    return f"{where} {_difference(then, now)}"
        for (what, array), (_, held) in zip(self.arrays, self.bytes, strict=True):
            if array.tobytes() != held:
                return f"the array {what} holds something else"
        self._note()
        return ""

    def _kept(self) -> bool:
        same = all(calls.same(parts_of(box), parts) for box, parts in self.parts)
        return same and all(array.tobytes() == then for array, then in self.bytes)


def _plain(value: Any) -> Any:
    return value if value is MISSING else content(value) if issubclass(type(value), PLAIN) else (id(value), value)


def _slots(cls: type) -> tuple[str, ...]:
    found = vars(cls).get("__slots__", ())
    return (found,) if isinstance(found, str) else tuple(found)


def _is_dunder(name: str, value: Any) -> bool:
    """Whether Python may call a member by itself."""
    return isinstance(value, FunctionType) and name.startswith("__")


def _content(cell: Any, name: str, default: Any) -> Any:
    return _inside(cell)


def _function_of(f: Any) -> Any:
    """The function of a method, or of what stands for one."""
    f = f.f if is_compiled(f) else f
    return getattr(f, "__func__", f)


def _code(f: Any) -> Any:
    """The code of a function, a method, or what stands for one."""
    return getattr(_function_of(f), "__code__", None)
