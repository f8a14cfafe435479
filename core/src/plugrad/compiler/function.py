"""``compile``: a function staged once for each kind of call, lowered, and run as compiled programs."""

from __future__ import annotations

import copy
import functools
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, overload

from .. import tree
from ..errors import ArgumentError, PlugradError, RestagingWarning, ShapeError, StateError
from ..interpreters.stage import Graph
from ..module import Module
from ..ops import creation
from ..parameter import Buffer
from ..state import ACTIVE, UNCHANGED, State, state
from ..tensor import FOREIGN, Tensor
from ..transforms import F, as_array, named, staged
from . import calls, passes
from .batched import Template, Unsolved, alike
from .dims import Watch
from .effects import Effects
from .entry import Entry
from .failures import failure
from .guards import Surroundings, chain, grew, reach
from .kinds import Kind, kind_of, news
from .modules import plain_of, wrapped
from .reads import Reads

Passes = Iterable[str | passes.Pass] | None
LIMIT = 16
"""Graphs kept for one kind of call; the oldest goes first. Staging more often is worth a warning."""
KINDS = 256
"""Kinds of calls that graphs are kept for; the oldest goes first."""


class Function:
    """What ``compile`` returns."""

    def __init__(self, f: F, names: Passes, donate: int | Sequence[int], batched: int | Sequence[int]) -> None:
        functools.update_wrapper(self, f, updated=())
        self.options = names, donate, batched
        self.f, self.name, self.title = f, named(f, "compile"), getattr(f, "__name__", type(f).__name__)
        self.passes = passes.chosen(names)
        self.donate = (donate,) if isinstance(donate, int) else tuple(donate)
        self.batched = (batched,) if isinstance(batched, int) else tuple(batched)
        self.templates: dict[Kind, tuple[Entry, Template]] = {}
        """For batches of any size, what was found from two."""
        self.proven: set[Kind] = set()
        """Where a third size agreed."""
        self.graphs: dict[Kind, list[Entry]] = {}
        self.fast: dict[tuple[Any, ...], Entry] = {}
        """By the kinds of arguments that are tensors, nothing else being in force."""
        self.logs: list[Any] = []
        """Lists, dicts and sets to which it adds itself."""
        self.unsettled: dict[Kind, list[str]] = {}
        """For each kind of call what the function itself changed while it was staged, each time."""
        self.warned: set[str] = set()
        self.misses: list[str] = []
        """Why it was staged again, each time."""
        self.reasons: dict[Kind, list[str]] = {}
        """For each kind of call why it was staged, each time; "" for the very first."""
        self.failures: dict[Kind, tuple[str, str]] = {}
        """For each kind of call that could not be staged when it was last tried, the error and the user's line."""
        self.apart: dict[Kind, str] = {}
        """For each kind of call with a batch why there is not one graph for all sizes, as far as is known."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not kwargs and not ACTIVE[0]:
            kind = calls.kinds(args, state().device or creation.place(None))
            entry = self.fast.get(kind) if kind is not None else None
            if entry is not None and not entry.changed():
                if entry.writes:
                    self._check_written(entry, args)
                return entry.compute(args)
        else:
            kind = None
        entry, leaves, here = self.entry(args, kwargs)
        if entry.writes:
            self._check_written(entry, leaves)
        found = entry.run(leaves, here)
        if kind is not None and entry.executable is not None and not entry.unsettled and len(leaves) == len(args):
            self.fast[kind] = entry
        return found

    def _check_written(self, entry: Entry, leaves: Sequence[Tensor]) -> None:
        """StateError for an argument that the function writes as a tensor from outside."""
        rewritten = [h.grad for h in entry.rewritten]
        if calls.meets(leaves, entry.written) < 0 and calls.meets(leaves, rewritten) < 0:
            return
        ids = {id(t) for t in (*entry.written, *rewritten)}
        for i, t in enumerate(leaves):
            if id(t) in ids and not isinstance(t, Buffer):
                wrong = f"argument tensor {i}, a {t.describe()}, is written by the function, which captured it"
                raise StateError(f"{self.name}: {wrong}; give a copy, such as x.copy(), or do not capture it")

    def entry(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Entry, list[Tensor], State]:
        """The graph for a call, staged if there is none that fits; the arguments' tensors."""
        args = tuple([as_array(a) for a in args])
        if kwargs:
            args = (*args, {name: as_array(value) for name, value in kwargs.items()})
        leaves, _, structure = tree.flatten_each(args)
        here = state()
        sizes = self._sizes(args[:-1] if kwargs else args) if self.batched else {}
        size = next(iter(sizes.values()), None)
        key = kind_of(leaves, structure, bool(kwargs), here, sizes)
        known = self.graphs.setdefault(key, [])
        why = ""
        for entry in known:
            if entry.size == size and not (why := entry.changed()):
                return entry, leaves, here
        written = self._from_template(key, size) if size is not None else None
        if written is not None and key in self.proven:
            known.append(written)
            return written, leaves, here
        if len(self.graphs) > 1 or known or key in self.unsettled:
            others = [k for k in list(self.graphs) if k is not key]
            itself = self.unsettled.get(key)
            new = itself[-1] if itself else f"a batch of {size} rows" if known else news(key, others, self.f)
            why = why or new
            self.misses.append(why)
        try:
            entry = self._staged(args, bool(kwargs), size)
        except Exception as error:
            self.failures[key] = failure(error)
            raise
        self.failures.pop(key, None)
        self.reasons.setdefault(key, []).append(why)
        if size is not None:
            self._learn(key, entry, written)
        if any([h.tr is not None for h, _ in entry.staged.graph.constants]):
            return entry, leaves, here  # it holds values of a transformation around it, which will have ended
        if entry.unsettled:
            self.unsettled.setdefault(key, []).append(entry.unsettled)
            self._often("as it changes itself what it reads", len(self.unsettled[key]), entry.unsettled)
            return entry, leaves, here
        known.append(entry)
        self._often("for one kind of call", len(known), why)
        if len(known) > LIMIT:
            self._forget(known.pop(0))
        self._often("for other arguments", len(self.graphs), why)
        if len(self.graphs) > KINDS:
            for old in self.graphs.pop(next(iter(list(self.graphs))), ()):
                self._forget(old)
        return entry, leaves, here

    def _forget(self, entry: Entry) -> None:
        self.fast = {kind: e for kind, e in list(self.fast.items()) if e is not entry}

    def _often(self, what: str, times: int, why: str) -> None:
        """Warn, once for each cause, that staging takes the place of running."""
        if times > LIMIT and what not in self.warned:
            self.warned.add(what)
            remedy = "make what changes from call to call a tensor, or a Buffer"
            often = f"{self.name}: staged more than {LIMIT} times {what}, the last time because {why}"
            warnings.warn(f"{often}; {remedy}; this is told once", RestagingWarning, stacklevel=4)

    def _sizes(self, args: tuple[Any, ...]) -> dict[int, int]:
        """The size of the leading axis of the batched arguments' tensors, by their places among all."""
        chosen, found, at = _places("batched", self.batched, args), {}, 0
        for n, arg in enumerate(args):
            leaves = tree.flatten_each((arg,))[0]
            found.update({at + i: t.shape[0] for i, t in enumerate(leaves) if n in chosen and t.shape})
            at += len(leaves)
        if len(set(found.values())) > 1:
            sizes = sorted(set(found.values()))
            raise ShapeError(f"{self.name}: the batched arguments have {sizes} rows; their first axes must agree")
        return found

    def _from_template(self, key: Kind, size: int) -> Entry | None:
        """The entry for a batch of another size, if that is known without staging."""
        base, template = self.templates.get(key, (None, None))
        if base is None or template is None or size < 2 or base.changed():
            return None
        staged = copy.copy(base.staged)
        try:
            staged.graph = template.at(size)
        except (Unsolved, PlugradError, TypeError, ValueError) as error:
            self.misses.append(f"a batch of {size}: {error}")
            return None
        entry = Entry(staged, base.surroundings, base.f, self, base.given_up, base.watched)
        entry.size = size
        return entry

    def _learn(self, key: Kind, entry: Entry, written: Entry | None) -> None:
        """What two sizes say about all others, if a third agrees with what was ``written`` for it. Those below 2 are
        cases of their own: they broadcast, or are empty.
        """
        assert entry.size is not None
        if entry.size < 2 or entry.decided:
            return
        if written is not None:
            if alike(written.staged.graph, entry.staged.graph):
                self.proven.add(key)
                self.apart.pop(key, None)
            else:
                del self.templates[key]
                self._parted(key, "a third size gives another one than two say")
            return
        for other in self.graphs[key]:
            if other.size is not None and other.size > 1 and not other.decided and not other.changed():
                try:
                    graphs = other.staged.graph, entry.staged.graph
                    self.templates[key] = other, Template(*graphs, (other.size, entry.size))
                except Unsolved as error:
                    self._parted(key, str(error))
                return

    def _parted(self, key: Kind, why: str) -> None:
        self.apart[key] = why
        self.misses.append(f"not one graph for batches of any size: {why}")

    def _staged(self, args: tuple[Any, ...], keywords: bool, size: int | None) -> Entry:
        f, begun = self.f, time.perf_counter()
        whole = (lambda *given: f(*given[:-1], **given[-1])) if keywords else f
        wrapped = chain(f)
        surroundings = [Surroundings(g) for g in wrapped]
        watch = Watch(size) if size is not None else None
        given = [(f"argument {i}", a) for i, a in enumerate(args) if not isinstance(a, (Module, dict))]
        given += [(name, a) for name, a in args[-1].items()] if keywords else []
        watched, logs = reach(f, [], given), set(map(id, self.logs))
        before = Reads([("self", f), *given], wrapped, watched, logs)
        effects, boxes = Effects([*surroundings, *watched, before]), before.parts
        try:
            with watch or UNCHANGED:
                graph = staged(whole, args)
        except Exception:
            effects.undone()
            if watch is None or not watch.given:
                raise
            graph = staged(whole, args)  # it may be that something does not take a size that is no plain integer
            watch.decided.append("what failed where sizes are watched")
        changed = effects.found(self.name)
        places = self._given_up(args[:-1] if keywords else args)
        self.logs += [box for box, then in boxes if grew(then, box)]
        logs = {*map(id, self.logs), *[log for s in surroundings for log in s.logs]}
        watched = reach(f, graph.modules, given)
        roots = [("self", f), *given, *[(type(m).__name__, m) for m in graph.modules]]
        borrowed = [h for h, _ in graph.graph.constants if h.base is FOREIGN and h.tr is None]
        reads = Reads(roots, wrapped, watched, logs, borrowed)
        entry = Entry(graph, [*surroundings, reads], f, self, places, watched)
        entry.unsettled, entry.size, entry.seconds = changed, size, time.perf_counter() - begun
        if watch is not None and watch.decided:
            entry.decided = watch.decided
            self.misses.append(f"one graph a batch size: {watch.decided[0]} decides upon the size")
        return entry

    def _given_up(self, args: tuple[Any, ...]) -> list[int]:
        """The places of the donated arguments' tensors among all. Buffers are state, and stay."""
        chosen, found, at = _places("donate", self.donate, args), [], 0
        for n, arg in enumerate(args):
            leaves = tree.flatten_each((arg,))[0]
            found += [at + i for i, t in enumerate(leaves) if n in chosen and not isinstance(t, Buffer)]
            at += len(leaves)
        return found

    def again(self, f: F) -> Function:
        """Another function, compiled with the same options."""
        return Function(f, *self.options)

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self if owner is None else functools.partial(self, owner)


