"""A graph of a compiled function with what it holds for, and its compiled form."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..dtypes import CODE
from ..state import ACTIVE, HELD, WATCHING, State, check_held
from ..tape import live, plain
from ..tensor import Shared, Tensor
from ..transforms import F, Staged
from . import calls
from .derivative import Recorded
from .executable import Executable
from .guards import Gradients, Handles, Surroundings, Watched, name_of, rewritten
from .look import Look
from .lower import GradientOf, Lowered
from .reads import Reads
from .retold import OF_VALUES, retold

if TYPE_CHECKING:
    from .function import Function


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
        self.unsettled = ""
        """What the function itself changed while it was staged, so that this is no graph of its next call."""
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
        self.changed = Look(self.guards).changed
        """Why the graph does not fit any more, or ""."""
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
        n = self.count = len(self.staged.graph.outputs)
        shapes = [v.spec.shape for v in found.lowered.outputs]
        written = shapes[n : n + len(self.written)]  # equal at a glance: the very tuples of the handles
        shapes[n : n + len(written)] = [
            h.shape if h.shape == s else s for h, s in zip(self.written, written, strict=True)
        ]
        places = zip(found.lowered.outputs, shapes, strict=True)
        self.results = [(v.be, CODE[v.spec.dtype], shape, v.dev) for v, shape in places]
        self.fresh, self.shared = found.fresh, not all(found.fresh)
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
        for i in calls.written(self.written, found, self.results, n, self.fresh):
            self.written[i]._become(ends[n + i] if self.shared else self._made(found[n + i], n + i, {}))
        graph = self.staged.graph
        if graph.slots or graph.gradients:
            places = range(n + len(self.written), len(found))
            graph.leave([ends[i] if self.shared else self._made(found[i], i, {}) for i in places])
        made = ends[:n] if self.shared else ends
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
