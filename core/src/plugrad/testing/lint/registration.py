"""Checks of what hooks register: the registrar's methods, their arguments, and the targets, which are not imported."""

from __future__ import annotations

import ast
import inspect
from importlib.util import find_spec
from typing import Any

from ...backend import API, __version__
from ...dtypes import parse
from ...errors import DTypeError, PluginError, suggest
from ...plugins.hookspecs import PROJECT
from ...plugins.registrar import IncompatibleError, Provider, Registrar
from . import facts
from .lint import Lint
from .source import Module
from .values import PLAIN, Call

STAND_IN: dict[str, Any] = {
    "name": "unknown",
    "prefix": "unknown",
    "op": "unknown",
    "backend": "unknown",
    "kind": "unknown",
    "target": "unknown.unknown:unknown",
    "order": 1,
    "api": API,
}
"""For arguments that cannot be known."""
TARGETS = ("target", "probe", "when")


def check(lint: Lint) -> None:
    """All of these, for each call of the registrar."""
    taken: dict[Any, Call] = {}
    for call in lint.registered:
        entry = _registered(lint, call)
        if entry is None or not call.sure:
            continue
        earlier = taken.setdefault(entry.key, call)
        if earlier is not call and entry.word != "kernel":
            where = f"line {earlier.node.lineno}"
            lint.report(call.module, call.node, "PG206", f"{entry} is registered in {where} already; drop one of them")


def bound(call: Call) -> dict[str, Any]:
    """The arguments by the names of the parameters; empty if they do not fit."""
    signature = facts.REGISTRAR.get(call.name)
    if signature is None or call.starred:
        return {}
    try:
        arguments = signature.bind(None, *call.args, **call.keywords).arguments
    except TypeError:
        return {}
    return {name: value for name, value in arguments.items() if name != "self"}


def _registered(lint: Lint, call: Call) -> Any:
    """Check one call; the entry that it makes, if all of it is known."""
    if call.name not in facts.REGISTRAR:
        listed = ", ".join(facts.REGISTRAR)
        hint = suggest(call.name, facts.REGISTRAR)
        message = f"the registrar has no method {call.name!r}{hint}; it has {listed}"
        lint.report(call.module, call.node, "PG201", message)
        return None
    signature = facts.REGISTRAR[call.name]
    written = f"registrar.{call.name}{_without_self(signature)}"
    for name in call.keywords:
        if name not in signature.parameters:
            hint = suggest(name, signature.parameters)
            lint.report(call.module, call.node, "PG202", f"registrar.{call.name} has no {name!r}{hint}: {written}")
            return None
    arguments = bound(call)
    if call.starred:
        return None
    if not arguments:
        try:
            signature.bind(None, *call.args, **call.keywords)
        except TypeError as error:
            lint.report(call.module, call.node, "PG202", f"registrar.{call.name}: {error}: {written}")
        return None
    known = {name: value for name, value in arguments.items() if _is_known(value)}
    if not _accepted(lint, call, arguments, known):
        return None
    for name in TARGETS:
        if isinstance(known.get(name), str):
            _target(lint, call, str(known[name]))
    if len(known) < len(arguments):
        return None
    return _entries(call.name, known)[-1]


def _is_known(value: Any) -> bool:
    parts = value if isinstance(value, list | tuple) else [value]
    return all(isinstance(part, PLAIN) for part in parts)


def _without_self(signature: inspect.Signature) -> str:
    shown = signature.replace(parameters=[p for n, p in signature.parameters.items() if n != "self"])
    return str(shown.replace(return_annotation=inspect.Signature.empty)).replace("'", "")


def _entries(method: str, arguments: dict[str, Any]) -> list[Any]:
    """What the registrar itself makes of a call. It imports no target."""
    registrar = Registrar(Provider("checked", __version__, "checked"))
    getattr(registrar, method)(**arguments)
    return registrar.entries


def _accepted(lint: Lint, call: Call, arguments: dict[str, Any], known: dict[str, Any]) -> bool:
    signature = facts.REGISTRAR[call.name]
    given = dict(known)
    for name in arguments.keys() - known.keys():
        if signature.parameters[name].default is inspect.Parameter.empty:
            given[name] = "unknown" if (call.name, name) == ("ops", "target") else STAND_IN.get(name, "unknown")
    try:
        if isinstance(given.get("dtypes"), str):
            parse(given["dtypes"])
        _entries(call.name, given)
    except DTypeError:
        wrong = facts.wrong_dtypes(str(given["dtypes"]))
        lint.report(call.module, call.node, "PG407", f"{wrong}; use names such as 'f4 f8' or groups such as 'float'")
        return False
    except IncompatibleError as error:
        lint.report(call.module, call.node, "PG106", str(error))
        return False
    except PluginError as error:
        message = str(error).replace(" of checked " + __version__, "")
        lint.report(call.module, call.node, "PG203", message)
        return False
    except TypeError as error:
        lint.report(call.module, call.node, "PG202", f"registrar.{call.name}: {error}")
        return False
    return True


def _target(lint: Lint, call: Call, target: str) -> None:
    """Whether a target is there: in the tree, or at least its package in this environment."""
    name, _, attribute = target.partition(":")
    top = name.partition(".")[0]
    if lint.tree.exists(name):
        module = lint.tree.modules.get(name)
        if module is not None and attribute:
            _attribute(lint, call, target, module, attribute)
        return
    if top not in lint.tree.packages:
        lonely = not lint.target.described and top != PROJECT
        if lonely or _is_importable(top):
            return
    hint = suggest(name, [*lint.tree.modules, *lint.tree.compiled])
    lint.report(call.module, place(call, target), "PG204", f"target {target!r}: there is no module {name!r}{hint}")


def _attribute(lint: Lint, call: Call, target: str, module: Module, attribute: str) -> None:
    first = attribute.partition(".")[0]
    if lint.tree.has(module, first) is False:
        hint = suggest(first, lint.tree.names(module))
        message = f"target {target!r}: {module.name} does not define {first!r}{hint}"
        lint.report(call.module, place(call, target), "PG205", message)


def place(call: Call, text: str) -> ast.AST:
    """The argument that says this, or the call."""
    arguments = [*call.node.args, *[k.value for k in call.node.keywords]]
    return next((a for a in arguments if isinstance(a, ast.Constant) and a.value == text), call.node)


def _is_importable(name: str) -> bool:
    """Whether this environment has a package of that name; it is not imported."""
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False
