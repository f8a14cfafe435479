"""What every interpreter has: a level, the ids that were open before it, and the state to restore while its rules
run.
"""

from __future__ import annotations

from typing import Any

from ..op import Op
from ..state import RECORDING, serial, state, within
from ..tensor import Tensor


class Interpreter:
    """One level. It records only graph ids opened after it (``outer`` holds the older ones, which are recorded
    below).
    """

    name = "interpreter"
    batched = False
    staging = False
    has_value = False
    """A Python value can be read from its tensors."""

    def __enter__(self) -> Any:
        here = state()
        self.alive = True
        self.uid = next(serial)
        self.below = here.stage, here.capture, here.top
        self.outer = RECORDING | 1
        for scope in here.scopes:
            self.outer |= scope.bit
        self._block = within(uid=self.uid, top=self, **self.changes())
        self._block.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._block.__exit__()
        del self._block  # it holds this level: a cycle
        self.alive = False

    def changes(self) -> dict[str, Any]:
        """Further fields of the thread's state to set while the level is open."""
        return {}

    def keeps(self, op: Op) -> bool:
        """Whether the level has a rule for an op that could also be decomposed."""
        raise NotImplementedError

    def process(self, op: Op, xs: tuple[Tensor, ...], attrs: dict[str, Any], spec: Any) -> Any:
        """Apply the op at this level; called in the state below it."""
        raise NotImplementedError

    def underneath(self) -> within:
        """A block in the state below this level."""
        stage, capture, top = self.below
        return within(mask=state().mask & self.outer, stage=stage, capture=capture, top=top)
