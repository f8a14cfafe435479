"""Which checks can see a fault: all others would only take time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ...backend import BACKENDS
from ...op import OPS
from ..contract.subject import Subject
from ..kit.check import Check
from ..listing import OF_EACH_KERNEL, checks, of_backend
from .fault import Fault

LAYING_OUT = {"reshape", "permute", "broadcast_to", "slice", "copy", "full", "iota", "cast"}
"""Ops that samples of other ops are made with: a fault of one may show anywhere."""
TABLES = {"kernels", "into"}
PLAIN = {"name", "__module__", "__doc__", *TABLES}


def asked_of(fault: Fault, thing: str) -> list[Check]:
    """The checks that may see a fault: of a backend its own and those of the ops concerned, of all else its own."""
    if fault.kind != "backend":
        named: dict[str, Any] = {fault.kind: thing}
        return checks("numpy", **named)
    changed = _changed(BACKENDS[Subject(thing).index])
    every = of_backend(thing)
    if not changed:  # more than kernels, or what it derives from
        return every
    of_ops = [check for name in sorted(changed) for check in checks(thing, op=name)]
    return [*of_ops, *_rest(every, Subject(thing), changed)]


def _rest(every: list[Check], subject: Subject, changed: set[str]) -> Iterator[Check]:
    """Those of a backend that are not about single kernels, and the values of ops that are made of others."""
    for check in every:
        op = OPS.get(check.subject)
        if op is None:
            if not check.name.startswith(OF_EACH_KERNEL):
                yield check
        elif op.name not in changed and any(subject.state(op, code) != "native" for code in subject.codes(op)):
            yield check


def _changed(backend: Any) -> set[str] | None:
    """The ops whose kernels or forms that write are other ones than the base's; None if more than that is changed."""
    own = vars(type(backend))
    if set(own) - PLAIN:
        return None
    base: Any = type(backend).__bases__[0]
    found: set[str] = set()
    for table in TABLES & set(own):
        known: dict[str, Callable[..., Any]] = getattr(base, table)
        here: dict[str, Callable[..., Any]] = own[table]
        found |= {name for name in {*known, *here} if known.get(name) is not here.get(name)}
    return None if found & LAYING_OUT or not found <= set(OPS) else found
