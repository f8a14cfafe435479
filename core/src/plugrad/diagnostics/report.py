"""What ``explain`` returns: plain data about a compiled function, and its text for a terminal."""

from __future__ import annotations

import itertools
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..compiler.executable import Seconds
from ..compiler.reasons import Unfused
from ..errors import ArgumentError
from ..program import Program, short
from .memory import MemoryPlan, amount, plan_of

WIDTH = 120
MOST, FEW = 12, 4
"""Lines of one list in the text; the attributes have them all."""


class Fusion(NamedTuple):
    """Ops that run as one: their names in order, the shape of the group, and the user's lines."""

    ops: tuple[str, ...]
    shape: tuple[int, ...]
    lines: tuple[str, ...]


class ProgramReport(NamedTuple):
    """One program on one device. ``own``: the backend executes it itself; otherwise the core does, equation by
    equation. ``before`` and ``after`` count equations around the passes. ``fuses``: the backend fuses anything at all.
    ``arena`` is what is allocated for results inside the program, ``values`` what these would take without sharing,
    ``peak`` what is alive of them at once, in bytes. ``donated`` are the outputs written over an input that was given
    up, ``copied`` those that had to be copied because they are an input, a constant, a view, or another output.
    """

    device: str
    own: bool
    before: int
    after: int
    fuses: bool
    fused: tuple[Fusion, ...]
    unfused: tuple[Unfused, ...]
    arena: int
    values: int
    peak: int
    donated: tuple[str, ...]
    copied: tuple[str, ...]
    seconds: Seconds
    program: Program

    def memory(self) -> MemoryPlan:
        """The picture of its memory plan."""
        return plan_of(self.program)


class Step(NamedTuple):
    """A step of a graph. ``kind``: "program", "move" between devices, or "apart" for an op that no program holds, with
    the reason in ``why``. ``inner`` are the steps of the graphs of a branch or loop. ``reads`` and ``gives`` are the
    numbers of the staged graph's variables.
    """

    kind: str
    title: str
    where: str
    why: str
    program: ProgramReport | None = None
    inner: tuple[tuple[Step, ...], ...] = ()
    reads: tuple[int, ...] = ()
    gives: tuple[int, ...] = ()


class GraphReport(NamedTuple):
    """One staged graph: how it runs, the tensors that it reads anew at each call and those that it writes, its steps.

    ``runs`` is "compiled", "recorded" (as one node of the tape or of a transformation, with a compiled forward and a
    compiled backward; ``because`` says why), "op by op", or "not run yet". ``replays`` pairs reasons for running op by
    op with how often that happened. ``batch`` is the size of the batch where one graph is meant to do for all, and
    ``decided`` the lines that keep it from that. ``recorded`` has the steps of forward and backward, for each set of
    operands that was followed. ``seconds`` are those of staging (0 for a graph written down from those of other batch
    sizes) and of making programs of the graph.
    """

    runs: str
    replays: tuple[tuple[str, int], ...]
    captured: tuple[str, ...]
    written: tuple[str, ...]
    equations: int
    steps: tuple[Step, ...]
    recorded: tuple[tuple[tuple[Step, ...], tuple[Step, ...]], ...]
    batch: int | None
    decided: tuple[str, ...]
    seconds: tuple[float, float]
    because: str = ""

    def programs(self) -> Iterator[ProgramReport]:
        """All programs, those of branches and loops behind the step that they belong to."""
        yield from _programs(self.steps)
        for forward, backward in self.recorded:
            yield from _programs((*forward, *backward))


class KindReport(NamedTuple):
    """Calls whose arguments have one structure, with the same shapes, dtypes and devices. ``staged`` counts how often
    that was done, ``reasons`` has one for each time but the very first; ``graphs`` are those that are still kept.
    ``failed`` is the error if it could not be staged when that was last tried, ``where`` the line of the user's code;
    ``apart`` says why there is not one graph for batches of any size where that was asked for.
    """

    arguments: tuple[str, ...]
    staged: int
    reasons: tuple[str, ...]
    graphs: tuple[GraphReport, ...]
    failed: str = ""
    where: str = ""
    apart: str = ""


