"""What every interpreter has: a level, the ids that were open before it, and the state to restore while its rules
run.
"""

from __future__ import annotations

from typing import Any

from ..state import RECORDING, serial, state, within


class Interpreter:
    """One level. It records only graph ids opened after it (``outer`` holds the older ones, which are recorded
    below).

    A level has ``process(op, xs, attrs, spec)``, which applies an op at this level and is called in the state below it,
    and unless it is staging ``keeps(op)``: whether it has a rule for an op that could also be decomposed.
    """

    name: str
    batched = False
    staging = False
    has_value = False
    """A Python value can be read from its tensors."""
    changes: dict[str, Any] = {}
    """Further fields of the thread's state to set while the level is open."""

    def __enter__(self) -> Any:
        here = state()
        self.alive = True
        self.uid = next(serial)
        self.below = here.stage, here.capture, here.top
        self.outer = RECORDING | 1 | sum([scope.bit for scope in here.scopes])  # open scopes hold different bits
        stage = self if self.staging else here.stage
        self._block = within(uid=self.uid, top=self, stage=stage, **self.changes)
        self._block.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._block.__exit__()
        del self._block  # it holds this level: a cycle
        self.alive = False

    def underneath(self) -> within:
        """A block in the state below this level."""
        stage, capture, top = self.below
        return within(mask=state().mask & self.outer, stage=stage, capture=capture, top=top)
