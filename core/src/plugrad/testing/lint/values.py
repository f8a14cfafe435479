"""What evaluation gives: Python's constants, lists and tuples, tables, and symbols for what is not known."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from .source import Module

Value: TypeAlias = Any
"""A Python constant, a list or tuple of values, a Table, or a Symbol."""
PLAIN = (str, int, float, bool, bytes, complex, type(None))
"""The types of constants."""


class Entry(NamedTuple):
    """An item of a table, and where its key stands."""

    key: Value
    value: Value
    node: ast.AST
    module: Module


@dataclass(eq=False)
class Table:
    """A dict. ``twice``: keys that one display has two times."""

    entries: list[Entry] = field(default_factory=list)
    complete: bool = True
    twice: list[Entry] = field(default_factory=list)

    def items(self) -> dict[Any, Entry]:
        """The last entry of each known key."""
        return {e.key: e for e in self.entries if isinstance(e.key, PLAIN)}

    def merged(self, other: Value) -> Table:
        """Both together; incomplete where the other is unknown."""
        if not isinstance(other, Table):
            return Table([*self.entries], False, [*self.twice])
        both = [*self.entries, *other.entries], self.complete and other.complete, [*self.twice, *other.twice]
        return Table(*both)


@dataclass(eq=False)
class Scope:
    """The names of a body that runs; ``hidden`` are its own that have no known value."""

    module: Module
    names: dict[str, Value] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    outer: Scope | None = None


@dataclass(eq=False)
class Symbol:
    """Something that is not evaluated: a definition, a thing of another package (``full``), a call with arguments."""

    node: ast.AST
    module: Module
    scope: Scope
    full: str = ""
    args: list[Value] = field(default_factory=list)
    keywords: dict[str, Value] = field(default_factory=dict)
    starred: bool = False


class Method(NamedTuple):
    """A method of the registrar."""

    name: str


class _Registrar:
    """What a hook is given."""


REGISTRAR = _Registrar()


@dataclass(eq=False)
class Call:
    """A call that was met. ``sure``: not in a branch that may be left out."""

    name: str
    node: ast.Call
    module: Module
    args: list[Value]
    keywords: dict[str, Value]
    starred: bool
    sure: bool
