"""Optimizers with a fault in how they are saved and go on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import plugrad as pg

from ..fault import Fault
from .honest import Momentum, fault

SAVING: list[Fault] = []


@fault(SAVING, "state_dict", "resumed from")
class StepIsNotSaved(Momentum):
    """Its state dict lacks the counts of steps, which begin anew."""

    def state_dict(self) -> dict[str, Any]:
        return {k: v for k, v in super().state_dict().items() if not k.endswith("t")}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        super().load_state_dict({**saved, **{f"{i}.t": np.asarray(0) for i in range(len(self.state))}})


@fault(SAVING, "state_dict", "learning_rate changed")
class RateIsNotSaved(Momentum):
    """It goes on with the learning rate that it was made with."""

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        rate = self.learning_rate
        super().load_state_dict(saved)
        self.learning_rate = rate


@fault(SAVING, "state_dict", "changed")
class LoadedMomentsAreHalved(Momentum):
    """Loading takes the mean of the saved moments and of those of a new optimizer, which are zero."""

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        super().load_state_dict(saved)
        for slots in self.state:
            slots["m"] = slots["m"] * 0.5


@fault(SAVING, "state_dict", "learning_rate changed")
class LoadsHalf(Momentum):
    """It has set its learning rate when it finds that a state does not fit."""

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        self.learning_rate = float(saved["learning_rate"])
        super().load_state_dict(saved)


@fault(SAVING, "state_dict", "while its optimizer goes on")
class SavedStateIsLive(Momentum):
    """Its state dict holds the moments themselves, which it writes at the next step."""

    def step(self) -> None:
        before = [dict(slots) for slots in self.state]
        super().step()
        for old, new in zip(before, self.state, strict=True):
            old["m"].assign(new["m"])
            new["m"] = old["m"]

    def state_dict(self) -> dict[str, Any]:
        flat: dict[str, pg.Tensor] = {f"{i}.{k}": t for i, slots in enumerate(self.state) for k, t in slots.items()}
        return {"learning_rate": self.learning_rate, **flat}


@fault(SAVING, "state_dict", "together")
class PickledWithoutItsState(Momentum):
    """Its moments and counts begin anew after pickling."""

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "state": self.init(self.handles)}
