"""Evaluates what can be known without running anything: constants, tables, loops over them, small functions.

Whatever cannot be known is a ``Symbol``. Calls of the registrar and of plugrad are noted as they are met.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from .known import LOOPS, builtin, iterated, method
from .source import Function, Module, Tree, bound_names, is_for_types, statements
from .values import PLAIN, REGISTRAR, Call, Entry, Method, Scope, Symbol, Table, Value

DEPTH, STEPS = 16, 200_000


class _Return(Exception):
    def __init__(self, value: Value) -> None:
        self.value = value


class _Skip(Exception):
    """The rest of a loop's body does not run."""


class Evaluator:
    """Evaluates expressions of a tree. ``registered`` and ``made`` are the calls of the registrar and of plugrad;
    ``lost`` is whether something that is not followed got the registrar, and may have called it.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.registered: list[Call] = []
        self.made: list[Call] = []
        self.lost = False
        self._scopes: dict[str, Scope] = {}
        self._classes: dict[ast.AST, Scope] = {}
        self._depth = self._branches = self._steps = 0

    # -- names

    def scope(self, module: Module) -> Scope:
        """The names of a module, which is evaluated once."""
        if module.name not in self._scopes:
            self._scopes[module.name] = scope = Scope(module)
            kept, self._branches = self._branches, 0
            self._body(module.tree.body, scope)
            self._branches = kept
        return self._scopes[module.name]

    def class_scope(self, node: ast.ClassDef, scope: Scope) -> Scope:
        """The names that a class body binds."""
        if node not in self._classes:
            own = frozenset(n for s in statements(node.body) for n in bound_names(s))
            self._classes[node] = inner = Scope(scope.module, {}, own, scope)
            self._body(node.body, inner)
        return self._classes[node]

    def member(self, found: Symbol, name: str, passed: tuple[ast.AST, ...] = ()) -> Value:
        """A name of a class or of one of its bases; None if it has none, a Symbol if that cannot be told. ``passed``
        are the classes on the way here.
        """
        assert isinstance(found.node, ast.ClassDef)
        scope = self.class_scope(found.node, found.scope)
        if name in scope.names:
            return scope.names[name]
        if name in scope.hidden:
            return Symbol(found.node, found.module, scope)
        for base in found.node.bases:
            one = self.value(base, found.scope)
            if isinstance(one, Symbol) and isinstance(one.node, ast.ClassDef):
                passed = (*passed, found.node)
                inherited = None if one.node in passed else self.member(one, name, passed)
                if inherited is not None:
                    return inherited
            elif isinstance(one, Symbol) and not one.full.startswith("plugrad."):
                return Symbol(base, found.module, found.scope)
        return None

    def look_up(self, full: str, node: ast.AST, scope: Scope) -> Value:
        """What a full name stands for."""
        at = self.tree.split(full)
        if at is None:
            return Symbol(node, scope.module, scope, full)
        module, rest = at
        if not rest:
            return Symbol(module.tree, module, scope, full)
        value: Value = self.scope(module).names.get(rest[0])
        if value is None and rest[0] not in self.scope(module).names:
            return Symbol(node, scope.module, scope, full)
        for name in rest[1:]:
            value = self._attribute(value, name, node, scope)
        return value

    def _name(self, node: ast.Name, scope: Scope) -> Value:
        at: Scope | None = scope
        while at is not None:
            if node.id in at.names:
                return at.names[node.id]
            if node.id in at.hidden:
                return Symbol(node, scope.module, scope)
            at = at.outer
        own = self.scope(scope.module)
        if node.id in own.names:
            return own.names[node.id]
        return self.look_up(self.tree.full(node, scope.module), node, scope)

    def _attribute(self, base: Value, name: str, node: ast.AST, scope: Scope) -> Value:
        if base is REGISTRAR:
            return Method(name)
        if isinstance(base, Symbol) and isinstance(base.node, ast.ClassDef):
            found = self.member(base, name)
            return Symbol(node, scope.module, scope) if found is None else found
        outside = isinstance(base, Symbol) and base.full and self.tree.split(base.full) is None
        if (
            isinstance(base, Symbol)
            and not isinstance(base.node, ast.Call)
            and (outside or isinstance(base.node, ast.Module))
        ):
            return self.look_up(self.tree.origin(f"{base.full}.{name}"), node, scope)
        return Symbol(node, scope.module, scope)

    # -- expressions

    def value(self, node: ast.expr, scope: Scope) -> Value:
        """The value of an expression, or a Symbol."""
        self._steps += 1
        if self._steps > STEPS or self._depth > DEPTH * 4:
            return Symbol(node, scope.module, scope)
        self._depth += 1
        try:
            return self._value(node, scope)
        finally:
            self._depth -= 1

    def _value(self, node: ast.expr, scope: Scope) -> Value:
        unknown = Symbol(node, scope.module, scope)
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return self._name(node, scope)
            case ast.Attribute():
                return self._attribute(self.value(node.value, scope), node.attr, node, scope)
            case ast.Tuple() | ast.List() | ast.Set():
                found = self._elements(node.elts, scope)
                return unknown if found is None else tuple(found) if isinstance(node, ast.Tuple) else found
            case ast.Dict():
                return self._display(node, scope)
            case ast.JoinedStr():
                return self._text(node, scope) or unknown
            case ast.BinOp():
                return self._binary(node, self.value(node.left, scope), self.value(node.right, scope), unknown)
            case ast.UnaryOp(op=ast.USub()):
                number = self.value(node.operand, scope)
                return -number if isinstance(number, int | float) else unknown
            case ast.IfExp():
                chosen = self.value(node.test, scope)
                if isinstance(chosen, PLAIN):
                    return self.value(node.body if chosen else node.orelse, scope)
                self.value(node.body, scope), self.value(node.orelse, scope)
            case ast.Yield(value=ast.expr() as given) | ast.YieldFrom(value=given):
                self.value(given, scope)
            case ast.Subscript():
                return self._item(self.value(node.value, scope), self.value(node.slice, scope), unknown)
            case ast.Compare(ops=[ast.Eq() | ast.NotEq() as op], comparators=[right]):
                one, two = self.value(node.left, scope), self.value(right, scope)
                if isinstance(one, PLAIN) and isinstance(two, PLAIN):
                    return (one == two) is isinstance(op, ast.Eq)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                return self._comprehension(node, scope, unknown)
            case ast.Call():
                return self._call(node, scope)
            case ast.NamedExpr():
                scope.names[node.target.id] = made = self.value(node.value, scope)
                return made
        return unknown

    def _elements(self, nodes: list[ast.expr], scope: Scope) -> list[Value] | None:
        """The elements of a display; None where a starred one is unknown."""
        found: list[Value] = []
        known = True
        for node in nodes:
            if isinstance(node, ast.Starred):
                more = iterated(self.value(node.value, scope))
                known = known and more is not None
                found += more or []
            else:
                found.append(self.value(node, scope))
        return found if known else None

    def _display(self, node: ast.Dict, scope: Scope) -> Table:
        table, seen = Table(), set[Any]()
        for key, item in zip(node.keys, node.values, strict=True):
            if key is None:
                table = table.merged(self.value(item, scope))
                continue
            entry = Entry(self.value(key, scope), self.value(item, scope), key, scope.module)
            known = isinstance(entry.key, PLAIN)
            if known and entry.key in seen:
                table.twice.append(entry)
            table.entries.append(entry)
            table.complete = table.complete and known
            seen |= {entry.key} if known else set()
        return table

    def _text(self, node: ast.JoinedStr, scope: Scope) -> str:
        parts = []
        for part in node.values:
            inner = part.value if isinstance(part, ast.FormattedValue) else part
            value = self.value(inner, scope)
            if not isinstance(value, PLAIN) or (isinstance(part, ast.FormattedValue) and part.format_spec):
                return ""
            parts.append(str(value))
        return "".join(parts)

    def _binary(self, node: ast.BinOp, left: Value, right: Value, unknown: Symbol) -> Value:
        if isinstance(left, Table) and isinstance(node.op, ast.BitOr):
            return left.merged(right)
        alike = type(left) is type(right) and isinstance(left, str | list | tuple | int)
        if alike and isinstance(node.op, ast.Add):
            return left + right if isinstance(left, int) or len(left) + len(right) <= LOOPS * 10 else unknown
        return unknown

    def _item(self, base: Value, index: Value, unknown: Symbol) -> Value:
        if isinstance(base, Table) and isinstance(index, PLAIN):
            entry = base.items().get(index)
            return unknown if entry is None else entry.value
        if isinstance(base, list | tuple | str) and type(index) is int and -len(base) <= index < len(base):
            return base[index]
        return unknown

    def _comprehension(self, node: Any, scope: Scope, unknown: Symbol) -> Value:
        is_dict = isinstance(node, ast.DictComp)
        made: list[Any] = []
        known = True
        for inner, sure in self._rounds(node.generators, Scope(scope.module, {}, frozenset(), scope)):
            known = known and sure
            if is_dict:
                made.append(Entry(self.value(node.key, inner), self.value(node.value, inner), node.key, scope.module))
            else:
                made.append(self.value(node.elt, inner))
        if is_dict:
            known = known and all(isinstance(e.key, PLAIN) for e in made)
            return Table(made if known else [], known)
        return made if known else unknown

    def _rounds(self, generators: list[ast.comprehension], scope: Scope) -> Iterator[tuple[Scope, bool]]:
        """The scopes in which the element of a comprehension is evaluated, and whether all is known there."""
        if not generators:
            yield scope, True
            return
        first, *rest = generators
        items = iterated(self.value(first.iter, scope))
        for item in items if items is not None else [None]:
            inner = Scope(scope.module, {}, frozenset(), scope)
            self._bind(first.target, item if items is not None else Symbol(first.iter, scope.module, scope), inner)
            tests = [self.value(test, inner) for test in first.ifs]
            if any(isinstance(test, PLAIN) and not test for test in tests):
                continue
            certain = items is not None and all(isinstance(test, PLAIN) for test in tests)
            for deeper, sure in self._rounds(rest, inner):
                yield deeper, certain and sure

    # -- calls

    def _call(self, node: ast.Call, scope: Scope) -> Value:
        if isinstance(node.func, ast.Attribute):
            base = self.value(node.func.value, scope)
            given = [self.value(a, scope) for a in node.args] if isinstance(base, Table | list | str) else []
            done = method(node, node.func.attr, base, given, Symbol(node, scope.module, scope))
            if done is not None:
                return done
            function = self._attribute(base, node.func.attr, node.func, scope)
        else:
            function = self.value(node.func, scope)
        args = [self.value(a.value if isinstance(a, ast.Starred) else a, scope) for a in node.args]
        keywords = {k.arg: self.value(k.value, scope) for k in node.keywords if k.arg}
        loose = [k.value for k in node.keywords if k.arg is None]
        for extra in [self.value(item, scope) for item in loose]:
            if isinstance(extra, Table) and extra.complete and all(isinstance(k, str) for k in extra.items()):
                keywords |= {str(k): e.value for k, e in extra.items().items()}
                loose = loose[1:]
        starred = bool(loose) or any(isinstance(a, ast.Starred) for a in node.args)
        if isinstance(function, Method):
            sure = not self._branches
            self.registered.append(Call(function.name, node, scope.module, args, keywords, starred, sure))
            return None
        if not isinstance(function, Symbol):
            return Symbol(node, scope.module, scope)
        if isinstance(function.node, ast.FunctionDef | ast.Lambda) and not starred:
            return self.run(function, args, keywords, node, scope)
        self.lost = self.lost or any(v is REGISTRAR or isinstance(v, Method) for v in (*args, *keywords.values()))
        made = Symbol(node, scope.module, scope, function.full, args, keywords, starred)
        if function.full.startswith("plugrad."):
            self.made.append(Call(function.full, node, scope.module, args, keywords, starred, not self._branches))
        if function.full == "getattr" and len(args) == 2 and isinstance(args[1], str):
            return self._attribute(args[0], args[1], node, scope)
        return builtin(function.full, node, made)

    def run(
        self, function: Symbol, args: list[Value], keywords: dict[str, Value], node: ast.AST, scope: Scope
    ) -> Value:
        """What a function of the tree returns, if that can be followed."""
        definition = function.node
        assert isinstance(definition, ast.FunctionDef | ast.Lambda)
        unknown = Symbol(node, scope.module, scope)
        body: list[ast.stmt]
        body = [ast.Return(definition.body)] if isinstance(definition, ast.Lambda) else definition.body
        own = frozenset(n for s in statements(body) for n in bound_names(s))
        a = definition.args
        names = [p.arg for p in (*a.posonlyargs, *a.args)]
        every = {*names, *[p.arg for p in a.kwonlyargs], *[p.arg for p in (a.vararg, a.kwarg) if p]}
        inner = Scope(function.module, {}, own | every, function.scope)
        given = [*zip(names, args, strict=False), *[(k, v) for k, v in keywords.items() if k in every]]
        defaults = [*zip(names[::-1], a.defaults[::-1], strict=False)]
        defaults += [(p.arg, d) for p, d in zip(a.kwonlyargs, a.kw_defaults, strict=True) if d is not None]
        inner.names |= {name: self.value(default, function.scope) for name, default in defaults}
        inner.names |= dict(given)
        if self._depth > DEPTH * 3:
            return unknown
        self._depth += 4
        kept, self._branches = self._branches, self._branches
        try:
            self._body(body, inner)
        except _Return as returned:
            return returned.value
        finally:
            self._depth -= 4
            self._branches = kept
        return unknown

    # -- statements

    def _body(self, body: list[ast.stmt], scope: Scope) -> None:
        for node in body:
            self._statement(node, scope)

    def _maybe(self, body: list[ast.stmt], scope: Scope) -> None:
        """A body that may not run."""
        self._branches += 1
        try:
            self._body(body, scope)
        finally:
            self._branches -= 1

    def _statement(self, node: ast.stmt, scope: Scope) -> None:
        match node:
            case ast.Assign():
                value = self.value(node.value, scope)
                for target in node.targets:
                    self._bind(target, value, scope)
            case ast.AnnAssign(value=ast.expr() as right):
                self._bind(node.target, self.value(right, scope), scope)
            case ast.AugAssign(target=ast.Name(id=name) as target):
                left = self._name(ast.Name(name, ast.Load()), scope)
                right = self.value(node.value, scope)
                whole = ast.copy_location(ast.BinOp(target, node.op, node.value), node)
                scope.names[name] = self._binary(whole, left, right, Symbol(node, scope.module, scope))
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                full = f"{scope.module.name}.{node.name}" if scope.outer is None else ""
                scope.names[node.name] = Symbol(node, scope.module, scope, full)
            case ast.Import() | ast.ImportFrom():
                for name in bound_names(node):
                    if scope.outer is not None and name in scope.module.origins:
                        full = self.tree.origin(scope.module.origins[name])
                        scope.names[name] = self.look_up(full, node, scope)
            case ast.Expr():
                self.value(node.value, scope)
            case ast.Return():
                value = self.value(node.value, scope) if node.value else None
                raise _Return(Symbol(node, scope.module, scope) if self._branches else value)
            case ast.Continue() | ast.Break():
                raise _Skip
            case ast.For():
                self._loop(node, scope)
            case ast.If():
                self._choice(node, scope)
            case ast.Match():
                self.value(node.subject, scope)
                self._one_of([case.body for case in node.cases], node, scope)
            case ast.With():
                self._body(node.body, scope)
            case ast.Try():
                for block in (node.body, *[h.body for h in node.handlers], node.orelse, node.finalbody):
                    self._maybe_returning(block, scope)
            case ast.While():
                self._maybe_returning(node.body, scope)

    def _maybe_returning(self, body: list[ast.stmt], scope: Scope) -> None:
        """A body that may not run, so that a return in it ends only it; what it returns is unknown then."""
        try:
            self._maybe(body, scope)
        except (_Return, _Skip):
            self._branches += 1  # until the function ends, whatever follows may not run

    def _loop(self, node: ast.For, scope: Scope) -> None:
        items = iterated(self.value(node.iter, scope))
        if items is None:
            self._bind(node.target, Symbol(node.iter, scope.module, scope), scope)
            self._maybe_returning(node.body, scope)
            return
        for item in items:
            self._bind(node.target, item, scope)
            try:
                self._body(node.body, scope)
            except _Skip:
                continue

    def _choice(self, node: ast.If, scope: Scope) -> None:
        if is_for_types(node):
            return self._body(node.orelse, scope)
        chosen = self.value(node.test, scope)
        if isinstance(chosen, PLAIN):
            return self._body(node.body if chosen else node.orelse, scope)
        return self._one_of([node.body, node.orelse], node, scope)

    def _one_of(self, bodies: list[list[ast.stmt]], node: ast.stmt, scope: Scope) -> None:
        """Bodies of which at most one runs: what they bind, definitions apart, is unknown then."""
        before = dict(scope.names)
        for body in bodies:
            self._maybe_returning(body, scope)
        for name in scope.names:
            if scope.names[name] is not before.get(name) and not _is_definition(scope.names[name]):
                scope.names[name] = Symbol(node, scope.module, scope)

    def _bind(self, target: ast.expr, value: Value, scope: Scope) -> None:
        if isinstance(target, ast.Name):
            scope.names[target.id] = value
        elif isinstance(target, ast.Tuple | ast.List):
            parts = iterated(value)
            fits = parts is not None and len(parts) == len(target.elts)
            for i, inner in enumerate(target.elts):
                plain = not isinstance(inner, ast.Starred)
                part = parts[i] if parts is not None and fits and plain else Symbol(target, scope.module, scope)
                self._bind(inner.value if isinstance(inner, ast.Starred) else inner, part, scope)
        elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            table, key = self._name(target.value, scope), self.value(target.slice, scope)
            if isinstance(table, Table):
                table.entries.append(Entry(key, value, target.slice, scope.module))
                table.complete = table.complete and isinstance(key, PLAIN)


def _is_definition(value: Value) -> bool:
    return isinstance(value, Symbol) and isinstance(value.node, Function | ast.ClassDef)
