"""Checks of kernels: their names in tables, what they take, their dtypes, and that they write no operand."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...backend import Backend, Kernel
from . import facts, signatures
from .lint import Lint
from .opsource import Declared, declared_ops
from .registration import bound, place
from .source import Module
from .values import Entry, Symbol, Table, Value
from .writes import writes


@dataclass
class Kernels:
    """What the checks of one kernel need."""

    lint: Lint
    own: dict[str, Declared]


def check(lint: Lint) -> None:
    """All of these, for tables of backends and kernels that are registered one by one."""
    kit = Kernels(lint, {op.name: op for op in declared_ops(lint) if op.name})
    for _, _, found in lint.classes():
        if lint.derives(found, Backend):
            for member, before in (("kernels", 0), ("into", 1)):
                table = lint.evaluator.member(found, member)
                if isinstance(table, Table):
                    _table(kit, table, before)
    for call in lint.registered:
        arguments = bound(call) if call.name == "kernel" else {}
        op, target = arguments.get("op"), arguments.get("target")
        if isinstance(op, str):
            entry = Entry(op, _targeted(lint, target), place(call, op), call.module)
            _entry(kit, entry, 0)


def _targeted(lint: Lint, target: Value) -> Value:
    """The function that a target names, or the kernel itself."""
    if not isinstance(target, str):
        return target
    name, _, attribute = target.partition(":")
    module = lint.tree.modules.get(name)
    return lint.evaluator.scope(module).names.get(attribute) if module else None


def _table(kit: Kernels, table: Table, before: int) -> None:
    for entry in table.twice:
        message = f"the kernel of {entry.key!r} stands in this table before; the last one wins, so drop one"
        kit.lint.report(entry.module, entry.node, "PG402", message)
    for entry in table.entries:
        if isinstance(entry.key, str):
            _entry(kit, entry, before)


def _entry(kit: Kernels, entry: Entry, before: int) -> None:
    name, lint = str(entry.key), kit.lint
    if name in kit.own:
        calls: tuple[facts.Wanted, ...] = kit.own[name].calls
    else:
        op = facts.op_of(name, lint.tree.packages)
        if isinstance(op, str):
            lint.report(entry.module, entry.node, "PG401", f"{op}; this kernel is never called")
            return
        calls = facts.calls(name) if op is not None and op.run is None else ()
    for function in _functions(lint, entry):
        _kernel(lint, name, function, entry, calls, before)


def _functions(lint: Lint, entry: Entry) -> Iterator[Value]:
    """The kernels of an entry, ``Kernel`` taken off and its dtypes checked."""
    listed = entry.value if isinstance(entry.value, list | tuple) else [entry.value]
    for value in listed:
        if not (isinstance(value, Symbol) and facts.named(value.full) is Kernel and isinstance(value.node, ast.Call)):
            yield value
            continue
        given = _fields(lint, value)
        dtypes = given.get("dtypes")
        if isinstance(dtypes, str) and (wrong := facts.wrong_dtypes(dtypes)):
            message = f"kernel of {entry.key!r}: {wrong}; use names such as 'f4 f8' or groups such as 'float'"
            lint.report(value.module, value.node, "PG407", message)
        yield given.get("fn")


def _fields(lint: Lint, value: Symbol) -> dict[str, Value]:
    if value.starred:
        return {}
    try:
        return facts.KERNEL.bind(*value.args, **value.keywords).arguments
    except TypeError as error:
        written = f"Kernel({', '.join(facts.KERNEL.parameters)})"
        lint.report(value.module, value.node, "PG202", f"Kernel: {error}; its fields are {written}")
        return {}


def _kernel(lint: Lint, name: str, function: Value, entry: Entry, calls: tuple[facts.Wanted, ...], before: int) -> None:
    if not isinstance(function, Symbol):
        return
    ufunc = getattr(np, function.full.removeprefix("numpy."), None) if function.full.startswith("numpy.") else None
    if isinstance(ufunc, np.ufunc) and not before and calls and all(c.operands != ufunc.nin for c in calls):
        message = (
            f"{function.full} takes {ufunc.nin} operands, but as a kernel it is called as {facts.shown(name, calls[0])}"
        )
        lint.report(entry.module, entry.node, "PG403", message)
    where, at = function.module, function.node
    given = signatures.of(function, lint.evaluator)
    found: dict[tuple[str, str], str] = {}
    for wanted in calls:
        for code, text in () if given is None else signatures.misfit(name, given, wanted, before):
            found.setdefault((code, text.partition(", but")[0].partition(";")[0]), text)
    for (code, _), text in found.items():
        lint.report(where, at, code, text)
    if before == 0 and isinstance(at, ast.FunctionDef | ast.Lambda):
        counts = [wanted.operands for wanted in calls]
        _written(lint, name, where, at, max(counts) if counts else None)


def _written(lint: Lint, name: str, module: Module, function: ast.FunctionDef | ast.Lambda, count: int | None) -> None:
    parameters = [p.arg for p in (*function.args.posonlyargs, *function.args.args)]
    if count is None:
        defaults = len(function.args.defaults)
        count = len(parameters) - defaults
    for node, operand in writes(function, set(parameters[:count]), module):
        remedy = "make a new value, or put an in-place form into the table `into`"
        lint.report(module, node, "PG406", f"a kernel of {name!r} writes its operand {operand!r}; {remedy}")
