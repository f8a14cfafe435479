"""Rules of layers: the same results, state and randomness under every transformation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import plugrad as pg

from ..kit.declare import Operand
from .asking import Rule, agree, arrays_of, flat, held, is_floating, pattern, tensors_of, told, unchanged, usual, widest
from .layer_trial import LayerTrial, loss, states

BATCH = 3
DRAWS = 400
"""Calls in training whose mean is compared with evaluation."""
DEVIATIONS = 7.0
"""Standard deviations that a mean may be away."""


def batching(trial: LayerTrial) -> None:
    """``vmap`` over a batch of inputs is a loop, in evaluation mode: all of them mapped, and each alone."""
    dtype = widest(trial.device)
    layer = trial.ready(dtype)
    rows = [_around(trial, dtype, k) for k in range(BATCH)]
    n = len(rows[0])
    stacked = tensors_of([np.stack(column) for column in zip(*rows, strict=True)], trial.device)
    single = [tensors_of(row, trial.device) for row in rows]
    masks = [(True,) * n] + [tuple(i == j for j in range(n)) for i in range(n) if n > 1]
    for mask in masks[: 1 if trial.quick else None]:
        given = [all_ if on else one for all_, one, on in zip(stacked, single[0], mask, strict=True)]
        got = flat(pg.vmap(lambda *xs: layer(*xs), tuple([0 if on else None for on in mask]))(*given))
        loop = [flat(layer(*[row[i] if on else single[0][i] for i, on in enumerate(mask)])) for row in single]
        wanted = [np.stack(column) for column in zip(*loop, strict=True)]
        mapped = ", ".join([str(i) for i, on in enumerate(mask) if on])
        agree(f"{dtype}, vmap over inputs {mapped} and a loop", got, wanted, dtype, trial.units(dtype))


def _around(trial: LayerTrial, dtype: np.dtype, k: int) -> list[np.ndarray]:
    """Inputs number ``k``: drawn anew, or the given elements moved a little."""
    found = arrays_of(trial.sample.inputs, dtype, 1000 * k)
    for i, one in enumerate(trial.sample.inputs):
        if not isinstance(one, Operand) and is_floating(found[i]):
            found[i] = (found[i] * (1 + 0.05 * k)).astype(dtype)
    return found


def staging(trial: LayerTrial) -> None:
    """A compiled layer gives what the layer gives, for other inputs too; in training mode it leaves the same state and
    the same place of the generators.
    """
    dtype = usual(trial.device)
    for training in (False, True):
        mode = "training" if training else "evaluation"
        eager, twin = trial.ready(dtype, training), trial.ready(dtype, training)
        compiled = pg.compile(lambda *xs, m=twin: m(*xs))
        trial.seed(eager, 7)
        wanted = [flat(eager(*tensors_of(_around(trial, dtype, k), trial.device))) for k in range(BATCH)]
        place = pg.random.generator().state.tolist()
        trial.seed(twin, 7)
        for k in range(BATCH):
            got = compiled(*tensors_of(_around(trial, dtype, k), trial.device))
            agree(f"call {k} in {mode}, compiled and eager", got, wanted[k], dtype, trial.units(dtype))
        after = pg.random.generator().state.tolist()
        assert after == place, (
            f"{mode}: the default generator is at {after} after compiled calls, {place} after eager ones"
        )
        for (path, t), (_, e) in zip(twin.named_tensors(), eager.named_tensors(), strict=True):
            agree(f"{path} after calls in {mode}, compiled and eager", t, e, dtype, trial.units(dtype))


def training_state(trial: LayerTrial) -> None:
    """A call in training writes the state once, by every road; none in evaluation; the tape never reaches it."""
    dtype = usual(trial.device)
    xs = trial.inputs(dtype)
    wanted: dict[Any, np.ndarray] | None = None
    for road, call in _roads().items():
        with told(f"called by {road}"):
            layer = trial.ready(dtype, training=True)
            if road in ("grad", "value_and_grad", "jvp") and not _differentiated(layer, xs):
                continue
            fixed = held(layer.named_parameters())
            call(layer, xs)
            after = held([(path, t) for path, t in states(layer)])
            recorded = [path for path, t in states(layer) if t.requires_grad]
            assert not recorded, f"{', '.join(recorded)} is recorded on the tape; keep it in a Buffer, or detach it"
            unchanged("parameters after a call in training", fixed, held(layer.named_parameters()))
            wanted = after if wanted is None else wanted
            assert after.keys() == wanted.keys(), f"the state is {', '.join(after)}, eager {', '.join(wanted)}"
            for path, array in after.items():
                agree(f"{path} after one call, {road} and eager", array, wanted[path], dtype, trial.units(dtype))
            layer.eval()
            call(layer, xs)
            unchanged("a call in evaluation", after, held(states(layer)))


def _differentiated(layer: pg.Module, xs: list[pg.Tensor]) -> tuple[int, ...]:
    """The numbers of the arguments of ``f(layer, *xs)`` that have a derivative."""
    return tuple([*([0] if layer.parameters() else []), *[i + 1 for i, x in enumerate(xs) if is_floating(x)]])


def _roads() -> dict[str, Callable[[pg.Module, list[pg.Tensor]], Any]]:
    def total(m: pg.Module, *xs: pg.Tensor) -> pg.Tensor:
        return loss(m(*xs))

    def backward(m: pg.Module, xs: list[pg.Tensor]) -> None:
        y = total(m, *[x.detach().requires_grad_() if is_floating(x) else x for x in xs])
        if y.requires_grad:
            y.backward()

    def forward(m: pg.Module, xs: list[pg.Tensor]) -> None:
        leaves, trained, build = pg.tree.flatten(m)
        tangent = build([pattern(t) if on else None for t, on in zip(leaves, trained, strict=True)])
        pg.jvp(total, (m, *xs), (tangent, *[pattern(x) if is_floating(x) else None for x in xs]))

    return {
        "eager": lambda m, xs: m(*xs),
        "backward": backward,
        "grad": lambda m, xs: pg.grad(total, _differentiated(m, xs))(m, *xs),
        "value_and_grad": lambda m, xs: pg.value_and_grad(total, _differentiated(m, xs))(m, *xs),
        "jvp": forward,
        "compile": lambda m, xs: pg.compile(lambda *given: m(*given))(*xs),
    }


def random(trial: LayerTrial) -> None:
    """Random layers: other draws give another result, the same seed the same; evaluation does not draw. Others: two
    calls in training from one state agree.
    """
    dtype = usual(trial.device)
    xs = trial.inputs(dtype)

    def called(seed: int, training: bool) -> list[np.ndarray]:
        layer = trial.ready(dtype, training)
        trial.seed(layer, seed)
        return flat(layer(*xs))

    same, other = called(11, True), called(12, True)
    agree("training, twice after the same seed", called(11, True), same, dtype)
    agree("evaluation after two seeds", called(12, False), called(11, False), dtype)
    layer = trial.ready(dtype)
    first = flat(layer(*xs))
    agree("evaluation, twice in a row", flat(layer(*xs)), first, dtype)
    if not trial.sample.random:
        agree("random=False, training after two seeds", other, same, dtype)
        return
    layer = trial.ready(dtype, True)
    trial.seed(layer, 11)
    first, then = flat(layer(*xs)), flat(layer(*xs))
    for what, ys in (("two seeds give", other), ("two calls in a row give", then)):
        differ = any(not np.array_equal(a, b) for a, b in zip(first, ys, strict=True))
        assert differ, f"random=True, but in training {what} the same result"


def unbiased(trial: LayerTrial) -> None:
    """The mean of many calls in training mode is near what evaluation mode gives."""
    dtype = usual(trial.device)
    xs = trial.inputs(dtype)
    wanted = flat(trial.ready(dtype)(*xs))
    layer = trial.ready(dtype, True)
    trial.seed(layer, 13)
    calls = [flat(layer(*xs)) for _ in range(DRAWS)]
    for i, want in enumerate(wanted):
        drawn = np.stack([call[i] for call in calls]).astype(np.float64)
        mean, spread = drawn.mean(axis=0), drawn.std(axis=0)
        away = np.abs(mean - want) > DEVIATIONS * spread / DRAWS**0.5 + 1e-5 * (1.0 + np.abs(want))
        if np.any(away):
            at = tuple(int(k) for k in np.argwhere(away)[0])
            told = f"expected {want[at]:.4g} ± {DEVIATIONS * spread[at] / DRAWS**0.5:.2g} at {at}, came {mean[at]:.4g}"
            raise AssertionError(f"result {i}, the mean of {DRAWS} calls in training and evaluation: {told}")


def _right(trial: LayerTrial) -> bool:
    return trial.right


TRANSFORMATIONS = (
    Rule("batching", batching, lambda trial: trial.right and bool(trial.sample.inputs)),
    Rule("staging", staging, _right),
    Rule("training_state", training_state, _right),
    Rule("random", random, _right),
    Rule("unbiased", unbiased, lambda trial: trial.right and trial.sample.unbiased),
)
