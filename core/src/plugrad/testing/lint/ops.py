"""Checks of operations: spelling, type and signature of the rules, their agreement, and the prefix of the name."""

from __future__ import annotations

import ast
import difflib
import inspect
from typing import Any

from ...errors import suggest
from ...op import Op
from . import facts
from .backends import CLOSE, defined, used
from .facts import positional
from .lint import Lint
from .opsource import Declared, Rule, declared_ops
from .registration import bound
from .values import Symbol, Table

POSITIONS = ("saves", "linear", "multilinear", "residuals")
"""Rules that are tuples of positions."""
FLAGS = ("elementwise", "boolean", "alias", "opaque")


def check(lint: Lint) -> None:
    """All of these, for each op of the sources."""
    prefixes = registered_prefixes(lint)
    for op in declared_ops(lint):
        _spelling(lint, op)
        for name, rule in op.rules.items():
            _type(lint, op, name, rule)
        _signatures(lint, op)
        _agreement(lint, op)
        if op.name:
            _name(lint, op, prefixes)


def registered_prefixes(lint: Lint) -> set[str] | None:
    """The prefixes that ``plugrad_ops`` registers; None if some are unknown, or no hook was seen."""
    found = [bound(call).get("prefix") for call in lint.registered if call.name == "ops"]
    known = found and all(isinstance(p, str) for p in found) and not lint.evaluator.lost
    return {str(p) for p in found} if known else None


def _spelling(lint: Lint, op: Declared) -> None:
    for name, rule in op.rules.items():
        if not hasattr(Op, name):
            message = f"{op.label}: there is no rule {name!r}{suggest(name, facts.RULES)}"
            lint.report(rule.module, rule.node, "PG601", f"{message}; the rules are those of plugrad.Op")
    for module, node, found in lint.classes():
        if not lint.derives(found, Op) or node.name != op.label:
            continue
        read = used(module)
        for name, statement in defined(node).items():
            close = difflib.get_close_matches(name, facts.RULES, 1, CLOSE)
            if close and not hasattr(Op, name) and name not in read:
                message = f"{node.name}: {name!r} is no rule of an op{suggest(name, facts.RULES)}"
                lint.report(module, statement, "PG601", f"{message}; rename it, or begin its name with _")


def _wrong(name: str, value: Any) -> str:
    """What a rule must be, where it is something else; empty if it is right or unknown."""
    if value is None or isinstance(value, Symbol):
        return ""
    sequence = isinstance(value, list | tuple)
    numbers = sequence and all(isinstance(v, Symbol) or type(v) is int for v in value)
    if name in POSITIONS and not (isinstance(value, tuple) and numbers):
        return "a tuple of positions of operands, such as (0,)"
    if name == "save_output" and not (type(value) is bool or (isinstance(value, tuple) and numbers)):
        return "True, False or a tuple of positions of results, such as (1,)"
    if name == "together" and value != "all" and not (isinstance(value, tuple) and numbers):
        return "'all' or a tuple of positions of operands, such as (0, 1)"
    if name == "partials" and not sequence:
        return "a sequence of functions, one an operand, None where the derivative is zero"
    if name == "key" and type(value) is not int:
        return "the position of an operand"
    if name in FLAGS and type(value) is not bool:
        return "True or False"
    if name in ("name", "dtypes") and not isinstance(value, str):
        return "a string"
    plain = not sequence and not isinstance(value, Table)
    return "a function" if name in (*facts.CALLED, "decompose", "run", "spec") and plain else ""


def _type(lint: Lint, op: Declared, name: str, rule: Rule) -> None:
    value = rule.value
    if isinstance(value, Symbol) and name == "partials" and isinstance(value.node, ast.Lambda):
        wrong = "a sequence of functions, one an operand; write (f,) for one"
    else:
        wrong = _wrong(name, value)
    if wrong:
        shown = ast.unparse(value.node) if isinstance(value, Symbol) else repr(value)
        lint.report(rule.module, rule.node, "PG605", f"{op.label}: {name} is {shown}; it must be {wrong}")
    if name == "dtypes" and isinstance(value, str) and (unknown := facts.wrong_dtypes(value)):
        remedy = "use names such as 'f4 f8' or groups such as 'float'"
        lint.report(rule.module, rule.node, "PG407", f"{op.label}: {unknown}; {remedy}")


def _attributes(op: Declared) -> tuple[set[str], set[str]] | None:
    """The attributes that calls must give, and all of them; None if the rules do not tell."""
    told = [op.signatures[name] for name in ("spec", "decompose") if name in op.signatures]
    full = [s for s in told if not any(p.kind is p.VAR_KEYWORD for p in s.parameters.values())]
    if not full or not op.closed:
        return None
    keywords = [p for p in full[0].parameters.values() if p.kind is p.KEYWORD_ONLY]
    return {p.name for p in keywords if p.default is p.empty}, {p.name for p in keywords}


