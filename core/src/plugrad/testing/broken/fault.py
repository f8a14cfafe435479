"""What a seeded fault is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

LIMIT = 60.0
"""Seconds after which a check counts as hanging."""


@dataclass(frozen=True)
class Fault:
    """A thing with one fault, and the checks that must notice it.

    name       its kind and what is wrong, in short: "backend.max_swallows_nan"
    what       what is wrong, in a sentence
    caught_by  names of checks, or what they begin with before a dot, each of which must fail on it
    make       a context: within it the faulty thing is there, under the name that it gives; afterwards it is gone
    kind       one of ``plugrad.testing.kit.KINDS``
    says       words that the message of the first of ``caught_by`` has
    needs      ops of plugins without which the fault cannot show
    limit      seconds after which a check on it counts as hanging
    """

    name: str
    what: str
    caught_by: tuple[str, ...]
    make: Callable[[], AbstractContextManager[str]] = field(repr=False, compare=False)
    kind: str = "backend"
    says: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    limit: float = LIMIT

    def __str__(self) -> str:
        return self.name

    def unnoticed(self, failing: Iterable[str]) -> list[str]:
        """The names in ``caught_by`` that no failing check has, or begins with before a dot.

        >>> fault = Fault("backend.x", "wrong", ("values.add", "host.spec"), make=None)
        >>> fault.unnoticed(["values.add.float32"])
        ['host.spec']
        """
        failed = [f"{name}." for name in failing]
        return [name for name in self.caught_by if not any(f.startswith(f"{name}.") for f in failed)]

    def named(self, check: str) -> bool:
        """Whether ``caught_by`` names the check."""
        return any(f"{check}.".startswith(f"{name}.") for name in self.caught_by)