class Report(NamedTuple):
    """What ``plugrad.explain`` says of a compiled function. ``print(report)`` is for reading; the attributes hold all
    of it as data; ``report.text()`` shows the programs, ``report.full()`` is ``str(report)`` with no list cut short.
    """

    name: str
    kinds: tuple[KindReport, ...]

    @property
    def programs(self) -> tuple[ProgramReport, ...]:
        """All programs of all graphs."""
        return tuple([p for kind in self.kinds for graph in kind.graphs for p in graph.programs()])

    def text(self, places: bool = False) -> str:
        """The programs: equations with shapes and lines, with ``places`` also where each value lives."""
        return "\n\n".join([f"# on {p.device}\n{p.program.text(places)}" for p in self.programs])

    def memory(self) -> MemoryPlan:
        """The memory plan of the program with the largest arena; ArgumentError if nothing was compiled."""
        if not self.programs:
            remedy = "call it with the arguments in question, or give them too; plugrad.explain tells why if it is not"
            raise ArgumentError(f"memory_plan: {self.name} was not compiled; {remedy}")
        return max(self.programs, key=lambda p: p.arena).memory()

    def full(self) -> str:
        """The report with every line of its lists."""
        return self._told(sys.maxsize)

    def _told(self, most: int) -> str:
        lines = [f"{self.name}: {_count(len(self.kinds), 'kind')} of call"]
        for i, kind in enumerate(self.kinds, 1):
            lines += _kind_lines(i, kind, most)
        if not self.kinds:
            lines.append("  not called yet")
        return "\n".join(itertools.chain.from_iterable(map(_wrapped, lines)))

    def __str__(self) -> str:
        return self._told(MOST)

    def __repr__(self) -> str:
        return str(self)


def _programs(steps: Iterable[Step]) -> Iterator[ProgramReport]:
    for step in steps:
        if step.program is not None:
            yield step.program
        for inner in step.inner:
            yield from _programs(inner)


def _wrapped(line: str) -> list[str]:
    """A line within the width, what follows indented deeper."""
    if len(line) <= WIDTH:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent, drop_whitespace=True, break_on_hyphens=False)


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _kind_lines(i: int, kind: KindReport, most: int) -> Iterator[str]:
    yield f"kind {i}: {'; '.join(kind.arguments) or 'no arguments'}"
    if kind.failed:
        often = "when it was last tried" if kind.staged else "yet"
        yield f"  could not be staged {often}: {kind.failed}" + (
            f"  {short(kind.where)}" if kind.where not in kind.failed else ""
        )
    if kind.staged == 1:
        yield "  staged once" + "".join([f", because {why}" for why in kind.reasons])
    elif kind.staged:
        yield f"  staged {kind.staged} times, again because"
        yield from _limited([f"    {why}" for why in kind.reasons], most)
    if kind.apart:
        yield f"  no graph for batches of any size: {kind.apart}"
    for n, graph in enumerate(kind.graphs, 1):
        yield from _graph_lines(graph, f" {n} of {len(kind.graphs)}" if len(kind.graphs) > 1 else "", most)


def _graph_lines(graph: GraphReport, number: str, most: int) -> Iterator[str]:
    staging, lowering = graph.seconds
    took = f"staged in {1e3 * staging:.1f} ms" if staging else "written down from those of other batch sizes"
    took += f", lowered in {1e3 * lowering:.1f} ms" if graph.steps else ""
    batch = "" if graph.batch is None else f"a batch of {graph.batch}; "
    yield f"  graph{number}: {batch}{_count(graph.equations, 'equation')}; {took}; runs: {graph.runs}"
    if graph.because:
        yield f"    recorded, because {graph.because}"
    if graph.decided:
        lines = dict.fromkeys(map(short, graph.decided))
        yield f"    no graph for batches of any size, because of{_lines(tuple(lines), most)[1:]}"
    for why, times in graph.replays:
        yield f"    op by op {_count(times, 'time')}: {why}"
    for title, handles in (("reads anew", graph.captured), ("writes", graph.written)):
        if handles:
            yield from _limited([f"    {title} {handle}" for handle in handles], _few(most))
    yield from _step_lines(graph.steps, "    ", most)
    for forward, backward in graph.recorded:
        for title, steps in (("forward", forward), ("backward", backward)):
            yield f"    recorded, its {title}:" + ("" if steps else " nothing to do")
            yield from _step_lines(steps, "      ", most)


