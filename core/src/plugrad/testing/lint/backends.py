"""Checks of backends: the members they owe, their signatures and spellings, and the name they are registered under."""

from __future__ import annotations

import ast
import difflib

from ...backend import Backend
from ...errors import suggest
from . import facts, signatures
from .lint import Lint
from .opsource import binding, owner
from .registration import bound
from .source import Function, Module
from .values import Symbol

CLOSE = 0.8
"""From which likeness on a member is taken for a mistyped one of the contract."""


def check(lint: Lint) -> None:
    """All of these, for each class of backends."""
    found = [(module, node, one) for module, node, one in lint.classes() if lint.derives(one, Backend)]
    bases = {name for _, _, one in found for name in lint.bases(one)}
    for module, node, one in found:
        assigned = _assigned(node)
        if one.full not in bases and lint.is_closed(one, Backend):
            for name in [*facts.OWED, "kernels"]:
                has = name in assigned or lint.evaluator.member(one, name) is not None
                if not has and not (name == "kernels" and lint.evaluator.member(one, "into") is not None):
                    message = f"{node.name} lacks {name!r}, which a backend owes{_near(node, name)}"
                    lint.report(module, node, "PG501", f"{message}; see plugrad.backend.Backend")
        _members(lint, one, assigned)
    _registered(lint)


def _assigned(node: ast.ClassDef) -> set[str]:
    """The attributes that methods set on ``self``."""
    return {
        target.attr
        for target in ast.walk(node)
        if isinstance(target, ast.Attribute)
        and isinstance(target.ctx, ast.Store)
        and isinstance(target.value, ast.Name)
    }


def defined(node: ast.ClassDef) -> dict[str, ast.AST]:
    """The names that a class body binds at its top, public ones."""
    found: dict[str, ast.AST] = {}
    for statement in node.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        names = [getattr(statement, "name", None), *[t.id for t in targets if isinstance(t, ast.Name)]]
        found |= {name: statement for name in names if name and not name.startswith("_")}
    return found


def used(module: Module) -> set[str]:
    """The attributes that a module reads of ``self``, of ``super()`` and of what it binds itself."""
    owners = {"self", "cls", *module.bindings}
    reads = [n for n in ast.walk(module.tree) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load)]
    return {n.attr for n in reads if isinstance(n.value, ast.Call) or getattr(n.value, "id", "") in owners}


def _near(node: ast.ClassDef, name: str) -> str:
    close = difflib.get_close_matches(name, [word for word in defined(node) if word not in facts.MEMBERS], 1, CLOSE)
    return f" ({close[0]!r} is no member)" if close else ""


def _members(lint: Lint, found: Symbol, assigned: set[str]) -> None:
    assert isinstance(found.node, ast.ClassDef)
    scope = lint.evaluator.class_scope(found.node, found.scope)
    for name, statement in defined(found.node).items():
        value = scope.names.get(name)
        if name in facts.METHODS and isinstance(value, Symbol) and isinstance(value.node, Function):
            _method(lint, found, name, value)
        close = difflib.get_close_matches(name, facts.MEMBERS, 1, CLOSE)
        if close and name not in facts.MEMBERS and name not in used(found.module):
            message = f"{found.node.name}.{name} is no member of a backend{suggest(name, facts.MEMBERS)}"
            lint.report(found.module, statement, "PG504", f"{message}; rename it, or begin its name with _")
    dtypes = scope.names.get("dtypes")
    if isinstance(dtypes, str) and (wrong := facts.wrong_dtypes(dtypes)):
        remedy = "use names such as 'f4 f8' or groups such as 'float'"
        lint.report(found.module, binding(found.node, "dtypes"), "PG407", f"{found.node.name}: {wrong}; {remedy}")


def _method(lint: Lint, found: Symbol, name: str, value: Symbol) -> None:
    """The core calls methods by position."""
    static = any(ast.unparse(d) == "staticmethod" for d in getattr(value.node, "decorator_list", []))
    given = signatures.of(value, lint.evaluator, not static)
    if given is None:
        return
    wanted = [p for n, p in facts.METHODS[name].parameters.items() if n != "self"]
    try:
        given.bind(*[p.name for p in wanted])
    except TypeError as error:
        words = ", ".join(["self", *[p.name for p in wanted]])
        assert isinstance(found.node, ast.ClassDef)
        message = f"{found.node.name}.{name} is called with ({', '.join(p.name for p in wanted)}): {error}"
        lint.report(value.module, value.node, "PG502", f"{message}; write def {name}({words})")


def _registered(lint: Lint) -> None:
    """The name of the class that a backend's registration names."""
    for call in lint.registered:
        arguments = bound(call) if call.name == "backend" else {}
        registered, target = arguments.get("name"), arguments.get("target")
        if not isinstance(registered, str) or not isinstance(target, str):
            continue
        module, _, attribute = target.partition(":")
        found = lint.evaluator.look_up(
            lint.tree.origin(f"{module}.{attribute}"), call.node, lint.evaluator.scope(call.module)
        )
        if not (isinstance(found, Symbol) and isinstance(found.node, ast.ClassDef) and lint.derives(found, Backend)):
            continue
        name = lint.evaluator.member(found, "name")
        if isinstance(name, str) and name != registered and "name" not in _assigned(found.node):
            home = owner(lint, found, "name")
            assert isinstance(home.node, ast.ClassDef)
            message = (
                f"{found.node.name} is called {name!r}, but is registered as {registered!r}; the two must be equal"
            )
            lint.report(home.module, binding(home.node, "name"), "PG503", message)
