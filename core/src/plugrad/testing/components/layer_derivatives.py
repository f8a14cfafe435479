"""Rules of layers: derivatives with respect to parameters and inputs, by every road."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import plugrad as pg

from ..derivatives import check_derivatives
from .asking import Rule, agree, is_floating, pattern, stored, told, usual
from .layer_trial import Function, LayerTrial, function, generators, loss, states

Weights = list[pg.Tensor]


def _modes(trial: LayerTrial) -> list[bool]:
    """Training, and evaluation where that may be something else."""
    layer = trial.made()
    differ = trial.sample.random or bool(states(layer)) or len(list(generators(layer))) > 1
    return [False, True] if differ else [True]


def _called(training: bool) -> str:
    return "training" if training else "evaluation"


def _at(trial: LayerTrial, dtype: np.dtype, training: bool) -> tuple[Function, Weights, Weights]:
    layer = trial.ready(dtype, training)
    return function(trial, layer, trial.inputs(dtype))


def gradients(trial: LayerTrial) -> None:
    """jvp agrees with central differences and vjp with jvp, in float64; without it, the gradient with numpy's."""
    for training in _modes(trial):
        with told(_called(training)):
            if not (wide := stored(trial.device, "f8")):
                _gradients_as_on_numpy(trial, training)
                continue
            f, weights, moved = _at(trial, wide[0], training)
            if weights or moved:
                check_derivatives(f, weights, moved, order=1)


def _gradients_as_on_numpy(trial: LayerTrial, training: bool) -> None:
    dtype = usual(trial.device)

    def total(f: Function) -> Any:
        return lambda weights, moved: loss(f(weights, moved))

    layer = trial.ready(dtype, training)
    f, weights, moved = function(trial, layer, trial.inputs(dtype))
    if not (weights or moved):
        return
    _, pullback = pg.vjp(total(f), weights, moved)
    here = pullback(pg.ones((), dtype=dtype))
    with pg.device("numpy"):
        there = LayerTrial(trial.sample, "numpy", trial.quick)
        twin = there.ready(dtype, training)
        twin.load_state_dict(layer.state_dict())
        _, pullback = pg.vjp(total(function(there, twin, there.inputs(dtype))[0]), *_on_numpy(weights, moved))
        wanted = pullback(pg.ones((), dtype=dtype))
    agree("gradients here and on numpy", here, wanted, dtype, trial.units(dtype))


def _on_numpy(*lists: Weights) -> list[Weights]:
    return [[t.to("numpy") for t in one] for one in lists]


def second(trial: LayerTrial) -> None:
    """The gradient of a gradient agrees with central differences of the gradient."""
    for training in _modes(trial):
        for dtype in stored(trial.device, "f8"):
            f, weights, moved = _at(trial, dtype, training)

            def gradient(*primals: Any, f: Function = f) -> Any:
                ys, pullback = pg.vjp(f, *primals)
                return pullback([pattern(y) for y in ys])

            if weights or moved:
                with told(_called(training)):
                    check_derivatives(gradient, weights, moved, order=1, difference=1e-5)


def every_parameter_is_used(trials: Sequence[LayerTrial]) -> None:
    """Every Parameter gets a gradient, one that is not zero throughout for some sample, in training or evaluation."""
    used: dict[str, bool] = {}
    for trial in trials:
        for training in _modes(trial):
            layer = trial.ready(usual(trial.device), training)
            y = loss(layer(*trial.inputs(usual(trial.device))))
            if y.requires_grad:
                y.backward()
            for path, p in layer.named_parameters():
                reached = p.grad is not None and bool(np.any(p.grad.numpy() != 0))
                used[path] = used.get(path, False) or reached
    idle = [path for path, reached in used.items() if not reached]
    assert not idle, f"no loss depends on {', '.join(idle)}: backward() gives no gradient, or zeros"


def backward_and_grad_agree(trial: LayerTrial) -> None:
    """``loss.backward()`` leaves in ``.grad`` what ``plugrad.grad`` gives, twice in a row."""
    dtype = usual(trial.device)
    layer = trial.ready(dtype, True)
    twin = trial.ready(dtype, True)
    xs = [x.requires_grad_() if is_floating(x) else x for x in trial.inputs(dtype)]
    places = [i for i, x in enumerate(xs) if is_floating(x)]
    if not layer.parameters() and not places:
        return
    for turn in ("first", "second"):
        trial.seed(layer, 5)
        layer.zero_grad()
        for i in places:
            xs[i].grad = None
        loss(layer(*xs)).backward()
        trial.seed(twin, 5)
        argnums = tuple([*([0] if layer.parameters() else []), *[i + 1 for i in places]])
        found = pg.grad(lambda m, *given: loss(m(*given)), argnums)(twin, *[x.detach() for x in xs])
        wanted = list(found)
        if layer.parameters():
            for (path, p), g in zip(layer.named_parameters(), pg.tree.leaves(wanted.pop(0)), strict=True):
                _same(trial, f"{turn} call, {path}: .grad and plugrad.grad", p.grad, g)
        for i, g in zip(places, wanted, strict=True):
            _same(trial, f"{turn} call, input {i}: .grad and plugrad.grad", xs[i].grad, g)


def _same(trial: LayerTrial, what: str, got: pg.Tensor | None, wanted: pg.Tensor) -> None:
    got = wanted.zeros_like() if got is None else got
    assert got.dtype == wanted.dtype, f"{what}: {got.dtype} and {wanted.dtype}"
    agree(what, got, wanted, wanted.dtype, trial.units(wanted.dtype))


def _smooth(trial: LayerTrial) -> bool:
    return trial.right and trial.sample.smooth


def _right(trial: LayerTrial) -> bool:
    return trial.right


DERIVATIVES = (
    Rule("gradients", gradients, _smooth),
    Rule("second", second, _smooth, slow=True),
    Rule("every_parameter_is_used", every_parameter_is_used, _right, joint=True),
    Rule("backward_and_grad_agree", backward_and_grad_agree, _right),
)