def _step_lines(steps: tuple[Step, ...], indent: str, most: int) -> Iterator[str]:
    for n, step in enumerate(steps, 1):
        where = f"  {step.where}" if step.where else ""
        why = f": {step.why}" if step.why else ""
        yield f"{indent}step {n} of {len(steps)}: {step.title}{why}{where}"
        if step.program is not None:
            yield from (f"{indent}  {line}" for line in _program_lines(step.program, most))
        for k, inner in enumerate(step.inner, 1):
            yield f"{indent}  its graph {k}:" + ("" if inner else " nothing to do")
            yield from _step_lines(inner, indent + "    ", most)


def _program_lines(p: ProgramReport, most: int) -> Iterator[str]:
    s = p.seconds
    took = f"passes {1e3 * s.passes:.1f} ms, plan {1e3 * s.plan:.1f} ms, backend {1e3 * s.backend:.1f} ms"
    yield f"executed by {'the backend itself' if p.own else 'the core, equation by equation'}; compiled in: {took}"
    grouped = sum(len(f.ops) for f in p.fused)
    fused = f", {grouped} ops in {_count(len(p.fused), 'group')}" if p.fused else ""
    yield f"{_count(p.before, 'equation')} before the passes, {p.after} after{fused}"
    yield from _limited([f"  fused {_shape(f.shape)}: {_run(f.ops)}{_lines(f.lines, most)}" for f in p.fused], most)
    if not p.fuses:
        yield f"nothing is fused: the backend of {p.device} lists no ops in `fuses`"
    told = Counter([(u.maker, u.reader, u.why, u.reader_where) for u in p.unfused])
    yield from _limited([_unfused(*key, times) for key, times in told.items()], most)
    yield f"arena {amount(p.arena)}; all values in it {amount(p.values)}, alive at once {amount(p.peak)}"
    for title, outputs in (("in given-up memory", p.donated), ("copied", p.copied)):
        yield from _limited([f"{title}: {output}" for output in outputs], _few(most))


def _unfused(maker: str, reader: str, why: str, where: str, times: int) -> str:
    pair = f"{maker} and {reader}" if maker else reader
    often, at = f" ({times} times)" if times > 1 else "", f"  {short(where)}" if where else ""
    return f"  apart: {pair}: {why}{often}{at}"


def _run(ops: tuple[str, ...]) -> str:
    """Op names in order, repeats counted."""
    runs = [(op, len(list(same))) for op, same in itertools.groupby(ops)]
    return " ".join([op if n == 1 else f"{op}*{n}" for op, n in runs])


def _shape(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _lines(lines: tuple[str, ...], most: int) -> str:
    kept = lines if most > MOST else lines[:3]
    more = f" and {len(lines) - len(kept)} more" if len(lines) > len(kept) else ""
    return f"  {', '.join(kept)}{more}" if lines else ""


def _few(most: int) -> int:
    """The lines of a list of handles or outputs, where others have ``most``."""
    return FEW if most == MOST else most


def _limited(lines: list[str], most: int) -> list[str]:
    """At most so many lines of a list, and how many more there are."""
    if len(lines) <= most + 1:
        return lines
    indent = " " * (len(lines[0]) - len(lines[0].lstrip()))
    return [*lines[:most], f"{indent}... and {len(lines) - most} more, which .full() shows"]
