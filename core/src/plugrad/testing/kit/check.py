"""A check: one thing that must hold, of one subject, with a name that says both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

KINDS = ("backend", "op", "layer", "loss", "optimizer", "dataset")
Version = tuple[int, int]


@dataclass(frozen=True)
class Check:
    """Call it: it returns None, raises AssertionError with a text that says what was expected and what came, or raises
    ``NotHere`` where it cannot be asked on this machine.

    name     the rule and what it is asked of: "values.add.float32", "op.nn.softmax.batching", "layer.linear.gradients"
    kind     one of ``KINDS``
    subject  the op, layer, ... that it is about; the backend's name for rules that are about all of its kernels
    device   where it runs
    run      the check itself
    dtype    of the key operand, "" where the check takes several
    since    the protocol version that brought it: for a plugin written for an older one a failure is a note
    """

    name: str
    kind: str
    subject: str
    device: str
    run: Callable[[], None] = field(repr=False, compare=False)
    dtype: str = ""
    since: Version = (1, 0)

    def __call__(self) -> None:
        __tracebackhide__ = True
        self.run()

    def __str__(self) -> str:
        return self.name


class NotHere(Exception):
    """A check that cannot be asked on this machine, with the reason: data that are not there."""
