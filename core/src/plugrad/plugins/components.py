"""Finds ops and components by name, and imports the module of a name when the name is first used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import UnknownNameError
from ..op import OPS, Op
from . import loader
from .names import suggest


def component(kind: str, name: str) -> Any:
    """What is registered under this kind and name, such as ``("optimizer", "sgd")``; UnknownNameError if nothing is."""
    entries = loader.registry().select("component", kind)
    if not entries:
        raise _missing("component kind", kind, {entry.kind for entry in loader.registry().entries if entry.kind})
    if name not in entries:
        raise _missing(kind, name, entries)
    return entries[name].load()


def create(kind: str, name: str, **config: Any) -> Any:
    """Make a component from a configuration: ``create("optimizer", "sgd", learning_rate=0.1)``."""
    return component(kind, name)(**config)


def components(kind: str) -> tuple[str, ...]:
    """The names registered under a kind.

    >>> components("nothing of the kind")
    ()
    """
    return tuple(loader.registry().select("component", kind))


def load_ops(prefix: str | None = None) -> None:
    """Import the module that makes the ops of this prefix, or the modules of all prefixes."""
    entries = loader.registry().select("ops")
    if prefix is not None and prefix not in entries:
        raise _missing("ops with the prefix", prefix, entries)
    for entry in entries.values() if prefix is None else [entries[prefix]]:
        entry.load()


def lookup(name: str) -> Op:
    """The op of this name; the module of a dotted name's prefix is imported if need be. UnknownNameError if none.

    >>> lookup("exp")
    <op exp>
    """
    if name not in OPS:
        prefixes = [prefix for prefix in loader.registry().select("ops") if name.startswith(f"{prefix}.")]
        if prefixes:
            load_ops(max(prefixes, key=len))
        if name not in OPS:
            raise _missing("op", name, OPS)
    return OPS[name]


def _missing(what: str, name: str, known: Iterable[str]) -> UnknownNameError:
    known = sorted(known)
    hint = suggest(name, known) + loader.registry().absent_like(name.partition(".")[0])
    listed = f"; registered: {', '.join(known) or 'none'}" if len(known) <= 20 else ""
    remedy = "install the package that brings it (see: plugrad plugins)"
    return UnknownNameError(f"{what} {name!r} is not registered{hint}{listed}; {remedy}")
