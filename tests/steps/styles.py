"""One step of training, written in three ways. Each takes ``transform``, such as ``plugrad.compile``, for the part that
a user would hand to it, and gives a function of a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import plugrad as pg
import plugrad_optim as optim

Transform = Callable[[Any], Any]
Loss = Callable[[pg.Module, pg.Tensor, pg.Tensor], pg.Tensor]
Step = Callable[[pg.Tensor, pg.Tensor], pg.Tensor]


def functional(model: pg.Module, optimizer: optim.Optimizer, loss: Loss, transform: Transform) -> Step:
    """Gradients as values; what ``update`` returns is assigned to the handles that the step captures."""
    state = optimizer.init(model)

    def step(x: pg.Tensor, y: pg.Tensor) -> pg.Tensor:
        value, grads = pg.value_and_grad(loss)(model, x, y)
        trained, after = optimizer.update(grads, state, model)
        for p, new in zip(model.parameters(), trained.parameters(), strict=True):
            p.assign(new)
        for path, slots in state.items():
            for name, slot in slots.items():
                slot.assign(after[path][name])
        return value

    return transform(step)


def pure(model: pg.Module, optimizer: optim.Optimizer, loss: Loss, transform: Transform) -> Step:
    """Model and state go in and come out; nothing is captured but what the model's Buffers are."""

    def step(model: pg.Module, state: Any, x: pg.Tensor, y: pg.Tensor) -> tuple[pg.Tensor, pg.Module, Any]:
        value, grads = pg.value_and_grad(loss)(model, x, y)
        return value, *optimizer.update(grads, state, model)

    run, held = transform(step), [model, optimizer.init(model)]

    def advance(x: pg.Tensor, y: pg.Tensor) -> pg.Tensor:
        value, *held[:] = run(*held, x, y)
        return value

    return advance


def tape(model: pg.Module, optimizer: optim.Optimizer, loss: Loss, transform: Transform) -> Step:
    """``backward()``, ``step()``, ``zero_grad()``."""

    def step(x: pg.Tensor, y: pg.Tensor) -> pg.Tensor:
        value = loss(model, x, y)
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        return value.detach()

    return transform(step)


STYLES = {"functional": functional, "pure": pure, "tape": tape}
