"""The operations that the sources declare: classes of ``Op`` and calls of it, with their rules."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field

from ...op import Op, elementwise
from . import facts, signatures
from .lint import Lint
from .source import Function, Module
from .values import Symbol, Value


@dataclass(eq=False)
class Rule:
    """A rule, and where it stands. ``method``: its first parameter is ``self``."""

    value: Value
    module: Module
    node: ast.AST
    method: bool


@dataclass(eq=False)
class Declared:
    """An op in the sources. ``closed``: all its rules are known; ``made``: something calls its class by name."""

    name: str
    label: str
    module: Module
    node: ast.AST
    rules: dict[str, Rule] = field(default_factory=dict)
    closed: bool = True
    signatures: dict[str, inspect.Signature] = field(default_factory=dict)
    made: bool = True

    @property
    def calls(self) -> tuple[facts.Wanted, ...]:
        """How its kernels are called, as far as the rules tell."""
        told = [self.signatures[name] for name in ("spec", "decompose") if name in self.signatures]
        partials = self.rules.get("partials")
        count = len(partials.value) if partials and isinstance(partials.value, list | tuple) else None
        return facts.by_rules(told, count) if self.closed else ()


def declared_ops(lint: Lint) -> list[Declared]:
    """Every op of the sources; its name is empty where it cannot be known."""
    return [*_classes(lint), *_calls(lint)]


def _classes(lint: Lint) -> Iterator[Declared]:
    parents = {name for _, _, found in lint.classes() for name in lint.bases(found)}
    called = {
        lint.tree.full(node.func, module)
        for module in lint.tree.sources()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
    }
    for module, node, found in lint.classes():
        if not lint.derives(found, Op):
            continue
        op = Declared("", node.name, module, node, closed=lint.is_closed(found, Op))
        for name in facts.RULES:
            value = lint.evaluator.member(found, name)
            if value is not None:
                op.rules[name] = _rule(lint, found, name, value)
        name = op.rules["name"].value if "name" in op.rules else ""
        op.name = name if isinstance(name, str) else ""
        if not op.name and found.full in parents:
            op.label = ""  # a base of others
        op.node = op.rules["name"].node if op.name else node
        op.module = op.rules["name"].module if op.name else module
        op.made = found.full in called
        _sign(lint, op)
        yield op


def owner(lint: Lint, found: Symbol, name: str) -> Symbol:
    """The class, among this one and its bases in the tree, that has a member."""
    assert isinstance(found.node, ast.ClassDef)
    scope = lint.evaluator.class_scope(found.node, found.scope)
    if name in scope.names:
        return found
    for base in found.node.bases:
        one = lint.evaluator.value(base, found.scope)
        if isinstance(one, Symbol) and isinstance(one.node, ast.ClassDef) and lint.evaluator.member(one, name):
            return owner(lint, one, name)
    return found


def binding(node: ast.ClassDef, name: str) -> ast.AST:
    """The statement of a class body that binds a name, or the class."""
    for statement in node.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        if getattr(statement, "name", None) == name or any(isinstance(t, ast.Name) and t.id == name for t in targets):
            return statement
    return node


def _rule(lint: Lint, found: Symbol, name: str, value: Value) -> Rule:
    home = owner(lint, found, name)
    assert isinstance(home.node, ast.ClassDef)
    static = False
    if isinstance(value, Symbol):
        static = any(ast.unparse(d) == "staticmethod" for d in getattr(value.node, "decorator_list", []))
        if value.full == "staticmethod" and value.args and isinstance(value.node, ast.Call):
            value, static = value.args[0], True
    return Rule(value, home.module, binding(home.node, name), not static)


def _calls(lint: Lint) -> Iterator[Declared]:
    """``Op("mine.cube", ...)`` at the top of a module."""
    for module in lint.tree.sources():
        lint.evaluator.scope(module)
    seen: set[tuple[int, str]] = set()
    for call in list(lint.evaluator.made):
        made = facts.named(call.name)
        if made not in (Op, elementwise):
            continue
        given = call.args[0] if call.args else call.keywords.get("name", "")
        name = given if isinstance(given, str) else ""
        if (id(call.node), name) in seen:
            continue
        seen.add((id(call.node), name))
        op = Declared(name, name or "an op", call.module, call.node, closed=not call.starred)
        for word, value in call.keywords.items():
            node = next((k.value for k in call.node.keywords if k.arg == word), call.node)
            op.rules[word] = Rule(value, call.module, node, False)
        _sign(lint, op)
        yield op


def _sign(lint: Lint, op: Declared) -> None:
    for name, rule in op.rules.items():
        value = rule.value
        if isinstance(value, Symbol) and isinstance(value.node, Function | ast.Lambda):
            found = signatures.of(value, lint.evaluator, rule.method)
            if found is not None:
                op.signatures[name] = found
