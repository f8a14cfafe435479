"""One run: the sources, their evaluation, the registrations of their hooks, and the findings so far."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from ...plugins.hookspecs import HOOKS
from . import facts
from .evaluate import Evaluator
from .finding import Finding
from .source import Function, Module, Tree
from .target import Target
from .values import Call, Symbol


class Lint:
    """What the checks share."""

    def __init__(self, target: Target) -> None:
        self.target, self.tree = target, target.tree
        self.evaluator = Evaluator(target.tree)
        self.findings: set[Finding] = set()
        self.registered: list[Call] = []
        """The calls of the registrar in all hooks, once they are followed."""

    def report(self, where: Module | Path, at: ast.AST | int, code: str, message: str) -> None:
        """Note a finding, unless it is about a file that is only read for the sake of others."""
        path = where.path if isinstance(where, Module) else where
        if within(path, self.tree) and not (isinstance(where, Module) and where.is_test):
            line = at if isinstance(at, int) else getattr(at, "lineno", 1)
            self.findings.add(Finding(shown(path), line, code, message))

    @cached_property
    def hook_modules(self) -> list[Module]:
        """The modules that the entry points name; where nothing does, those that look as if they had hooks."""
        named = [self.tree.modules.get(p.text.partition(":")[0].strip()) for p in self.target.entry_points.values()]
        found = [module for module in named if module is not None]
        if found or self.target.entry_points:
            return found
        return [
            m for m in self.tree.modules.values() if not m.is_test and any(self.is_hook(f, m) for f in functions(m))
        ]

    def is_hook(self, function: Function, module: Module) -> bool:
        """Whether a function is a hook, by its name or its mark."""
        return function.name in HOOKS or self.mark(function, module) is not None

    def mark(self, function: Function, module: Module) -> ast.expr | None:
        """The decorator that makes a function a hook."""
        for decorator in function.decorator_list:
            bare = decorator.func if isinstance(decorator, ast.Call) else decorator
            if self._is_marker(self.tree.full(bare, module)):
                return decorator
        return None

    def _is_marker(self, full: str) -> bool:
        from_plugrad = facts.named(full)
        if from_plugrad is not None and from_plugrad is facts.named("plugrad.hookimpl"):
            return True
        at = self.tree.split(full)
        if at is None or len(at[1]) != 1:
            return full.rpartition(".")[2] == "hookimpl" and not self.tree.exists(full.partition(".")[0])
        made = self.evaluator.scope(at[0]).names.get(at[1][0])
        return isinstance(made, Symbol) and made.full.endswith("HookimplMarker")

    def classes(self) -> Iterator[tuple[Module, ast.ClassDef, Symbol]]:
        """The classes at the top of the modules."""
        for module in self.tree.sources():
            for name, node in module.bindings.items():
                found = self.evaluator.scope(module).names.get(name)
                if isinstance(node, ast.ClassDef) and isinstance(found, Symbol) and found.node is node:
                    yield module, node, found

    def bases(self, found: Symbol, passed: tuple[ast.AST, ...] = ()) -> list[str]:
        """The full names of all bases of a class, as far as the tree goes. ``passed`` are classes on the way here."""
        assert isinstance(found.node, ast.ClassDef)
        passed = passed or (found.node,)
        names: list[str] = []
        for base in found.node.bases:
            one = self.evaluator.value(base, found.scope)
            if isinstance(one, Symbol):
                names.append(one.full)
                if isinstance(one.node, ast.ClassDef) and one.node not in passed:
                    names += self.bases(one, (*passed, one.node))
        return names

    def derives(self, found: Symbol, base: type) -> bool:
        """Whether a class has this base, directly or through classes of the tree."""
        return any(facts.named(name) is base for name in self.bases(found))

    def is_closed(self, found: Symbol, base: type) -> bool:
        """Whether all bases of a class are known: classes of the tree, or this one."""
        return all(self.tree.split(name) or facts.named(name) is base for name in self.bases(found))


def functions(module: Module) -> list[Function]:
    """The functions at the top of a module."""
    return [node for node in module.bindings.values() if isinstance(node, Function)]


def within(path: Path, tree: Tree) -> bool:
    """Whether a file is among those to report on."""
    return tree.focus is None or path.resolve() == tree.focus or tree.focus in path.resolve().parents


def shown(path: Path) -> str:
    """A path as it is printed: from the current folder where that is shorter."""
    near = os.path.relpath(path) if path.is_absolute() else str(path)
    return near if not near.startswith("..") else str(path)
