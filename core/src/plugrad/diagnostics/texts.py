"""Graphs and programs as text: what printing them shows."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..interpreters.stage import Graph, Var
from ..program import Body, Eqn, Lit, Operand, Program, short, shown
from ..transforms import Staged


def graph_text(graph: Graph) -> str:
    """The equations of a staged function, those of functions inside it indented."""

    def declared(vs: Sequence[Var]) -> str:
        return ", ".join([f"%{v.id}:{v.spec.dtype.name}[{','.join(map(str, v.spec.shape))}]" for v in vs])

    def used(vs: Sequence[Var]) -> str:
        return ", ".join([f"%{v.id}" for v in vs])

    lines = [f"graph({declared(graph.inputs)})"]
    lines += [f"  {declared([v])} = captured" for _, v in graph.constants]
    for op, attrs, inputs, outputs, *_ in graph.equations:
        graphs = {k: v for k, v in attrs.items() if isinstance(v, Graph)}
        shown = "".join([f", {k}={v}" for k, v in attrs.items() if k not in graphs])
        lines.append(f"  {declared(outputs)} = {op.name}({used(inputs)}{shown})")
        lines += [textwrap.indent(f"{k}: {graph}", "    ") for k, graph in graphs.items()]
    lines += [f"  write {handle.describe()} = {used([v])}" for handle, v in graph.state]
    lines += [f"  write gradient {k} = {used([v])}" for k, v in graph.gradients]
    lines += [f"  gradient of {handle.describe()} = gradient {k}" for handle, k in graph.slots]
    return "\n".join([*lines, f"  return {used(graph.outputs)}"])


def program_text(program: Program, places: bool = False) -> str:
    """The text form: one line an equation, with shapes and the user's lines, and with ``places`` where each value
    lives, such as ``@128`` in the arena.
    """
    return "\n".join(lines(program, places))


def lines(program: Program, places: bool = False) -> Iterator[str]:
    """The lines of the text form, a fused group's equations indented below it."""

    def declared(vs: tuple[int, ...]) -> str:
        return ", ".join([f"%{v}:{shown(program.specs[v])}{_at(program, v) if places else ''}" for v in vs])

    given = [f"{declared((v,))}{_host(i, program.host_inputs)}" for i, v in enumerate(program.inputs)]
    yield f"{f'program {program.name}'.rstrip()}({', '.join(given)})"
    yield from (f"  {declared((v,))} = constant" for v in program.consts)
    for eqn in program.eqns:
        body = dict(eqn.attrs).get("body")
        view = program.plan is not None and any(program.plan.places[v].kind == "view" for v in eqn.outs)
        text = f"  {declared(eqn.outs)} = {'view ' if view else ''}{call(eqn, map(_operand, eqn.ins))}"
        yield f"{text}  # {short(eqn.where)}" if eqn.where else text
        if isinstance(body, Body):
            yield from _inside(eqn, body)
        yield from (f"    {line}" for _, v in eqn.attrs if isinstance(v, Program) for line in lines(v, places))
    yield f"  return {', '.join([f'%{v}{_host(i, program.host_outputs)}' for i, v in enumerate(program.outputs)])}"


def _host(position: int, positions: frozenset[int]) -> str:
    return " of the host" if position in positions else ""


def call(eqn: Eqn, operands: Iterable[str]) -> str:
    """An equation's op with its operands and attributes."""
    attrs = [f"{k}={_attribute(v)}" for k, v in eqn.attrs if k != "body"]
    return f"{eqn.op}({', '.join([*operands, *attrs])})"


def _at(program: Program, v: int) -> str:
    """Where a value lives."""
    if program.plan is None:
        return ""
    kind, at = program.plan.places[v]
    if kind in ("input", "const"):
        return ""
    return {"arena": f"@{at}", "output": "@output", "view": f"@%{at}"}.get(kind, f"@input{at}")


def _inside(eqn: Eqn, body: Body) -> Iterator[str]:
    """The lines of a fused group, in the numbers of the program where it has some."""
    names = [_operand(x) for x in eqn.ins] + [f"%{chr(97 + i % 26)}{i // 26 or ''}" for i in range(len(body.specs))]
    for inner, outer in zip(body.outputs, eqn.outs, strict=True):
        names[inner] = f"%{outer}"
    for part in body.eqns:
        ins = [_operand(x) if isinstance(x, Lit) else names[x] for x in part.ins]
        text = f"    {', '.join([f'{names[v]}:{shown(body.specs[v])}' for v in part.outs])} = {call(part, ins)}"
        yield f"{text}  # {short(part.where)}" if part.where else text


def _operand(x: Operand) -> str:
    return repr(x.value) if isinstance(x, Lit) else f"%{x}"


def _attribute(v: Any) -> str:
    return "program" if isinstance(v, Program) else getattr(v, "name", None) or repr(v)


def staged_text(staged: Staged) -> str:
    """That of its graph."""
    return graph_text(staged.graph)


Graph.__str__ = graph_text  # type: ignore[method-assign, assignment]
Staged.__str__ = staged_text  # type: ignore[method-assign, assignment]
Program.text = program_text  # type: ignore[method-assign, assignment]
Program.__str__ = program_text  # type: ignore[method-assign, assignment]
