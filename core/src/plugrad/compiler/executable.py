"""A graph ready to run: its steps with their executors, on values of level 0."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..backend import BACKENDS, device_name
from ..interpreters.stage import Graph, Var
from ..op import Op
from ..ops.creation import TO_DEVICE
from ..program import Program
from ..state import ACTIVE, WATCHING, state, watched, within
from ..tensor import Tensor, Tensors, tupled
from . import passes
from .lower import Call, Lowered, Part, lower
from .plan import materialised, may_fail, planned
from .replay import Run, executor_of
from .target import Target, caller, is_foreign

Values = list[Any]
Donations = Callable[[Lowered], Sequence[tuple[int, int]]]


class Seconds(NamedTuple):
    """What compiling a program took."""

    passes: float
    plan: float
    backend: float


class Compiled(NamedTuple):
    """One program after the passes, and what it was before them."""

    target: Target
    before: Program
    program: Program
    seconds: Seconds
    own: bool
    """Whether the backend has an executor of its own for it."""


class Executable:
    """The compiled form of a graph: ``run(values)`` takes those of its inputs and captured handles, and gives those of
    its outputs. ``fresh[k]``: output k is memory of its own, that nothing else looks at.

    ``donations`` pairs positions (input, output) whose memory may be shared: the caller gives the input up.
    """

    def __init__(
        self,
        graph: Graph,
        chosen: Sequence[passes.Pass],
        donations: Callable[[Lowered], Sequence[tuple[int, int]]] = lambda _: (),
        name: str = "",
    ) -> None:
        begun = time.perf_counter()
        self.lowered = lowered = lower(graph)
        self.lowering = time.perf_counter() - begun
        self.passes, self.name = chosen, name
        self.inputs = (*lowered.inputs, *[v for _, v in lowered.captured])
        self.captured = tuple([h for h, _ in lowered.captured])
        self.last: Run
        """The function of the program that was compiled last."""
        self.programs: list[Compiled] = []
        self.inner: list[Executable] = []
        """Those of branches and loops, in the order of their steps."""
        slots = {v: i for i, v in enumerate(dict.fromkeys(self.inputs))}
        for step in lowered.steps:
            for v in step.outs:
                slots.setdefault(v, len(slots))
        wanted = [(self.inputs[i], lowered.outputs[k], (i, k)) for i, k in donations(lowered)]
        self.donated: list[tuple[int, int]] = []
        self.count = len(slots)
        self.steps = [self._prepared(step, slots, wanted) for step in lowered.steps]
        self.places = [slots[v] for v in self.inputs]
        self.outs = [slots[v] for v in lowered.outputs]
        made = [v for step in lowered.steps if isinstance(step, Part) for v in step.outs]
        self.fresh = [v in made and lowered.outputs.count(v) == 1 for v in lowered.outputs]
        """Whether an output is memory of its own, that nothing else looks at."""
        direct = len(self.steps) == 1 and isinstance(lowered.steps[0], Part)
        self.direct = self.last if direct and self._is_direct(lowered, slots) else None

    def _is_direct(self, lowered: Lowered, slots: dict[Var, int]) -> bool:
        """Whether the only step takes exactly the inputs and gives exactly the outputs."""
        return lowered.steps[0].ins == self.inputs and lowered.steps[0].outs == lowered.outputs

    def run(self, values: Values) -> Sequence[Any]:
        """The values of the outputs."""
        if self.direct is not None and not WATCHING[0]:
            return self.direct(*values)
        env: list[Any] = [None] * self.count
        for i, value in zip(self.places, values, strict=True):
            env[i] = value
        for run, ins, outs, dead in self.steps:
            for i, value in zip(outs, run(*[env[i] for i in ins]), strict=True):
                env[i] = value
            for i in dead:
                env[i] = None
        return [env[i] for i in self.outs]

    def _prepared(self, step: Any, slots: dict[Var, int], wanted: Any) -> Any:
        last = self._last(step)
        dead = [slots[v] for v in dict.fromkeys((*step.ins, *step.outs)) if v in last]
        run = self._call(step) if isinstance(step, Call) else self._program(step, wanted)
        return run, [slots[v] for v in step.ins], [slots[v] for v in step.outs], dead

    def _last(self, step: Any) -> set[Var]:
        """What nothing behind this step reads."""
        at = self.lowered.steps.index(step)
        later = {v for s in self.lowered.steps[at + 1 :] for v in s.ins}.union(self.lowered.outputs)
        return {*step.ins, *step.outs} - later

    def _program(self, part: Part, wanted: Any) -> Any:
        times = [time.perf_counter()]
        program = materialised(passes.apply(part.program, part.target, self.passes))
        times.append(time.perf_counter())
        pairs = {
            (i, k): (part.ins.index(a), part.outs.index(b))
            for a, b, (i, k) in wanted
            if a in part.ins and b in part.outs and part.ins.index(a) not in program.host_inputs
        }
        last = self._last(part)
        safe = self._nothing_fails_behind(part)
        pairs = {whole: own for whole, own in pairs.items() if safe and self.inputs[whole[0]] in last}
        program = planned(program, tuple(pairs.values()))
        self.donated += [whole for whole, own in pairs.items() if own in program.donated]
        calls = tuple([caller(e, program.specs, part.target) for e in program.eqns])
        foreign = [i for i, e in enumerate(program.eqns) if is_foreign(e, program.specs, part.target)]
        program = program.replace(calls=calls, name=self.name, foreign=frozenset(foreign))
        times.append(time.perf_counter())
        run, own = executor_of(program, part.target)
        times.append(time.perf_counter())
        seconds = Seconds(*[b - a for a, b in itertools.pairwise(times)])
        self.programs.append(Compiled(part.target, part.program, program, seconds, own))
        self.last = run
        return _watchable(run, program, part.target)

    def _nothing_fails_behind(self, part: Part) -> bool:
        """Whether no later step can fail for its values: what is written over is lost for good."""
        behind = self.lowered.steps[self.lowered.steps.index(part) + 1 :]
        calls = [step for step in behind if isinstance(step, Call)]
        eqns = [e for step in behind if isinstance(step, Part) for e in step.program.eqns]
        return all(call.op is TO_DEVICE for call in calls) and not any(map(may_fail, eqns))

    def _call(self, call: Call) -> Any:
        """The op on tensors; its graphs are executables of their own. A move is what it is."""
        if call.op is TO_DEVICE:
            return self._move(call.ins[0], call.outs[0])
        attrs = {k: self._graph(v) if isinstance(v, Graph) else v for k, v in call.attrs.items()}
        specs = [(Target(v.be, v.dev), v.spec) for v in call.ins]
        op = call.op

        def run(*values: Any) -> tuple[Any, ...]:
            handles = tuple([t.handle(value, s) for value, (t, s) in zip(values, specs, strict=True)])
            with within(mask=0, stage=None, capture=None, top=None, log=None):
                if not op.opaque:
                    found = Op.bind(op, handles, attrs)
                elif WATCHING[0] and handles:
                    found = watched("call", (op, handles, attrs), functools.partial(op.decompose, **attrs), *handles)
                else:
                    found = op.decompose(*handles, **attrs)
            return tuple([t.val for t in tupled(found)])

        return run

    def _move(self, x: Var, y: Var) -> Any:
        source, target, dev = BACKENDS[x.be], BACKENDS[y.be], y.dev
        origin, attrs = Target(x.be, x.dev), {"device": (y.be, y.dev)}

        def run(value: Any) -> tuple[Any]:
            if WATCHING[0]:
                return watched("call", (TO_DEVICE, (origin.handle(value, x.spec),), attrs), move, value)
            return move(value)

        def move(value: Any) -> tuple[Any]:
            return (target.from_host(source.to_host(value), dev),)

        return run

    def _graph(self, graph: Graph) -> Any:
        inner = Executable(graph, self.passes, name=self.name)
        self.inner.append(inner)
        return _Function(graph, inner)


def _watchable(run: Run, program: Program, target: Target) -> Run:
    """A program that observers hear of."""
    device = device_name((target.be, target.dev))

    def observed(*values: Any) -> tuple[Any, ...]:
        if WATCHING[0]:
            found: tuple[Any, ...] = watched("program", (program, device), run, *values)
            return found
        return run(*values)

    return observed


class _Function:
    """A graph of a branch or loop as a function of tensors, compiled."""

    def __init__(self, graph: Graph, executable: Executable) -> None:
        self.graph, self.executable = graph, executable
        self.targets = [(Target(v.be, v.dev), v.spec) for v in executable.lowered.outputs]
        self.outputs = graph.outputs

    def __call__(self, *xs: Tensor) -> Tensors:
        if ACTIVE[0] and state().stage is not None:
            return self.graph(*xs)
        values = [*[x.val for x in xs], *[h.val for h in self.executable.captured]]
        found = self.executable.run(values)
        return tuple([t.handle(v, s) for v, (t, s) in zip(found, self.targets, strict=True)])
