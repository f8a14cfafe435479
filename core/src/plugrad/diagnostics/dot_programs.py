"""Compiled programs as text for Graphviz: fused groups in frames, views dashed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from ..errors import RecordingError
from ..program import Body, Eqn, Lit, Operand, Program
from .explain import report_on
from .report import Step
from .text_dot import DASHED, DOUBLE, ROUND, Drawing

Ends = tuple[list[str], list[str]]
"""The ids of the inputs and results of something drawn."""


def draw_function(f: Any, args: Any, kwargs: Any, text: Drawing) -> None:
    """The programs of the newest graph that was compiled, or of that for some arguments, each in a frame with its
    device, and what stands between them.
    """
    report = report_on(f, args, kwargs, "to_dot")
    graphs = [graph for kind in report.kinds for graph in kind.graphs if graph.steps or graph.recorded]
    if not graphs:
        remedy = "call it first with the arguments in question, or give them too"
        raise RecordingError(f"to_dot: {report.name} was not compiled yet; {remedy}")
    _draw_steps(graphs[-1].steps, text)
    for steps in itertools.chain.from_iterable(graphs[-1].recorded):
        _draw_steps(steps, text)


def _draw_steps(steps: Iterable[Step], text: Drawing) -> None:
    made: dict[int, str] = {}
    for step in steps:
        ins, outs = _draw_step(step, text)
        for v, head in zip(step.reads, ins, strict=True):
            if v in made:
                text.edge(made[v], head)
        made.update(zip(step.gives, outs, strict=True))


def _draw_step(step: Step, text: Drawing) -> Ends:
    """One step: a frame with a program, or a box, with the steps of its graphs around it in a frame."""
    if step.program is not None:
        with text.frame(step.title):
            return draw_program(step.program.program, text)
    title = "\n".join(filter(None, (step.title, step.why)))
    if not step.inner:
        box = text.node(title, [])
    else:
        with text.frame(step.title):
            box = text.node(title, [])
            for k, inner in enumerate(step.inner, 1):
                with text.frame(f"graph {k}"):
                    _draw_steps(inner, text)
    return [box] * len(step.reads), [box] * len(step.gives)


def draw_program(program: Program, text: Drawing) -> Ends:
    """Inputs, constants, equations in their order, results."""
    ids = {v: text.node(f"input %{v}", program.specs[v], ROUND) for v in program.inputs}
    inputs = list(ids.values())
    ids.update({v: text.node(f"constant %{v}", program.specs[v], DASHED) for v in program.consts})
    for eqn in program.eqns:
        body = dict(eqn.attrs).get("body")
        if isinstance(body, Body):
            _draw_group(eqn, body, ids, text)
        else:
            view = program.plan is not None and program.plan.places[eqn.outs[0]].kind == "view"
            made = text.node(_title(eqn), [program.specs[v] for v in eqn.outs], "style=dashed" if view else "")
            for v in eqn.values:
                text.edge(ids[v], made)
            ids.update(dict.fromkeys(eqn.outs, made))
    results = [text.node("result", program.specs[v], DOUBLE) for v in program.outputs]
    for v, result in zip(program.outputs, results, strict=True):
        text.edge(ids[v], result)
    return inputs, results


def _draw_group(eqn: Eqn, body: Body, ids: dict[int, str], text: Drawing) -> None:
    """A fused group in its frame, the edges from outside behind it: one inside would draw its tail in."""
    local: dict[int, str] = {}
    outside: list[tuple[Operand, str]] = []
    with text.frame(f"fused {list(body.shape)}"):
        for part in body.eqns:
            made = text.node(_title(part), [body.specs[v] for v in part.outs])
            for v in part.values:
                if v in local:
                    text.edge(local[v], made)
                else:
                    outside.append((eqn.ins[v], made))
            local.update(dict.fromkeys(part.outs, made))
    for x, head in outside:
        if not isinstance(x, Lit):
            text.edge(ids[x], head)
    ids.update({outer: local[inner] for inner, outer in zip(body.outputs, eqn.outs, strict=True)})


def _title(eqn: Eqn) -> str:
    """The op with its attributes and the numbers among its operands."""
    numbers = [repr(x.value) for x in eqn.ins if isinstance(x, Lit)]
    attrs = [f"{k}={getattr(v, 'name', None) or v}" for k, v in eqn.attrs]
    return "\n".join([" ".join([eqn.op, *numbers]), *attrs])
