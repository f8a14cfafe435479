"""``compile``: a function staged once for each kind of call, lowered, and run as compiled programs."""

from __future__ import annotations

import copy
import functools
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, overload

from .. import tree
from ..dtypes import CODE
from ..errors import ArgumentError, PlugradError, ShapeError, StateError
from ..interpreters.stage import Graph
from ..module import Module
from ..ops import creation
from ..parameter import Buffer
from ..state import ACTIVE, HELD, UNCHANGED, WATCHING, State, check_held, state
from ..tape import live, plain
from ..tensor import FOREIGN, Shared, Tensor
from ..transforms import F, Staged, as_array, named, staged
from . import calls, passes
from .batched import Template, Unsolved, alike
from .derivative import Recorded
from .dims import Watch
from .executable import Executable
from .failures import failure
from .guards import Gradients, Handles, Surroundings, Watched, chain, name_of, reach, rewritten
from .kinds import Kind, kind_of, news
from .lower import GradientOf, Lowered
from .modules import plain_of, wrapped
from .reads import Reads, parts_of
from .retold import OF_VALUES, retold

Passes = Iterable[str | passes.Pass] | None
LIMIT = 16
"""Graphs kept for one kind of call; the oldest goes first."""


class Entry:
    """A staged graph with its guards, and its compiled form once it is needed."""

    def __init__(
        self,
        staged: Staged,
        surroundings: Sequence[Surroundings | Reads],
        f: F,
        function: Function,
        given_up: Sequence[int],
        watched: Sequence[Watched] = (),
    ) -> None:
        self.staged, self.surroundings, self.function, self.f = staged, surroundings, function, f
        self.size: int | None = None
        self.decided: list[str] = []
        """For a batch of any size: the one it was staged for, and the lines that decided upon it."""
        self.given_up = [i for i in given_up if i < len(staged.graph.inputs)]
        """The places of arguments that the caller donates."""
        self.watched = watched
        graph = staged.graph
        captured = tuple([h for h, v in graph.constants if v not in graph.fixed])
        self.handles = Handles(captured, functools.partial(name_of, f, tuple(self.watched)))
        gradients = [Gradients(graph)] if graph.met or graph.ties else []
        self.guards: tuple[Any, ...] = (*surroundings, self.handles, *self.watched, *gradients)
        self.written = [h for h, _ in graph.state]
        self.rewritten = rewritten(graph)
        self.writes = bool(self.written or self.rewritten)
        """Whether it writes to tensors from outside."""
        self.executable: Executable | None = None
        self.recorded: dict[tuple[bool, ...], Recorded] = {}
        """By which of its operands are followed, the graph as an op."""
        self.seconds = 0.0
        """What staging took; 0 if it was written down from graphs for other batch sizes."""
        self.replays: dict[str, int] = {}
        """How often the ops ran one by one, by the reason."""

    def changed(self) -> str:
        """Why the graph does not fit any more, or ""."""
        for guard in self.guards:
            if why := guard.changed():
                return why
        return ""

    def run(self, leaves: list[Tensor], here: State) -> Any:
        """The result for these arguments."""
        if why := _around(leaves, here) or self._carries(leaves, here):
            self.replays[why] = self.replays.get(why, 0) + 1
            return self.staged.build(self.staged.graph(*leaves))
        if self.prepared(leaves, here):
            return self._record(leaves, here)
        return self.compute(leaves)

    def _carries(self, leaves: list[Tensor], here: State) -> str:
        """Why what is written needs the ops one by one: it is differentiated later, through the handle."""
        open_ = any([t.mask & ~1 and live(t, here) & ~1 for t in (*leaves, *self.handles.handles)])
        plain = open_ and any([h.recorded and not h.is_leaf for h in self.written])
        return "what it writes is recorded; write x.detach()" if plain or self.staged.graph.carried else ""

    def prepared(self, leaves: list[Tensor], here: State) -> bool:
        """Compile what such a call needs, if that was not done yet; whether it will be recorded."""
        graph, read = self.staged.graph, [*leaves, *self.handles.handles]
        if graph.taped or any([t.mask & ~1 and live(t, here) & ~1 for t in read]):
            self._recorder(leaves, here)
            return True
        if self.executable is None:
            self._compile()
        return False

    def _recorder(self, leaves: list[Tensor], here: State) -> tuple[Recorded, list[Tensor]]:
        """The graph as an op, and its operands."""
        graph, xs = self.staged.graph, self._read(leaves)
        flags = tuple([bool(x.mask and live(x, here)) for x in xs])
        op = self.recorded.get(flags)
        if op is None:
            op = self.recorded[flags] = Recorded(self.function.title, graph, flags, self.function.passes)
        return op, xs

    def _read(self, leaves: Sequence[Tensor]) -> list[Tensor]:
        """All that the graph reads: arguments, captured tensors, gradients."""
        graph = self.staged.graph
        gradients: list[Any] = [h.grad for h, v in graph.met if v is not None]
        return [*leaves, *[h for h, _ in graph.constants], *gradients]

    def _record(self, leaves: list[Tensor], here: State) -> Any:
        """As one node of the tape, or of the transformations around."""
        graph = self.staged.graph
        op, xs = self._recorder(leaves, here)
        try:
            found = op(*[plain(x) for x in xs])
        except OF_VALUES as error:
            raise retold(graph, xs, error) from None
        if all([x.mask <= 1 for x in xs]):  # only the tape of backward(), and what is on it is known
            tapes = [*graph.tapes, *[False] * (len(found) - len(graph.tapes))]
            found = tuple([t if on else t.detach() for t, on in zip(found, tapes, strict=True)])
        n, m = len(graph.outputs), len(graph.outputs) + len(graph.state)
        for (handle, _), new in zip(graph.state, found[n:m], strict=True):
            (handle.assign if handle.is_leaf else handle.rebind)(new)
        graph.leave(found[m : op.results])
        return self.staged.build(found[:n])

    def _compile(self) -> None:
        found = Executable(self.staged.graph, self.function.passes, self._donations, self.function.title)
        self.results = [(v.be, CODE[v.spec.dtype], v.spec.shape, v.dev) for v in found.lowered.outputs]
        self.count, self.fresh, self.shared = len(self.staged.graph.outputs), found.fresh, not all(found.fresh)
        self.single, self.gives = self.staged.bare, [i for i, _ in found.donated]
        self.executable = found

    def compute(self, leaves: Sequence[Tensor]) -> Any:
        """Run the compiled form, and write what the function writes."""
        executable = self.executable
        assert executable is not None
        if HELD:
            for handle in self.written:
                check_held(handle)
        captured = executable.captured
        values = calls.gathered(leaves, captured, self.gives)
        try:
            found = executable.run(values)
        except OF_VALUES as error:
            raise retold(self.staged.graph, self._read(leaves), error) from None
        n = self.count
        if self.shared:  # handles on what there is now, before anything is written
            given = {id(t.val): t for t in (*leaves, *captured)}
            ends: list[Any] = [self._made(found[i], i, given) for i in range(len(found))]
        else:
            ends = calls.results(found, self.results, 0, n)
            ends += [None] * (len(found) - n)
        for i in calls.written(self.written, found, self.results, n, self.fresh):
            new = ends[n + i]
            self.written[i]._become(self._made(found[n + i], n + i, {}) if new is None else new)
        n += len(self.written)
        graph = self.staged.graph
        if graph.slots or graph.gradients:
            graph.leave([self._made(found[i], i, {}) if ends[i] is None else ends[i] for i in range(n, len(found))])
        made = ends[: self.count]
        for i in self.given_up:
            leaves[i].give_up()
        return made[0] if self.single else self.staged.build(made)

    def _made(self, value: Any, i: int, given: dict[int, Tensor]) -> Tensor:
        """A tensor on output ``i``. One that is an argument or a captured value is another handle on that."""
        be, dt, shape, dev = self.results[i]
        if self.fresh[i]:
            return Tensor(value, be, dt, shape, dev)
        same = given.get(id(value))
        return Tensor(value, be, dt, shape, dev, Shared(value)) if same is None else _again(same)

    def _donations(self, lowered: Lowered) -> list[tuple[int, int]]:
        """A captured handle that is written gives up what it held."""
        first = len(lowered.inputs)
        at = {id(h): first + i for i, (h, _) in enumerate(lowered.captured)}
        n = len(self.staged.graph.outputs)
        pairs = [(at[id(h)], n + k) for k, h in enumerate(self.written) if id(h) in at]
        n, graph = n + len(self.written), self.staged.graph
        read = {id(h.handle): first + i for i, (h, _) in enumerate(lowered.captured) if type(h) is GradientOf}
        after = [next((h for h, at in graph.slots if at == k), graph.sources[k][0]) for k, _ in graph.gradients]
        pairs += [(read.pop(id(h)), n + k) for k, h in enumerate(after) if id(h) in read]
        left = list(range(len(graph.outputs)))
        for i in self.given_up:  # an argument for the first result of its kind
            fits = [k for k in left if lowered.outputs[k].kind == lowered.inputs[i].kind]
            if fits:
                left.remove(fits[0])
                pairs.append((i, fits[0]))
        return pairs


