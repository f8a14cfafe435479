"""What a function changed in Python, among the things that it reads, while it was staged.

A graph has no such effects. A function that counts, or moves a schedule on, is staged again at its next call, so that
its results are right; one that kept a tensor of the graph outside is refused, as that is no value, and what it kept is
taken back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import StateError
from ..tensor import Tensor
from .guards import MISSING
from .look import Facts


class Effects:
    """The guards of what can be read, taken before a function is staged."""

    def __init__(self, guards: Sequence[Any]) -> None:
        self.guards, self.facts = guards, Facts()
        for guard in guards:
            guard.saw(self.facts)

    def found(self, name: str) -> str:
        """What the function changed, or ""; StateError if it left a tensor of the graph there."""
        whys = [why for guard in self.guards if (why := getattr(guard, "settle", guard.changed)())]
        if self.undone():
            wrong = f"{next(iter(whys), 'a dict grew')}: the function kept a tensor of the graph outside"
            remedy = "write to a Buffer with assign(), keep what the call returns, or fill a cache before the call"
            raise StateError(f"{name}: {wrong}, which is no value there; {remedy}")
        return next(iter(whys), "")

    def undone(self) -> bool:
        """Whether tensors of the graph were left somewhere. Then all is put back."""
        found = any(issubclass(type(v), Tensor) and v.tr is not None and not v.tr.alive for v in self._there())
        if found:
            self._undo()
        return found

    def _there(self) -> Iterator[Any]:
        """What all places hold now."""
        for d, names, _, whole in self.facts.dicts:
            yield from d.values() if whole else [d.get(name) for name in names]
        for box, items in self.facts.lists:
            yield from box[: len(items)]  # what is behind these is a log
        for cell, _ in self.facts.cells:
            yield _content(cell)

    def _undo(self) -> None:
        """Put back what the places held."""
        for d, names, values, whole in self.facts.dicts:
            then = {name: v for name, v in zip(names, values, strict=True) if v is not MISSING}
            for name in [n for n in (list(d) if whole else names) if n not in then]:
                d.pop(name, None)
            d.update({name: v for name, v in then.items() if d.get(name, MISSING) is not v})
        for box, items in self.facts.lists:
            box[:] = items
        for cell, value in self.facts.cells:
            if _content(cell) is not value and value is not MISSING:
                cell.cell_contents = value


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING
