"""Signatures of functions that are only read: what they take, and what of a call does not fit."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

from ...errors import suggest
from .evaluate import Evaluator
from .facts import Wanted, positional, shown
from .source import Function
from .values import Symbol

KEEPING = ("numpy.errstate", "functools.cache", "functools.lru_cache", "functools.wraps", "staticmethod")
"""Decorators that leave a function's signature as it is."""
_EMPTY = inspect.Parameter.empty


def signature(arguments: ast.arguments, drop_first: bool = False) -> inspect.Signature:
    """What ``inspect.signature`` would say. Defaults are their text.

    >>> str(signature(ast.parse("lambda x, *, axis=0: x").body[0].value.args))
    "(x, *, axis='0')"
    """
    kinds = inspect.Parameter
    plain = [*arguments.posonlyargs, *arguments.args]
    first = len(arguments.posonlyargs)
    lacking = len(plain) - len(arguments.defaults)
    defaults = [*[_EMPTY] * lacking, *map(ast.unparse, arguments.defaults)]
    found = [
        kinds(p.arg, kinds.POSITIONAL_ONLY if i < first else kinds.POSITIONAL_OR_KEYWORD, default=default)
        for i, (p, default) in enumerate(zip(plain, defaults, strict=True))
    ]
    found = found[1:] if drop_first else found
    if arguments.vararg:
        found.append(kinds(arguments.vararg.arg, kinds.VAR_POSITIONAL))
    for p, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append(kinds(p.arg, kinds.KEYWORD_ONLY, default=_EMPTY if default is None else ast.unparse(default)))
    if arguments.kwarg:
        found.append(kinds(arguments.kwarg.arg, kinds.VAR_KEYWORD))
    return inspect.Signature(found)


def is_plain(found: Symbol, evaluator: Evaluator) -> bool:
    """Whether a function's decorators leave its signature as it is written."""
    if not isinstance(found.node, Function):
        return True
    names = []
    for decorator in found.node.decorator_list:
        value = evaluator.value(decorator, found.scope)
        names.append(value.full if isinstance(value, Symbol) else "")
    return all(name in KEEPING for name in names)


def of(found: Symbol, evaluator: Evaluator, drop_first: bool = False) -> inspect.Signature | None:
    """The signature of a function or lambda; None for all else, and where a decorator may change it."""
    if isinstance(found.node, Function | ast.Lambda) and is_plain(found, evaluator):
        return signature(found.node.args, drop_first)
    return None


def misfit(name: str, given: inspect.Signature, wanted: Wanted, before: int = 0) -> Iterator[tuple[str, str]]:
    """Codes and texts of what keeps a kernel of this signature from being called as its op wants.

    ``before`` counts what comes before the operands: ``out`` of a kernel that writes into given memory.
    """
    parameters = list(given.parameters.values())
    call, count = shown(name, wanted), wanted.operands + before
    plain, kinds = positional(parameters), {p.kind for p in parameters}
    called = f"it is called as {call}" + (" after out" if before else "")
    if len(plain) < count and inspect.Parameter.VAR_POSITIONAL not in kinds:
        yield "PG403", f"a kernel of {name!r} takes {_count(len(plain) - before)}, but {called}"
        return
    optional = wanted.attrs is not None and wanted.attrs | wanted.optional
    extra = [p for p in plain[count:] if p.default is p.empty]
    unknown = [p.name for p in extra if not optional or p.name not in optional]
    if wanted.attrs is not None and unknown and not any(suggest(word, optional or ()) for word in unknown):
        yield "PG403", f"a kernel of {name!r} needs {_count(len(plain) - before)}, but {called}"
        return
    if wanted.attrs is None:
        return
    taken = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    taken |= {p.name for p in plain[count:] if p.kind is p.POSITIONAL_OR_KEYWORD}
    asked = [p for p in (*plain[count:], *parameters) if p.name in taken and p.default is p.empty]
    known = wanted.attrs | wanted.optional
    meant: set[str] = set()
    for word in dict.fromkeys(p.name for p in asked):
        if word not in known:
            hint = suggest(word, known - taken)
            meant |= {name for name in known - taken if f"{name!r}" in hint}
            yield "PG404", f"a kernel of {name!r} asks for {word!r}, which is no attribute of it{hint}; {called}"
    if inspect.Parameter.VAR_KEYWORD in kinds:
        clash = {p.name for p in plain[:count] if p.kind is p.POSITIONAL_OR_KEYWORD} & wanted.attrs
        missing = sorted(clash)
    else:
        missing = sorted(wanted.attrs - taken)
    for word in [word for word in missing if word not in meant]:
        if word == "device" and not wanted.operands:
            yield "PG405", f"a kernel of {name!r} makes values and lacks the keyword 'device'; {called}"
        else:
            yield "PG404", f"a kernel of {name!r} does not take the attribute {word!r} as a keyword; {called}"


def _count(n: int) -> str:
    return f"{max(n, 0)} operand{'' if n == 1 else 's'}"