def _signatures(lint: Lint, op: Declared) -> None:
    """What rules are called with, before the attributes; and the attributes."""
    attributes = _attributes(op)
    for name, words in facts.CALLED.items():
        given = op.signatures.get(name)
        if given is None:
            continue
        rule, parameters = op.rules[name], list(given.parameters.values())
        plain = positional(parameters)
        least = sum(p.default is p.empty for p in plain)
        most = None if any(p.kind is p.VAR_POSITIONAL for p in parameters) else len(plain)
        written = f"{name}({', '.join([*(['self'] if rule.method else []), *words, '**attrs'])})"
        if least > len(words) or (most is not None and most < len(words)):
            taken = f"({', '.join(str(p.replace(annotation=p.empty)) for p in parameters)})"
            message = f"{op.label}: {name} takes {taken}, but is called as {written}"
            lint.report(rule.module, rule.node, "PG602", f"{message}; give it these parameters")
        elif attributes is not None:
            _takes(lint, op, name, parameters, attributes)


def _takes(
    lint: Lint, op: Declared, name: str, parameters: list[inspect.Parameter], attributes: tuple[set[str], set[str]]
) -> None:
    """Whether a rule takes the attributes of its op."""
    rule, (needed, known) = op.rules[name], attributes
    named = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    first = positional(parameters)[: len(facts.CALLED[name])]
    clash = {p.name for p in first if p.kind is p.POSITIONAL_OR_KEYWORD} & known
    for word in sorted(clash):
        message = f"{op.label}: {name} has a parameter {word!r} and the op an attribute of that name"
        lint.report(rule.module, rule.node, "PG603", f"{message}; put / after the parameters of the rule")
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        for word in sorted(needed - named - clash):
            message = f"{op.label}: {name} does not take the attribute {word!r} of spec and decompose"
            lint.report(rule.module, rule.node, "PG603", f"{message}; add it, or **attrs")
    for p in parameters:
        if p.kind is p.KEYWORD_ONLY and p.default is p.empty and p.name not in known:
            message = f"{op.label}: {name} asks for the attribute {p.name!r}, which spec and decompose have not"
            lint.report(rule.module, rule.node, "PG603", f"{message}{suggest(p.name, known)}; give all the same ones")


def _agreement(lint: Lint, op: Declared) -> None:
    """Operands and attributes of the shape rule, the decomposition and the partial derivatives."""
    spec, decompose = op.signatures.get("spec"), op.signatures.get("decompose")
    partials = op.rules.get("partials")
    if decompose is not None and partials and isinstance(partials.value, list | tuple):
        least, most = _operands(decompose)
        count = len(partials.value)
        if not least <= count <= most:
            message = f"{op.label}: there are {count} partials, but decompose takes {least} operands"
            lint.report(partials.module, partials.node, "PG603", f"{message}; give one an operand")
    if spec is None or decompose is None:
        return
    rule = op.rules["decompose"]
    (a, b), (c, d) = _operands(spec), _operands(decompose)
    if a > d or c > b:
        message = f"{op.label}: decompose takes {c} operands, but spec {a}; give both the same ones"
        lint.report(rule.module, rule.node, "PG603", message)
    for one, other, label, what in ((spec, decompose, "decompose", "spec"), (decompose, spec, "spec", "decompose")):
        has = {p.name for p in other.parameters.values() if p.kind is p.KEYWORD_ONLY}
        if any(p.kind is p.VAR_KEYWORD for p in other.parameters.values()):
            continue
        for p in one.parameters.values():
            if p.kind is p.KEYWORD_ONLY and p.default is p.empty and p.name not in has:
                at = op.rules[label]
                message = f"{op.label}: {label} does not take the attribute {p.name!r} of {what}{suggest(p.name, has)}"
                lint.report(at.module, at.node, "PG603", f"{message}; give both the same ones")


def _operands(given: inspect.Signature) -> tuple[int, float]:
    parameters = list(given.parameters.values())
    plain = positional(parameters)
    least = sum(p.default is p.empty for p in plain)
    return least, float("inf") if any(p.kind is p.VAR_POSITIONAL for p in parameters) else len(plain)


def _name(lint: Lint, op: Declared, prefixes: set[str] | None) -> None:
    prefix = op.name.rpartition(".")[0]
    if not prefix:
        example = f"{min(prefixes)}.{op.name}" if prefixes else f"mine.{op.name}"
        message = f"op {op.name!r} has no prefix, as only the core's have none; write {example!r}"
        lint.report(op.module, op.node, "PG604", message)
    elif prefixes is not None and not any(prefix == p or prefix.startswith(f"{p}.") for p in prefixes):
        listed = " or ".join(map(repr, sorted(prefixes)))
        message = f"op {op.name!r} is never found: the registered prefix is {listed}{suggest(prefix, prefixes)}"
        lint.report(op.module, op.node, "PG604", f"{message}; rename it, or register {prefix!r} in plugrad_ops")
