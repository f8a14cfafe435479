"""Checks of samples: that there are some, of everything that is registered, and of nothing else."""

from __future__ import annotations

import ast
from typing import NamedTuple

from ...errors import suggest
from ...op import OPS
from . import facts
from .lint import Lint
from .ops import registered_prefixes
from .opsource import declared_ops
from .registration import bound, place
from .source import Module
from .values import Call, Scope, Symbol


class Thing(NamedTuple):
    """Something that has samples, and where it is declared."""

    kind: str
    name: str
    module: Module
    node: ast.AST


def check(lint: Lint) -> None:
    """All of these."""
    components = [c for c in _components(lint) if c.kind in facts.SAMPLED]
    ops_call = next((call for call in lint.registered if call.name == "ops"), None)
    hooks = [call for call in lint.registered if call.name == "samples"]
    if not hooks:
        _none(lint, components, ops_call)
        return
    ops, all_ops = _ops(lint)
    things = [*components, *ops]
    calls, complete = _sampled(lint, hooks)
    sampled = {(kind, name) for kind, name, _ in calls}
    for thing in things if complete else ():
        if (thing.kind, thing.name) not in sampled:
            what = f"{thing.kind} {thing.name!r}"
            lint.report(thing.module, thing.node, "PG702", f"no sample calls {what}; add one to plugrad_samples")
    known = {(thing.kind, thing.name) for thing in things}
    open_kinds = {kind for kind in ("op", *facts.SAMPLED) if not _is_closed(lint, kind, all_ops)}
    for kind, name, call in calls:
        if (kind, name) not in known and kind not in open_kinds and not (kind == "op" and name in OPS):
            hint = suggest(name, [n for k, n in known if k == kind])
            message = f"this plugin registers no {kind} {name!r}{hint}; correct the name, or drop the sample"
            lint.report(call.module, _name_node(call), "PG703", message)


def _none(lint: Lint, components: list[Thing], ops_call: Call | None) -> None:
    """Nothing registers samples."""
    first = ops_call or next((c for c in components), None)
    if first is None or lint.evaluator.lost:
        return
    what = "ops" if ops_call else f"{first.kind}s"  # type: ignore[union-attr]
    example = "registrar.samples('package.samples:samples') in a hook plugrad_samples"
    message = f"the plugin registers {what} but no samples, so the kit cannot check them; add {example}"
    lint.report(first.module, first.node, "PG701", message)


def _components(lint: Lint) -> list[Thing]:
    found = []
    for call in lint.registered:
        arguments = bound(call) if call.name == "component" else {}
        kind, name = arguments.get("kind"), arguments.get("name")
        if isinstance(kind, str) and isinstance(name, str):
            found.append(Thing(kind, name, call.module, place(call, name)))
    return found


def _ops(lint: Lint) -> tuple[list[Thing], bool]:
    """The ops under the registered prefixes, and whether these are all."""
    prefixes = registered_prefixes(lint)
    declared = [op for op in declared_ops(lint) if op.label or op.name]
    uncertain = [op for op in declared if not op.made]
    complete = prefixes is not None and all(op.name for op in declared)
    mine = [op for op in declared if op.made and op.name.rpartition(".")[0] in (prefixes or ())]
    return [Thing("op", op.name, op.module, op.node) for op in mine], complete and not uncertain


def _is_closed(lint: Lint, kind: str, all_ops: bool) -> bool:
    """Whether all registered names of a kind are known."""
    if kind == "op":
        return all_ops
    for call in lint.registered:
        arguments = bound(call) if call.name == "component" else {}
        parts = (arguments.get("kind"), arguments.get("name"))
        if call.name == "component" and not all(isinstance(part, str) for part in parts):
            return False
    return bool(lint.registered) and not lint.evaluator.lost


def _sampled(lint: Lint, hooks: list[Call]) -> tuple[list[tuple[str, str, Call]], bool]:
    """The samples whose names can be read, and whether these are all."""
    complete, homes = True, set[str]()
    for hook in hooks:
        target = bound(hook).get("target")
        module = lint.tree.modules.get(str(target).partition(":")[0])
        function = lint.evaluator.scope(module).names.get(str(target).partition(":")[2]) if module else None
        if not isinstance(function, Symbol) or not isinstance(function.node, ast.FunctionDef) or module is None:
            complete = False
            continue
        homes.add(module.name)
        lint.evaluator.run(function, [], {}, function.node, Scope(module))
    made = [(kind, call) for call in lint.evaluator.made if (kind := _kind(call.name))]
    met = {id(call.node) for _, call in made}
    for module in lint.tree.modules.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and not module.is_test and _kind(lint.tree.full(node.func, module)):
                complete = complete and id(node) in met
    found = []
    for kind, call in made:
        name = call.args[0] if call.args else call.keywords.get("op" if kind == "op" else "name")
        own = call.keywords.get("kind", facts.LAYER_KIND) if kind == "layer" else kind
        if isinstance(name, str) and isinstance(own, str) and not call.module.is_test:
            found.append((own, name, call))
        else:
            complete = False
    return found, complete and bool(homes)


def _kind(full: str) -> str:
    made = facts.named(full)
    return next((kind for kind, sample in facts.SAMPLES.items() if made is sample), "")


def _name_node(call: Call) -> ast.AST:
    first = call.node.args[0] if call.node.args else call.node
    return first if isinstance(first, ast.Constant) else call.node
