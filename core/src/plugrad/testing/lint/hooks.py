"""Checks of the hooks: their names, marks, parameters and results, and the protocol version."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator

from ...backend import API
from ...errors import PluginError, suggest
from ...plugins.hookspecs import HOOKS
from ...plugins.registrar import IncompatibleError, check_api
from .lint import Lint, functions
from .source import Function, Module
from .values import PLAIN, REGISTRAR, Call, Scope, Symbol

CLOSE = 0.85
"""From which likeness on a function's name is taken for a mistyped hook's."""


def check(lint: Lint) -> None:
    """All of these, for each module of hooks."""
    objects = [p.text.partition(":")[0].strip() for p in lint.target.entry_points.values() if ":" in p.text]
    for module in lint.hook_modules:
        if module.name in objects:  # the entry point names an object in it, whose members are the hooks
            continue
        for function in functions(module):
            _function(lint, module, function)
        if any(lint.is_hook(f, module) for f in functions(module)) or lint.target.entry_points:
            _version(lint, module)


def specified(lint: Lint, module: Module, function: Function) -> str:
    """The name of the hook that a function implements."""
    mark = lint.mark(function, module)
    for keyword in mark.keywords if isinstance(mark, ast.Call) else ():
        if keyword.arg == "specname" and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value)
    return function.name


def _function(lint: Lint, module: Module, function: Function) -> None:
    mark, name = lint.mark(function, module), specified(lint, module, function)
    known = name in HOOKS
    alike = bool(difflib.get_close_matches(name, HOOKS, 1, CLOSE)) or name.startswith("plugrad_")
    if not known and (mark is not None or (alike and not function.decorator_list)):
        remedy = f"the hooks are {', '.join(HOOKS)}"
        lint.report(module, function, "PG101", f"there is no hook {name!r}{suggest(name, HOOKS)}; {remedy}")
    if not known:
        return
    if mark is None and not function.decorator_list:
        remedy = "put @hookimpl (from plugrad.plugins) above it"
        lint.report(module, function, "PG102", f"hook {name!r} is not marked and never called; {remedy}")
    a = function.args
    others = [*a.posonlyargs, *a.kwonlyargs, *[p for p in (a.vararg, a.kwarg) if p]]
    if others or [p.arg for p in a.args] != ["registrar"]:
        given = f"({ast.unparse(a)})"
        lint.report(module, function, "PG103", f"hook {name!r} takes {given}; write it as {name}(registrar)")
    for node in _results(function):
        lint.report(
            module, node, "PG104", f"hook {name!r} returns something; a hook calls its registrar, no return, no yield"
        )
    if isinstance(function, ast.AsyncFunctionDef):
        lint.report(module, function, "PG104", f"hook {name!r} is async and returns a coroutine; write def")


def _results(function: Function) -> Iterator[ast.AST]:
    """What a hook gives back, but for the None that the registrar's methods do."""
    parameters = {p.arg for p in function.args.args}
    for node in own_nodes(function):
        if isinstance(node, ast.Yield | ast.YieldFrom):
            yield node
        if isinstance(node, ast.Return) and node.value is not None:
            value = node.value
            nothing = isinstance(value, ast.Constant) and value.value is None
            called = value.func if isinstance(value, ast.Call) else None
            owner = called.value if isinstance(called, ast.Attribute) else None
            if not nothing and not (isinstance(owner, ast.Name) and owner.id in parameters):
                yield node


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions and classes inside it."""
    for node in ast.iter_child_nodes(function):
        yield node
        if not isinstance(node, Function | ast.ClassDef | ast.Lambda):
            yield from own_nodes(node)


def _version(lint: Lint, module: Module) -> None:
    known = lint.tree.has(module, "API")
    if known is None:
        return
    example = f"write API = {API}, the protocol version it was written for"
    if not known:
        lint.report(module, 1, "PG105", f"{module.name} has no API; {example}")
        return
    if "API" not in module.bindings:  # from a star import
        return
    value, node = lint.evaluator.scope(module).names.get("API"), module.bindings["API"]
    parts = value if isinstance(value, list | tuple) else [value]
    if isinstance(value, Symbol) or "API" in module.origins or not all(isinstance(part, PLAIN) for part in parts):
        return
    try:
        check_api(value, module.name)
    except IncompatibleError as error:
        lint.report(module, node, "PG106", str(error))
    except PluginError as error:
        lint.report(module, node, "PG105", str(error))


def run_hooks(lint: Lint) -> list[Call]:
    """The calls of the registrar, as far as they can be followed."""
    evaluator = lint.evaluator
    for module in lint.hook_modules:
        scope = evaluator.scope(module)
        for function in functions(module):
            if isinstance(function, ast.FunctionDef) and lint.is_hook(function, module) and function.args.args:
                found = Symbol(function, module, Scope(module))
                evaluator.run(found, [REGISTRAR], {}, function, scope)
    return evaluator.registered
