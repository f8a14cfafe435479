"""Layers with a fault in their modes, and in how they are saved, loaded and copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plugrad as pg

from ..fault import Fault
from .honest import Dense, Net, Norm, fault

SAVING: list[Fault] = []


class _Box:
    """Hides what it holds from those who walk a tree."""

    def __init__(self, content: pg.Tensor) -> None:
        self.content = content


@fault(SAVING, "modes", "inner")
class TrainStopsAtTheTop(Net):
    """``train`` and ``eval`` do not reach the layers inside."""

    def train(self, mode: bool = True) -> Any:
        self.training = mode
        return self


@fault(SAVING, "modes", "NoneType")
class TrainGivesNothingBack(Dense):
    """``train`` does not give back the layer."""

    def train(self, mode: bool = True) -> Any:
        super().train(mode)


@fault(SAVING, "modes", "training mode")
class BeginsInEvaluation(Dense):
    """A new layer is in evaluation mode."""

    def __init__(self, n: int, m: int) -> None:
        super().__init__(n, m)
        self.training = False


@fault(SAVING, "state_dict", "mean")
class BufferIsNotSaved(Norm):
    """Its state dict lacks the running mean."""

    def state_dict(self) -> dict[str, Any]:
        return {"scale": self.scale.detach()}


@fault(SAVING, "state_dict", "a layer with the loaded state")
class BufferIsNotLoaded(Norm):
    """It saves its running mean, and does not load it."""

    def load_state_dict(self, state: Mapping[str, Any]) -> Any:
        return super().load_state_dict(
            {**state, "mean": self.mean.detach()}
            if "mean" in state and tuple(state["mean"].shape) == self.mean.shape
            else state
        )


@fault(SAVING, "state_dict", "changed")
class LoadsHalf(Dense):
    """It has written some of its tensors when it finds that a state does not fit."""

    def load_state_dict(self, state: Mapping[str, Any]) -> Any:
        for name, t in self.named_tensors():
            t.assign(state[name])


@fault(SAVING, "state_dict", "came a result")
class LoadsWhatFits(Dense):
    """It passes over what is missing in a state, or has another shape."""

    def load_state_dict(self, state: Mapping[str, Any]) -> Any:
        for name, t in self.named_tensors():
            if name in state and tuple(state[name].shape) == t.shape:
                t.assign(state[name])


@fault(SAVING, "state_dict", "loaded state", reference=None)
class TensorIsHidden(Dense):
    """It keeps a tensor in an object that is no container, where nothing finds it."""

    def __init__(self, n: int, m: int) -> None:
        super().__init__(n, m)
        self.box = _Box(pg.random.normal(self.key(), (m,)).to(pg.get_default_device()))

    def forward(self, x: pg.Tensor) -> Any:
        return super().forward(x) + self.box.content.astype(x.dtype)


@fault(SAVING, "state_dict", "no plain tensor")
class SavesOnTheTape(Dense):
    """Its state dict holds the Parameters themselves."""

    def state_dict(self) -> dict[str, Any]:
        return dict(self.named_tensors())


@fault(SAVING, "pickling", "raised")
class HoldsALambda(Dense):
    """It keeps a function without a name, which cannot be pickled."""

    def __init__(self, n: int, m: int) -> None:
        super().__init__(n, m)
        self.act = lambda x: x


@fault(SAVING, "pickling", "deepcopy", "changed")
class CopyIsNew(Dense):
    """A copy of it is a new layer, with weights of its own."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return type(self)(3, 2).eval()


@fault(SAVING, "pickling", "share")
class CopyIsItself(Dense):
    """A copy of it is the layer itself."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self


@fault(SAVING, "pickling", "Parameter b", "became")
class PickledParameterIsDemoted(Dense):
    """A Parameter comes back from a pickle as a plain tensor, which no optimizer finds."""

    def __getstate__(self) -> dict[str, Any]:
        return {"w": self.w, "b": self.b.detach(), "training": self.training}


@fault(SAVING, "pickling", "pickle", "mean")
class PickledWithoutItsBuffer(Norm):
    """Its running mean begins anew after pickling."""

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "mean": pg.Buffer(self.mean.zeros_like())}
