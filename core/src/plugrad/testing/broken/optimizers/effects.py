"""Optimizers with a fault in what a step or update writes, counts and leaves alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plugrad as pg

from ..fault import Fault
from .honest import DECAY, Descent, Momentum, Slots, fault, momentum

EFFECTS: list[Fault] = []
Tensor = pg.Tensor

# -- updates are pure


@fault(EFFECTS, "update_is_pure", "state changed")
class UpdateWritesMoments(Momentum):
    """An update writes the moments that it was given."""

    def update(self, grads: Any, state: Any, params: Any) -> Any:
        found = super().update(grads, state, params)
        for slots, fresh in zip(state, found[1], strict=True):
            slots["m"].assign(fresh["m"])
        return found


@fault(EFFECTS, "update_is_pure", "structure")
class UpdateMarksTheState(Momentum):
    """An update leaves an entry in the state that it was given."""

    def update(self, grads: Any, state: Any, params: Any) -> Any:
        found = super().update(grads, state, params)
        state[0].update(seen=True)
        return found


@fault(EFFECTS, "update_is_pure", "own state")
class UpdateKeepsTheState(Momentum):
    """An update, which should be pure, also becomes the optimizer's own state."""

    def update(self, grads: Any, state: Any, params: Any) -> Any:
        found = super().update(grads, state, params)
        self.state = found[1]
        return found


@fault(EFFECTS, "step_and_update_agree", "updates and")
class StepsAreHalf(Momentum):
    """``step`` goes half as far as ``update``."""

    def step(self) -> None:
        rate, self.learning_rate = self.learning_rate, self.learning_rate / 2
        super().step()
        self.learning_rate = rate


@fault(EFFECTS, "step_and_update_agree", "gave back a list")
class ModuleBecomesAList(Momentum):
    """An update of a Module gives back a list of its tensors."""

    def update(self, grads: Any, state: Any, params: Any) -> Any:
        new, after = super().update(grads, state, params)
        plain = pg.tree.map(lambda t: t.detach(), list(pg.tree.leaves(new))) if isinstance(new, pg.Module) else new
        return plain, after


# -- what is counted


@fault(EFFECTS, "state_advances_once", "alone", reference=momentum())
class OneClockForAll(Momentum):
    """One count of steps, which every parameter advances."""

    def count(self, slots: Slots, number: int) -> Tensor:
        return slots["t"] + 1 + number


@fault(EFFECTS, "state_advances_once missing_gradients", "after step() 2 times")
class StateUpdatedTwice(Momentum):
    """``step`` counts every step twice."""

    def step(self) -> None:
        super().step()
        for slots in self.state:
            slots["t"] = slots["t"] + 1


@fault(EFFECTS, "state_advances_once", "after step() 2 times")
class OneStepForOneGradient(Momentum):
    """A second step along the same gradients does nothing."""

    last: Any = None

    def step(self) -> None:
        if self.handles[0].grad is not self.last:
            self.last = self.handles[0].grad
            super().step()


@fault(EFFECTS, "tied", "twice in a dict")
class TiedParameterMovesTwice(Momentum):
    """A parameter that stands in two places moves twice."""

    unique = False


@fault(EFFECTS, "many_parameters", "reversed")
class OrderMatters(Momentum):
    """The later a parameter comes, the shorter are its steps."""

    def size(self, number: int) -> Tensor:
        return self.rate / (1.0 + number)


# -- gradients


@fault(EFFECTS, "gradients_unchanged", "gradient")
class GradientsAreScaled(Momentum):
    """``step`` halves the gradients in place."""

    def step(self) -> None:
        super().step()
        for p in self.handles:
            if p.grad is not None:
                with pg.no_grad():
                    p.grad *= 0.5


@fault(EFFECTS, "gradients_unchanged", "dropped the gradient")
class GradientsAreDropped(Momentum):
    """``step`` takes the gradients away."""

    def step(self) -> None:
        super().step()
        for p in self.handles:
            p.grad = None


@fault(EFFECTS, "missing_gradients", "2 steps without")
class NoGradientIsZero(Momentum):
    """A parameter without a gradient is treated as one with a gradient of zero: its state moves."""

    def step(self) -> None:
        kept = [p.grad for p in self.handles]
        for p in self.handles:
            p.grad = p.zeros_like().detach() if p.grad is None else p.grad
        super().step()
        for p, g in zip(self.handles, kept, strict=True):
            p.grad = g


@fault(EFFECTS, "missing_gradients", "without a gradient")
class NoGradientStillDecays(Momentum):
    """A parameter without a gradient shrinks."""

    def step(self) -> None:
        super().step()
        for p in self.handles:
            if p.grad is None:
                p.assign(p.detach() * 0.99)


# -- the tape


@fault(EFFECTS, "not_recorded", "on the tape", config=DECAY, decay="gradient", minimises=False, reference=None)
class StepsAreRecorded(Momentum):
    """``step`` is on the tape, which grows with every step."""

    def step(self) -> None:
        for i, p in enumerate(self.handles):
            if p.grad is not None:
                new, self.state[i] = self.moved(p, p.grad, self.state[i], i)
                p.assign(new)


@fault(EFFECTS, "not_recorded", "requires_grad=False")
class ParametersAreFrozen(Momentum):
    """After a step the parameters require no gradient."""

    def step(self) -> None:
        super().step()
        for p in self.handles:
            p.requires_grad_(False)


# -- errors


@fault(EFFECTS, "errors", "came a result")
class GradientIsReshaped(Descent):
    """A gradient of another shape is cut to the parameter's."""

    def checked(self, ps: Sequence[Any], gs: Sequence[Any]) -> None:
        pass

    def moved(self, p: Tensor, g: Tensor, slots: Slots, number: int) -> tuple[Tensor, Slots]:
        return super().moved(p, g.reshape((-1,))[: p.size].reshape(p.shape), slots, number)


@fault(EFFECTS, "errors", "changed")
class ErrorAfterEffects(Momentum):
    """It finds that a gradient does not fit when it has moved the parameters before it."""

    def checked(self, ps: Sequence[Any], gs: Sequence[Any]) -> None:
        pass

    def moved(self, p: Tensor, g: Tensor, slots: Slots, number: int) -> tuple[Tensor, Slots]:
        super().checked([p], [g])
        return super().moved(p, g, slots, number)


# -- instances


@fault(EFFECTS, "device", "here and on numpy", reference=None)
class InstancesDiffer(Momentum):
    """Its steps become shorter with every optimizer that is made: a number of the class counts them."""

    made = 0

    def __init__(self, params: Any = None, learning_rate: float = 0.05, weight_decay: float = 0.0) -> None:
        super().__init__(params, learning_rate, weight_decay)
        type(self).made += 1
        self.mine = 1.0 + 0.01 * (type(self).made % 7)

    def size(self, number: int) -> Tensor:
        return self.rate / self.mine
