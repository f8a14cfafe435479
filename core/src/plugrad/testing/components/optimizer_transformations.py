"""Rules of optimizers: updates under derivatives, staging and batching."""

from __future__ import annotations

from typing import Any

import numpy as np

import plugrad as pg

from ..derivatives import check_derivatives
from .asking import Rule, agree, flat, stored, units
from .optimizer_trial import OptimizerTrial, Tensors

UNITS = units("derivative", np.dtype(np.float32))
BATCH = 3
NAMES = ("w", "s")


def differentiable(trial: OptimizerTrial) -> None:
    """The derivatives of an update with respect to parameters and gradients agree with central differences."""
    for dtype in stored(trial.device, "f8"):
        optimizer, state, params = trial.updated(dtype, 2, NAMES)
        grads = trial.put(trial.gradients(3, dtype, NAMES))

        def after(params: Tensors, grads: Tensors, optimizer: Any = optimizer, state: Any = state) -> Any:
            return optimizer.update(grads, state, params)[0]

        check_derivatives(after, params, grads, order=1)


def staging(trial: OptimizerTrial) -> None:
    """A compiled update gives what the update gives, and follows the learning rate without being staged again."""
    dtype = trial.dtype
    optimizer, state, params = trial.updated(dtype, 0)
    compiled: Any = pg.compile(lambda grads, state, params: optimizer.update(grads, state, params))
    staged, staged_state = params, state
    for k in range(1, 5):
        if k == 3:
            optimizer.learning_rate = optimizer.learning_rate * 0.5
        grads = trial.put(trial.gradients(k, dtype))
        params, state = optimizer.update(grads, state, params)
        staged, staged_state = compiled(grads, staged_state, staged)
        what = f"after {k} updates{', the learning rate halved after 2,' if k > 2 else ','} compiled and eager"
        agree(f"parameters {what}", staged, params, dtype, UNITS)
        agree(f"state {what}", staged_state, state, dtype, UNITS)
    again = [why for known in compiled.graphs.values() for why in compiled.misses if len(known) > 1]
    assert not again, (
        f"a compiled update is staged again when the learning rate is halved: {again[0]}; make it a tensor"
    )


def batching(trial: OptimizerTrial) -> None:
    """``vmap`` of an update over a batch of models is a loop over them."""
    dtype = trial.dtype
    models = []
    for i in range(BATCH):
        optimizer, state, params = trial.updated(dtype, 2, NAMES)
        shifted = {name: p + 0.1 * i for name, p in params.items()}
        grads = {name: g * (1.0 + 0.5 * i) for name, g in trial.put(trial.gradients(3 + i, dtype, NAMES)).items()}
        models.append((grads, state, shifted))
    grads, state, params = pg.tree.map(lambda *ts: pg.stack(list(ts)), *models)
    got = pg.vmap(lambda g, s, p: optimizer.update(g, s, p))(grads, state, params)
    loop = [flat(optimizer.update(*model)) for model in models]
    wanted = [np.stack(column) for column in zip(*loop, strict=True)]
    agree("vmap of update over 3 models and a loop", got, wanted, dtype, UNITS)


TRANSFORMATIONS = (
    Rule("differentiable", differentiable, lambda trial: bool(stored(trial.device, "f8"))),
    Rule("staging", staging),
    Rule("batching", batching),
)
