"""Rules of optimizers: saving and going on, and what a step leaves behind."""

from __future__ import annotations

import pickle
from functools import partial
from typing import Any

import numpy as np

import plugrad as pg

from .asking import Rule, agree, held, refused, unchanged, units
from .optimizer_trial import SHAPES, OptimizerTrial, give, saved, tensors_in

UNITS = units("derivative", np.dtype(np.float32))
ERRORS = (pg.errors.PlugradError, KeyError, ValueError)


def state_dict(trial: OptimizerTrial) -> None:
    """A run saved in the middle goes on as if it had not been, by ``state_dict`` and by pickle; what does not fit is
    refused before anything changes.
    """
    dtype = trial.dtype
    params = trial.parameters(dtype)
    optimizer = trial.made(params)
    optimizer.learning_rate = optimizer.learning_rate * 0.5
    trial.walk(optimizer, params, 1, 3)
    state, middle = optimizer.state_dict(), held(params.items())
    packed, both = pickle.dumps(state), pickle.dumps((params, optimizer))
    kept = saved(state)
    trial.walk(optimizer, params, 4, 6)
    unchanged("a state_dict() while its optimizer goes on", kept, saved(state))
    for how, given in (("state_dict()", state), ("its pickle", pickle.loads(packed))):
        fresh = {k: pg.Parameter(a, device=trial.device) for k, a in middle.items()}
        resumed = trial.made(fresh)
        resumed.load_state_dict(given)
        unchanged(f"load_state_dict({how}) and state_dict()", kept, saved(resumed.state_dict()))
        _goes_on(trial, how, resumed, fresh, params)
    copied, resumed = pickle.loads(both)
    _goes_on(trial, "a pickle of parameters and optimizer together", resumed, copied, params)
    _refuses(trial, kept)


def _goes_on(trial: OptimizerTrial, how: str, resumed: Any, fresh: Any, wanted: Any) -> None:
    trial.walk(resumed, fresh, 4, 6)
    for name, p in wanted.items():
        agree(f"{name} after 6 steps, resumed from {how} and uninterrupted", fresh[name], p, trial.dtype)


def _refuses(trial: OptimizerTrial, kept: dict[str, np.ndarray]) -> None:
    params = trial.parameters(trial.dtype)
    optimizer = trial.made(params)
    trial.walk(optimizer, params, 1, 1)
    before, own = held(params.items()), saved(optimizer.state_dict())
    cases: dict[str, dict[str, Any]] = {f"{k!r} missing": {n: v for n, v in kept.items() if n != k} for k in kept}
    for k, v in kept.items():
        if v.ndim:
            cases[f"{k!r} of shape {(*v.shape, 2)}"] = {**kept, k: np.zeros((*v.shape, 2), v.dtype)}
    for what, bad in cases.items():
        refused(f"load_state_dict with {what}", ERRORS, partial(optimizer.load_state_dict, bad))
        unchanged(f"load_state_dict with {what} was refused, state", own, saved(optimizer.state_dict()))
        unchanged(f"load_state_dict with {what} was refused, parameters", before, held(params.items()))


def not_recorded(trial: OptimizerTrial) -> None:
    """After ``step()`` parameters are the same leaves without a history, and nothing that is kept is on the tape."""
    params = trial.parameters(trial.dtype)
    optimizer = trial.made(params)
    for k in (1, 2):
        x = trial.put(trial.gradients(k, trial.dtype))
        height = pg.stack([(p * p * x[name]).sum() for name, p in params.items()]).sum()
        for p in params.values():
            p.grad = None
        height.backward()
        optimizer.step()
        for name, p in params.items():
            leaf = p.is_leaf and p.requires_grad
            assert leaf, f"{name} after step(): is_leaf={p.is_leaf}, requires_grad={p.requires_grad}, expected a leaf"
            assert p.grad is not None, f"step() took the gradient of {name}"
    own = {id(p) for p in params.values()}
    recorded = [path for path, t in tensors_in(optimizer) if t.requires_grad and id(t) not in own]
    recorded += [k for k, v in optimizer.state_dict().items() if isinstance(v, pg.Tensor) and v.requires_grad]
    assert not recorded, f"{', '.join(recorded)} is on the tape after step(), which then grows with every step"


class _Tied(pg.Module):
    """One Parameter under two names."""

    def __init__(self, p: pg.Parameter) -> None:
        self.a, self.b = p, p


def tied(trial: OptimizerTrial) -> None:
    """A parameter that stands in two places moves once."""
    dtype = trial.dtype
    wanted = trial.stepped(dtype, 2, ("w",))["w"]
    for how in ("dict", "Module"):
        p = trial.parameters(dtype, ("w",))["w"]
        tree = {"a": p, "b": p} if how == "dict" else _Tied(p)
        optimizer = trial.made(tree)
        state, values = optimizer.init(tree), tree
        for k in (1, 2):
            g = trial.put(trial.gradients(k, dtype, ("w",)))["w"]
            give({"w": p}, {"w": g})
            grads = {"a": g, "b": g} if how == "dict" else pg.grad(lambda m, g=g: (m.a * g).sum())(values)
            values, state = optimizer.update(grads, state, values)
            optimizer.step()
        agree(f"a Parameter twice in a {how} after 2 steps, and alone", p, wanted, dtype, UNITS)
        both = (values["a"], values["b"]) if isinstance(values, dict) else (values.a, values.b)
        for t in both:
            agree(f"a Parameter twice in a {how} after 2 updates, and alone", t, wanted, dtype, UNITS)


def many_parameters(trial: OptimizerTrial) -> None:
    """The order of the parameters does not matter."""
    dtype = trial.dtype
    wanted, names = trial.stepped(dtype, 4), tuple(SHAPES)[::-1]
    for what, found in (
        ("steps", trial.stepped(dtype, 4, names)),
        ("updates", held(trial.updated(dtype, 4, names)[2].items())),
    ):
        for name, array in wanted.items():
            agree(
                f"{name} after 4 {what}, parameters in the order {names} and reversed", found[name], array, dtype, UNITS
            )


STATE = (
    Rule("state_dict", state_dict),
    Rule("not_recorded", not_recorded),
    Rule("tied", tied),
    Rule("many_parameters", many_parameters),
)
