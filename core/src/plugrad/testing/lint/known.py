"""What Python's own functions and methods give for values that are known."""

from __future__ import annotations

import ast
from typing import Any

from .values import PLAIN, Entry, Symbol, Table, Value

LOOPS = 2_000
"""Sequences that are longer count as unknown."""
_ITERATIONS: dict[str, Any] = {"list": list, "tuple": tuple, "sorted": sorted, "set": list, "frozenset": list}
_TEXT: tuple[str, ...] = ("capitalize", "join", "lower", "removeprefix", "removesuffix")
_TEXT += ("replace", "split", "strip", "title", "upper")


def iterated(value: Value) -> list[Value] | None:
    """The elements to loop over, or None."""
    if isinstance(value, Table):
        return [e.key for e in value.items().values()] if value.complete else None
    return list(value) if isinstance(value, list | tuple | str) and len(value) <= LOOPS else None


def method(node: ast.Call, name: str, base: Value, args: list[Value], unknown: Symbol) -> Value:
    """Methods of tables, lists and strings; None for all else."""
    if not isinstance(base, Table | list | str):
        return None
    if isinstance(base, Table) and name in ("items", "keys", "values", "copy"):
        entries = list(base.items().values())
        if name == "copy":
            return Table([*base.entries], base.complete, [*base.twice])
        if not base.complete:
            return unknown
        return [{"items": (e.key, e.value), "keys": e.key, "values": e.value}[name] for e in entries]
    if isinstance(base, Table) and name == "update":
        merged = base.merged(args[0] if args else Table())
        base.entries, base.complete = merged.entries, merged.complete and not node.keywords
    elif isinstance(base, Table):
        base.complete = base.complete and name == "get"
    elif isinstance(base, list) and name in ("append", "extend") and args:
        base += [args[0]] if name == "append" else iterated(args[0]) or []
    elif isinstance(base, str) and name in _TEXT and not node.keywords:
        flat = [a for arg in args for a in (arg if isinstance(arg, list | tuple) else [arg])]
        if all(isinstance(a, PLAIN) for a in flat):
            try:
                return getattr(base, name)(*args)
            except (TypeError, ValueError, LookupError):
                return None
    return None


def builtin(name: str, node: ast.Call, made: Symbol) -> Value:
    """What a built-in function gives for known arguments; the call itself where that is unknown."""
    args, keywords = made.args, made.keywords
    lists = [iterated(a) for a in args]
    known = [items for items in lists if items is not None]
    if made.starred:
        return made
    if name == "dict" and len(args) < 2:
        entries = [Entry(key, value, node, made.module) for key, value in keywords.items()]
        if not args:
            return Table(entries)
        return args[0].merged(Table(entries)) if isinstance(args[0], Table) else made
    if name == "dict.fromkeys" and args and lists[0] is not None:
        value = args[1] if len(args) > 1 else None
        keys = all(isinstance(key, PLAIN) for key in lists[0])
        return Table([Entry(key, value, node.args[0], made.module) for key in lists[0]], keys)
    if name in _ITERATIONS and len(args) == 1 and lists[0] is not None:
        try:
            return _ITERATIONS[name](lists[0])
        except TypeError:
            return made
    if name in ("zip", "enumerate") and args and len(known) == len(args):
        return [*zip(*known, strict=False)] if name == "zip" else [*enumerate(known[0])]
    if name == "range" and args and all(type(a) is int for a in args):
        numbers = range(*args[:2], *[step for step in args[2:3] if step])
        return [*numbers] if len(numbers) <= LOOPS else made
    if name == "str" and len(args) == 1 and isinstance(args[0], PLAIN):
        return str(args[0])
    return made
