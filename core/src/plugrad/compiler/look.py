"""All guards of a graph at once: one look, in C where there is a compiler, at the objects that they saw.

Each guard says of which objects it would be content to find them again. Only when one is another are the guards asked,
who also know the reason in words; if they are content with what there is now, that is looked for from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .guards import MISSING

try:
    from ._glance import Glance  # type: ignore[import-not-found, unused-ignore]
except ImportError:  # not compiled
    Glance = None


class Facts:
    """What guards saw: ``(dict, names, values, whether there are no others)``, ``(list, items)``, ``(cell, content)``,
    ``(function, code, defaults, keyword defaults)``, and ``(handle, kind)`` as in ``calls``.
    """

    def __init__(self) -> None:
        self.dicts: list[tuple[dict[str, Any], Sequence[Any], Sequence[Any], bool]] = []
        self.lists: list[tuple[list[Any], Sequence[Any]]] = []
        self.cells: list[tuple[Any, Any]] = []
        self.functions: list[tuple[Any, Any, Any, Any]] = []
        self.handles: list[tuple[Any, tuple[Any, ...]]] = []

    def box(self, box: Any, parts: list[Any]) -> bool:
        """A list or dict and its parts, keys first; False for what is neither."""
        if type(box) is list:
            self.lists.append((box, parts))
        elif type(box) is dict:
            half = len(parts) // 2
            self.dicts.append((box, parts[:half], parts[half:], True))
        return type(box) in (list, dict)


class Look:
    """The guards of a graph, in the order in which they are asked."""

    def __init__(self, guards: Sequence[Any]) -> None:
        self.guards = guards
        self.quick: tuple[Callable[[], bool], tuple[Any, ...]] | None = None
        """One look, and the guards that have to be asked all the same."""

    def changed(self) -> str:
        """What is no longer as it was, or ""."""
        quick = self.quick
        guards = self.guards if quick is None or not quick[0]() else quick[1]
        for guard in guards:
            if why := guard.changed():
                return str(why)
        if guards is self.guards and Glance is not None:
            facts = Facts()
            left = tuple([guard for guard in guards if not guard.saw(facts)])
            glance = Glance(facts.dicts, facts.lists, facts.cells, facts.functions, facts.handles, MISSING)
            self.quick = glance.holds, left
        return ""
