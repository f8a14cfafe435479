"""``explain``: what ``compile`` made of a function, and why."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from ..backend import device_name
from ..compiler.executable import Compiled, Executable
from ..compiler.function import Entry, Function
from ..compiler.guards import rewritten
from ..compiler.kinds import Kind, described
from ..compiler.lower import Call, Part
from ..compiler.modules import function_of
from ..compiler.passes import Pass
from ..compiler.reasons import apart, unfused
from ..errors import ArgumentError, article
from ..interpreters.stage import Graph
from ..ops.creation import TO_DEVICE
from ..program import Body, Eqn, Program, short, shown
from ..tensor import Tensor
from .memory import MemoryPlan, plan_of
from .report import Fusion, GraphReport, KindReport, ProgramReport, Report, Step


def explain(f: Any, *args: Any, **kwargs: Any) -> Report:
    """A report on a function that ``compile`` returned: for each kind of call how often it was staged and why, whether
    it runs compiled, its programs, what was fused and what not, with the reasons, memory, and the time it took.

    With arguments the report is on calls like that one; the function is staged and compiled for them if it was not yet,
    but not run. ArgumentError for what is not compiled.

    >>> import plugrad
    >>> f = plugrad.compile(lambda x: plugrad.sum(plugrad.exp(x) * 2.0))
    >>> report = plugrad.explain(f, plugrad.ones((4, 3), device="numpy"))
    >>> kind, = report.kinds
    >>> kind.arguments, kind.staged, kind.graphs[0].runs
    (('x: float32 (4, 3) on numpy',), 1, 'compiled')
    >>> [eqn.op for eqn in report.programs[0].program.eqns]
    ['exp', 'mul', 'sum']
    """
    return report_on(f, args, kwargs, "explain")


def report_on(f: Any, args: tuple[Any, ...], kwargs: dict[str, Any], who: str) -> Report:
    """The report that ``who`` asked for."""
    function = compiled_function(f, who)
    if not (args or kwargs):
        return Report(function.title, tuple([_kind(function, kind) for kind in function.graphs]))
    if isinstance(f, functools.partial):
        args, kwargs = (*f.args, *args), {**f.keywords, **kwargs}
    entry, leaves, here = function.entry(args, kwargs)
    if all(t.tr is None for t in leaves):
        entry.prepared(leaves, here)
    kind = next(kind for kind, entries in function.graphs.items() if any(e is entry for e in entries))
    return Report(function.title, (_kind(function, kind),))


def memory_plan(f: Any, *args: Any, **kwargs: Any) -> MemoryPlan:
    """The memory plan of a compiled function (of its program with the largest arena), or of a planned
    ``plugrad.program.Program``: prints as bars for a terminal, ``save("plan.svg")`` writes a drawing.

    With arguments it is that of calls like that one, as for ``explain``. ArgumentError if nothing was compiled.

    >>> import plugrad
    >>> f = plugrad.compile(lambda x: plugrad.sum(plugrad.exp(x) * 2.0))
    >>> plugrad.memory_plan(f, plugrad.ones((4, 4), device="numpy")).size
    64
    """
    if isinstance(f, Program):
        if f.plan is None:
            raise ArgumentError("memory_plan: this program has no plan; give one that was planned")
        return plan_of(f)
    return report_on(f, args, kwargs, "memory_plan").memory()


def compiled_function(f: Any, who: str) -> Function:
    """The compiled function behind ``f``, which may be a bound method."""
    found = function_of(f.func if isinstance(f, functools.partial) else f)
    if not isinstance(found, Function):
        got = article(getattr(f, "__name__", type(f).__name__))
        raise ArgumentError(f"{who}: got {got}, which is not compiled; give what plugrad.compile returned")
    return found


def _kind(function: Function, kind: Kind) -> KindReport:
    reasons = function.reasons.get(kind, [])
    graphs = [_graph(entry, function) for entry in function.graphs[kind]]
    arguments = tuple(described(kind, function.f))
    given = tuple([why for why in reasons if why])
    failed, apart = function.failures.get(kind, ("", "")), function.apart.get(kind, "")
    return KindReport(arguments, len(reasons), given, tuple(graphs), *failed, apart)


def _graph(entry: Entry, function: Function) -> GraphReport:
    graph, executable = entry.staged.graph, entry.executable
    replays = tuple(entry.replays.items())
    ways = (executable is not None, "compiled"), (entry.recorded, "recorded"), (replays, "op by op")
    runs = next((name for there, name in ways if there), "not run yet")
    recorded = [
        (tuple(_steps(op.forward, function.passes)), tuple(_steps(op.backward, function.passes)))
        for op in entry.recorded.values()
    ]
    steps = () if executable is None else tuple(_steps(executable, function.passes))
    seconds = entry.seconds, 0.0 if executable is None else executable.lowering
    captured = [_handle(h, entry) for h in entry.handles.handles]
    captured += [f"the gradient of {_handle(h, entry)}" for h, v in graph.met if v is not None]
    written = [_handle(h, entry) for h in entry.written]
    written += [f"the gradient of {_handle(h, entry)}" for h in (*rewritten(graph), *[h for h, _ in graph.slots])]
    return GraphReport(
        runs=runs,
        because=_because(graph) if recorded else "",
        replays=replays,
        captured=tuple(captured),
        written=tuple(written),
        equations=len(graph.equations),
        steps=steps,
        recorded=tuple(recorded),
        batch=entry.size,
        decided=tuple(entry.decided),
        seconds=seconds,
    )


def _because(graph: Graph) -> str:
    """Why a graph is recorded, and what to do about it."""
    taped = [i for i, on in enumerate(graph.tapes) if on]
    if not taped:
        return "a transformation around it, such as grad, differentiates it"
    count = len(graph.outputs)
    which = ["result"] if count == 1 else [f"result {i} of {count}, {shown(graph.outputs[i].spec)}," for i in taped]
    more = f" and {len(which) - 1} more" if len(which) > 1 else ""
    calm = "if backward() is not called on it later, return x.detach(), and it runs compiled"
    return f"its {which[0]}{more} is on the tape of backward(); {calm}"


def _handle(t: Tensor, entry: Entry) -> str:
    name = entry.handles.name(t)
    return f"{name}: {t.describe()}" if name else f"a {t.describe()}"


def _steps(executable: Executable, passes: list[Pass]) -> Iterator[Step]:
    programs, inner = iter(executable.programs), iter(executable.inner)
    for step in executable.lowered.steps:
        ends = tuple([v.id for v in step.ins]), tuple([v.id for v in step.outs])
        if isinstance(step, Part):
            report = _program(next(programs), passes)
            yield Step("program", f"program on {report.device}", "", "", report, (), *ends)
        elif step.op is TO_DEVICE:
            yield Step("move", _move(step), short(step.where), "", None, (), *ends)
        else:
            graphs = [next(inner) for v in step.attrs.values() if isinstance(v, Graph)]
            steps = tuple([tuple(_steps(g, passes)) for g in graphs])
            yield Step("apart", step.op.name, short(step.where), apart(step), None, steps, *ends)


def _move(call: Call) -> str:
    (x,), (y,) = call.ins, call.outs
    return f"move {shown(x.spec)} from {device_name((x.be, x.dev))} to {device_name((y.be, y.dev))}"


def _program(made: Compiled, passes: list[Pass]) -> ProgramReport:
    program, target = made.program, made.target
    assert program.plan is not None
    memory = plan_of(program)
    return ProgramReport(
        device=device_name((target.be, target.dev)),
        own=made.own,
        before=len(made.before.eqns),
        after=len(program.eqns),
        fuses=bool(target.backend.fuses),
        fused=tuple([fusion(e) for e in program.eqns if e.op == "fused"]),
        unfused=tuple(unfused(made.before, target, passes)),
        arena=program.plan.size,
        values=memory.values,
        peak=memory.peak,
        donated=tuple([_output(program, k, f"in the memory of input {i}") for i, k in program.donated]),
        copied=tuple(_copied(program)),
        seconds=made.seconds,
        program=program,
    )


def fusion(eqn: Eqn) -> Fusion:
    """A fused equation as data."""
    body: Body = eqn.attr("body")
    lines = dict.fromkeys([short(part.where) for part in body.eqns if part.where])
    return Fusion(tuple([part.op for part in body.eqns]), body.shape, tuple(lines))


def _output(program: Program, k: int, how: str) -> str:
    return f"output {k}, {shown(program.specs[program.outputs[k]])}, {how}"


def _copied(program: Program) -> Iterator[str]:
    """The outputs that only a copy makes memory of their own: the equations that no line of the user's made."""
    makers = {v: e for e in program.eqns for v in e.outs}
    for k, v in enumerate(program.outputs):
        maker = makers.get(v)
        if maker is not None and maker.op == "copy" and not maker.where and type(source := maker.ins[0]) is int:
            if source in program.inputs:
                what = f"input {program.inputs.index(source)}"
            elif source in program.consts:
                what = "a constant"
            else:
                what = f"{makers[source].op}, a view or another output"
            yield _output(program, k, f"from {what}")