def _places(what: str, numbers: Sequence[int], args: tuple[Any, ...]) -> set[int]:
    """The places of arguments, from the front."""
    for n in numbers:
        if type(n) is not int or not -len(args) <= n < len(args):
            raise ArgumentError(f"compile: {what} names argument {n!r} of {len(args)}; give places of arguments")
    return {n % len(args) for n in numbers}


@overload
def compile(
    f: F, *, donate: int | Sequence[int] = ..., batched: int | Sequence[int] = ..., passes: Passes = ...
) -> F: ...
@overload
def compile(
    *, donate: int | Sequence[int] = ..., batched: int | Sequence[int] = ..., passes: Passes = ...
) -> Callable[[F], F]: ...
def compile(
    f: Any = None,
    *,
    donate: int | Sequence[int] = (),
    batched: int | Sequence[int] = (),
    passes: Passes = None,
) -> Any:
    """``f``, staged at the first call with arguments of some structure, shapes, dtypes, devices; compiled, and run so
    afterwards.

    The result composes with every transformation, as ``f`` does. Tensors that ``f`` captures are read anew at each call
    and those it writes are written; a module that changes its mode or another Python attribute is staged again. Python
    control flow on values raises, as it cannot be part of a graph; other side effects happen while staging only. Python
    numbers are part of the graph: give what changes from call to call as a tensor.

    ``donate`` names arguments by their places that the caller gives up: results may be written into their memory, and
    using them afterwards raises DonatedError. What captured tensors held before a write is given up in any case.
    ``batched`` names arguments whose tensors have a batch along their first axis: from the graphs for two sizes that
    for any other is written down, once a third agreed, and ``f`` is not run again. Where Python code decides upon the
    size, or a number in the graph depends on it in another way than a sum, a mean or a variance, it is staged for each
    size; ``plugrad.explain`` says why.
    ``passes`` names those that are to run, by default all (``plugrad.compiler.passes``); one of your own may be among
    them, as a ``Pass``.

    Without ``f`` it is a decorator: ``@compile(donate=0)``. A Module gives a Module on the same attributes, which may
    take its place in another; a call of it is compiled.

    >>> import plugrad
    >>> f = plugrad.compile(lambda x: plugrad.sin(x) * plugrad.sin(x))
    >>> f(plugrad.asarray([0.0])).tolist(), len(f.graphs)
    ([0.0], 1)
    """
    options = passes if passes is None or isinstance(passes, str) else tuple(passes), donate, batched
    if f is None:
        return lambda f: compile(f, passes=options[0], donate=donate, batched=batched)
    function = Function(plain_of(f), *options)
    return wrapped(function) if isinstance(f, Module) else function


__all__ = ["Entry", "Function", "Graph", "compile"]