def _again(t: Tensor) -> Tensor:
    """Another handle on the value of ``t``, unrecorded, for a result that is an argument."""
    new = t.clone(None, 0)
    if new.base is None:
        new.base = Shared(t.val)
    return new


def _concrete(here: State) -> bool:
    """Whether values can be computed here and now, unrecorded and unobserved."""
    if not ACTIVE[0]:
        return True
    idle = here.stage is None and here.top is None and here.capture is None and here.log is None
    return idle and not here.observers and all([observer.compiled for observer in WATCHING[0]])


def _around(leaves: list[Tensor], here: State) -> str:
    """Why ops have to run one by one here and now, or ""."""
    levels = [t.tr for t in leaves if t.tr is not None]
    if _concrete(here) and not levels:
        return ""
    levels += [level for level in (here.stage, here.top) if level is not None]
    if levels:
        return f"inside another transformation: {max(levels, key=lambda level: level.uid).name}"
    if here.observers or not all([observer.compiled for observer in WATCHING[0]]):
        return "an observer hears of every op"
    return f"inside another transformation: {'grad, vjp or jvp' if here.capture is None else 'checkpoint'}"


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
        self.boxes: list[Any] = []
        """Lists, dicts and sets that it may read, and ``logs``, those to which it adds itself."""
        self.logs: list[Any] = []
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
        if kind is not None and entry.executable is not None and len(leaves) == len(args):
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
        if len(self.graphs) > 1 or known:
            others = [k for k in self.graphs if k is not key]
            why = why or (f"a batch of {size} rows" if known else news(key, others, self.f))
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
        known.append(entry)
        if len(known) > LIMIT:
            self.fast = {kind: e for kind, e in self.fast.items() if e is not known[0]}
            known.pop(0)
            often = f"{self.name}: staged more than {LIMIT} times for one kind of call"
            remedy = f"the last time because {why}; make what changes from call to call a tensor, or a Buffer"
            warnings.warn(f"{often}: {remedy}", stacklevel=3)
        return entry, leaves, here

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
        before = [(box, parts_of(box)) for box in self.boxes]
        try:
            with watch or UNCHANGED:
                graph = staged(whole, args)
        except Exception:
            if watch is None or not watch.given:
                raise
            graph = staged(whole, args)  # it may be that something does not take a size that is no plain integer
            watch.decided.append("what failed where sizes are watched")
        for one in surroundings:
            one.settle()
        given = [(f"argument {i}", a) for i, a in enumerate(args) if not isinstance(a, (Module, dict))]
        given += [(name, a) for name, a in args[-1].items()] if keywords else []
        places = self._given_up(args[:-1] if keywords else args)
        self.logs += [box for box, then in before if not calls.same(parts_of(box), then)]
        logs = {*map(id, self.logs), *[log for s in surroundings for log in s.logs]}
        watched = reach(f, graph.modules, given)
        roots = [("self", f), *given, *[(type(m).__name__, m) for m in graph.modules]]
        borrowed = [h for h, _ in graph.graph.constants if h.base is FOREIGN and h.tr is None]
        reads = Reads(roots, wrapped, watched, logs, borrowed)
        self.boxes = [box for _, box in reads.boxes]
        entry = Entry(graph, [*surroundings, reads], f, self, places, watched)
        entry.size, entry.seconds = size, time.perf_counter() - begun
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
