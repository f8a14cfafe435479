"""``to_dot``: the tape behind a tensor, a staged graph, or a compiled function, as text for Graphviz."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

from ..compiler.function import Function
from ..compiler.modules import function_of
from ..errors import ArgumentError, RecordingError, article
from ..interpreters.stage import Equation, Graph
from ..module import Module
from ..program import Program
from ..tensor import Node, Tensor
from ..transforms import Staged
from .dot_programs import draw_function, draw_program
from .text_dot import DASHED, DOUBLE, ROUND, Drawing


def to_dot(graph: Any, *args: Any, names: Module | None = None, **kwargs: Any) -> str:
    """The DOT text of a recorded tensor's tape (or of several tensors' in a list), of a staged function, or of the
    programs that ``compile`` made of a function: for calls with such arguments, as for ``explain``, or without any when
    it was compiled last.

    Boxes are ops, with the shape and dtype of what they gave; ellipses are leaves, inputs and results, dashed ones
    what a graph captured; frames hold the op of a branch or loop and its graphs, in programs a fused group; boxes of
    views are dashed. Leaves that are Parameters of the
    Module ``names`` carry their paths. Ids count from the inputs, so that the same computation gives the same text.
    RecordingError for a tensor that was not recorded, or a function that was not compiled yet.

    >>> import plugrad
    >>> x = plugrad.asarray([1.0, 2.0]).requires_grad_()
    >>> print(plugrad.to_dot(plugrad.exp(x)))
    digraph plugrad {
      node [shape=box];
      n0 [label="leaf\\nfloat32 (2,)", shape=ellipse];
      n1 [label="exp\\nfloat32 (2,)"];
      n0 -> n1;
      n2 [label="result\\nfloat32 (2,)", shape=ellipse, peripheries=2];
      n1 -> n2;
    }
    """
    if names is not None and not isinstance(names, Module):
        raise ArgumentError(f"to_dot: names is {article(type(names).__name__)}, but must be a Module or None")
    text, graph = Drawing(), function_of(graph)
    compiled = isinstance(graph, (Function, functools.partial))
    if (args or kwargs) and not compiled:
        remedy = "names= is a keyword, and only a function that plugrad.compile returned takes arguments"
        raise ArgumentError(f"to_dot: arguments for {article(type(graph).__name__)}; {remedy}")
    if compiled:
        draw_function(graph, args, kwargs, text)
    elif isinstance(graph, Program):
        draw_program(graph, text)
    elif isinstance(graph, (Staged, Graph)):
        _draw_graph(graph.graph if isinstance(graph, Staged) else graph, text)
    else:
        _draw_tape(list(graph) if isinstance(graph, (list, tuple)) else [graph], names, text)
    return "\n".join(["digraph plugrad {", "  node [shape=box];", *text.lines, "}"])


def _draw_tape(ends: list[Any], names: Module | None, text: Drawing) -> None:
    for t in ends:
        if not isinstance(t, Tensor) or t.node is None:
            wrong = f"got {article(getattr(t, '__name__', type(t).__name__))}"
            got = f"this {t.describe()} was not recorded" if isinstance(t, Tensor) else wrong
            made = "what plugrad.stage or plugrad.compile returned"
            remedy = f"give a result of recorded ops, before it leaves grad(), or {made}"
            raise RecordingError(f"to_dot: {got}; {remedy}")
    paths = {id(p.node): path for path, p in (names.named_tensors() if names is not None else ()) if p.node is not None}
    found: dict[int, tuple[Node, Tensor]] = {}
    todo: list[Any] = list(ends)
    while todo:
        t = todo.pop()
        if t.node is not None and t.node.seq not in found:
            found[t.node.seq] = t.node, t
            todo += t.node.inputs or ()
    ids: dict[int, str] = {}
    for seq, (node, t) in sorted(found.items()):
        if node.op is None:
            ids[seq] = text.node(paths.get(id(node), "leaf"), t, ROUND)
        else:
            name = getattr(node.op, "name", "")
            freed = "" if node.inputs is not None else " (freed)"
            style = "" if name else ROUND
            ids[seq] = text.node((name or paths.get(id(node), "leaf")) + freed, node.outputs or t, style)
        for x in node.inputs or ():
            if x.node is not None:
                _join(text, ids, x, ids[seq])
    for t in ends:
        _join(text, ids, t, text.node("result", t, DOUBLE))


def _join(text: Drawing, ids: dict[int, str], t: Tensor, head: str) -> None:
    node: Any = t.node
    several = node.op is not None and len(node.outputs or ()) > 1
    text.edge(ids[node.seq], head, t.ix if several else None)


def _draw_graph(graph: Graph, text: Drawing) -> None:
    ids = {v: text.node(f"input %{v.id}", v.spec, ROUND) for v in graph.inputs}
    ids.update({v: text.node(f"captured %{v.id}", v.spec, DASHED) for _, v in graph.constants})
    place: dict[Any, int | None] = dict.fromkeys(ids)
    for equation in graph.equations:
        made = _draw_op(equation, text)
        for v in equation.inputs:
            text.edge(ids[v], made, place[v])
        ids.update(dict.fromkeys(equation.outputs, made))
        place.update({v: i if len(equation.outputs) > 1 else None for i, v in enumerate(equation.outputs)})
    for title, v in [*[("result", v) for v in graph.outputs], *[("write", v) for _, v in graph.state]]:
        text.edge(ids[v], text.node(title, v.spec, DOUBLE), place[v])


def _draw_op(equation: Equation, text: Drawing) -> str:
    """The box of an op, in a frame with its graphs if it has some."""
    op, attrs = equation.op, equation.attrs
    graphs = {k: v for k, v in attrs.items() if isinstance(v, Graph)}
    title = op.name + "".join([f"\n{k}={v}" for k, v in attrs.items() if k not in graphs])
    with text.frame(op.name) if graphs else contextlib.nullcontext():
        made = text.node(title, [v.spec for v in equation.outputs])
        for name, graph in graphs.items():
            with text.frame(name):
                _draw_graph(graph, text)
    return made
