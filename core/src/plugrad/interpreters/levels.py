"""What every interpreter has, and the two that compute: forward mode and batching."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from ..op import Op
from ..state import RECORDING, State, serial, state, within
from ..tensor import Attrs, Tensor, Tensors


class Interpreter(within):
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
    tape = False
    """The tape of ``backward()`` is recorded at this level, not below it."""
    alive: State | Literal[False] = False
    """The state of the thread that is inside it, or False once it has ended."""

    def __enter__(self) -> Any:
        here = state()
        self.alive, self.uid = here, next(serial)
        self.below = here.stage, here.capture, here.top
        self.outer = RECORDING | 1 | sum([scope.bit for scope in here.scopes])  # open scopes hold different bits
        self.changes.update(uid=self.uid, top=self, stage=self if self.staging else here.stage)
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.changes = {}  # they hold this level: a cycle
        self.alive = False

    def underneath(self) -> within:
        """A block in the state below this level."""
        stage, capture, top = self.below
        return within(mask=state().mask & self.outer, stage=stage, capture=capture, top=top)

    def lowered(self, xs: Tensors) -> Tensors:
        """The values below those of this level."""
        return tuple([x.val if x.tr is self else x for x in xs])


class JVP(Interpreter):
    """Forward mode: the level of one ``jvp`` call. A value travels with its tangent; one that is None is zero."""

    name = "jvp"
    has_value = True

    def __enter__(self) -> Any:
        self.changes["mask"] = state().mask | RECORDING  # only a no_grad inside it counts
        return super().__enter__()

    def wrap(self, primal: Tensor, tangent: Tensor | None) -> Tensor:
        """A value of this level."""
        if tangent is None:
            return primal
        return Tensor(primal, primal.be, primal.dt, primal.shape, primal.dev, None, self, tangent)

    def keeps(self, op: Op) -> bool:
        return op.has_jvp()

    def process(self, op: Op, xs: Tensors, attrs: Attrs, spec: Any) -> Any:
        primals = self.lowered(xs)
        if not state().mask & RECORDING:
            return op(*primals, **attrs)
        tangents = [x.aux if x.tr is self else None for x in xs]
        if op.dual is not None:
            out, found = op.dual(tangents, primals, **attrs)
        else:
            out = op(*primals, **attrs)
            found = op.jvp_rule(tangents, out, primals, attrs) if op.differentiable else None
        if found is None:
            return out
        return tuple(map(self.wrap, out, found)) if type(out) is tuple else self.wrap(out, found)


class Same(NamedTuple):
    """A result of a batching rule that is the same for every example, and has no batch dimension."""

    value: Tensor


class Batch(Interpreter):
    """One example stands for a batch: the level of one ``vmap`` call over ``size`` examples. The batch dimension of a
    wrapped value is always dimension 0.

    ``draws`` says what a generator gives: error, same or different.
    """

    name = "vmap"
    batched = True

    def __init__(self, size: int, draws: str) -> None:
        super().__init__(draws=draws)
        self.size, self.draws = size, draws

    def wrap(self, value: Tensor) -> Tensor:
        """A value of this level, from one with the batch dimension first."""
        return Tensor(value, value.be, value.dt, value.shape[1:], value.dev, None, self)

    def keeps(self, op: Op) -> bool:
        return op.has_batch()

    def process(self, op: Op, xs: Tensors, attrs: Attrs, spec: Any) -> Any:
        out = op.batch_rule(self.size, self.lowered(xs), tuple([x.tr is self for x in xs]), attrs)
        return tuple(map(self._result, out)) if type(out) is tuple else self._result(out)

    def _result(self, found: Tensor | Same) -> Tensor:
        return found.value if isinstance(found, Same) else self.wrap(found)
