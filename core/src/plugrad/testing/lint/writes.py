"""Where a function visibly writes one of its operands."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator

from .hooks import own_nodes
from .source import Module

METHODS = ("fill", "itemset", "partition", "put", "resize", "sort", "setfield")
"""Methods of arrays that write them and return nothing."""
FUNCTIONS = ("copyto", "place", "put", "putmask", "fill_diagonal", "put_along_axis")
"""Functions of array libraries that write their first argument."""
UNWRITABLE = ("jax", "tensorflow")
"""Libraries whose arrays cannot be written: there ``x += y`` makes a new one."""

Write = tuple[ast.AST, str]


def writes(function: ast.FunctionDef | ast.Lambda, operands: set[str], module: Module) -> Iterator[Write]:
    """Each place, with the operand. Operands that the function binds anew are left out: what they are then is open."""
    nodes = list(own_nodes(function))
    if any(found.module.partition(".")[0] in UNWRITABLE for found in module.imports):
        return
    kept = operands - _rebound(nodes)
    for node in nodes:
        yield from ((node, name) for name in _written(node) if name in kept)


def _rebound(nodes: list[ast.AST]) -> set[str]:
    """The names that are bound in some other way than by ``+=`` and its like."""
    counts: Counter[str] = Counter()
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            counts[node.id] += 1
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            counts[node.target.id] -= 1
    return {name for name, n in counts.items() if n > 0}


def _written(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.AugAssign):
        yield from _base(node.target, True)
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            for one in target.elts if isinstance(target, ast.Tuple | ast.List) else [target]:
                yield from _base(one, False)
    elif isinstance(node, ast.Call):
        for keyword in node.keywords:
            if keyword.arg == "out":
                outs = keyword.value.elts if isinstance(keyword.value, ast.Tuple) else [keyword.value]
                for out in outs:
                    yield from _base(out, True)
        if isinstance(node.func, ast.Attribute) and node.func.attr in FUNCTIONS and node.args:
            library = isinstance(node.func.value, ast.Name) and node.func.value.id in ("np", "numpy", "cp", "cupy")
            yield from _base(node.args[0], True) if library else ()
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        function = node.value.func
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            torch = function.attr.endswith("_") and not function.attr.startswith("_")
            if function.attr in METHODS or torch:
                yield function.value.id


def _base(target: ast.expr, bare: bool) -> Iterator[str]:
    """The name whose memory an assignment to this writes; a bare name counts where it is not merely bound."""
    inner = target
    while isinstance(inner, ast.Subscript):
        inner = inner.value
    if isinstance(inner, ast.Name) and (bare or inner is not target):
        yield inner.id
