"""Checks of layers and losses: the samples of one name, on one device.

What a layer owes is what ``plugrad.Module`` promises to its users: it is a tree of Parameters and Buffers, called in
training or evaluation mode, that means the same under every transformation. Randomness comes from generators of
``plugrad.random`` only, state is kept in Buffers only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import plugrad as pg

from ..kit.check import Check
from ..kit.declare import LayerSample, Operand
from .asking import (
    Rule,
    agree,
    arrays_of,
    checks_of,
    flat,
    held,
    is_floating,
    refused,
    stored,
    tensors_of,
    unchanged,
    units,
    usual,
    widest,
)
from .layer_derivatives import DERIVATIVES
from .layer_state import STATE
from .layer_transformations import TRANSFORMATIONS
from .layer_trial import LayerTrial

LOW_UNITS = 16.0
"""Units in the last place that a result in half precision may be away from float32's, unless the sample says more."""


def checks(samples: Sequence[LayerSample], device: str, quick: bool = False) -> list[Check]:
    """The checks of one layer or loss, all samples having its name. Random ones are not asked for where the device
    does not store the integers that random numbers are made of.

    >>> checks([LayerSample("dense", inputs=())], "numpy")[0].name
    'layer.dense.makes'
    """
    draws = bool(stored(device, "u4"))
    trials = [LayerTrial(sample, device, quick) for sample in samples if draws or not sample.random]
    kind, name = samples[0].kind, samples[0].name
    return checks_of(kind, name, device, quick, trials, (*RULES, *DERIVATIVES, *TRANSFORMATIONS, *STATE))


class _Draws(pg.Observer):
    """Whether random bits were drawn."""

    seen = False

    def call(self, run: Any, op: Any, xs: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        self.seen |= op.name == "random_bits"
        return run()


def makes(trial: LayerTrial) -> None:
    """The seed decides the parameters, all of them on the device; instances have nothing in common."""
    with _Draws() as draws:
        one = trial.made(1)
    two, other = trial.made(1), trial.made(2)
    for path, t in one.named_tensors():
        assert t.device == trial.full_device, f"{path} is on {t.device}, the default device is {trial.full_device}"
    first, second, third = [held(m.named_tensors()) for m in (one, two, other)]
    unchanged("made twice after manual_seed(1)", first, second)
    random = {path for path, array in first.items() if is_floating(array) and np.unique(array).size > 1}
    if draws.seen and random and trial.follows_the_seed:
        told = "random bits were drawn, but manual_seed(1) and manual_seed(2) give the same tensors"
        assert any(not np.array_equal(first[path], third[path]) for path in random), told
    if not draws.seen:
        unchanged("made after manual_seed(1) and manual_seed(2), no random bits being drawn", first, third)
    shared = {id(t): path for path, t in one.named_tensors()}
    for path, t in two.named_tensors():
        assert id(t) not in shared, f"{shared.get(id(t))} of one instance is {path} of another"


def output(trial: LayerTrial) -> None:
    """Shape as declared; floating results in the dtype of the parameters and inputs, on the device, finite."""
    for dtype in [usual(trial.device)] if trial.quick else stored(trial.device, "f4", "f8"):
        for training in (False, True):
            layer, xs = trial.ready(dtype, training), trial.inputs(dtype)
            results = pg.tree.leaves(layer(*xs))
            what = f"{dtype} in {'training' if training else 'evaluation'}"
            assert results, f"{what}: expected a tensor, came nothing"
            if trial.sample.output is not None:
                got = results[0].shape
                assert got == trial.sample.output, f"{what}: expected shape {trial.sample.output}, came {got}"
            floating = any(is_floating(t) for t in [*xs, *layer.parameters()])
            for t in results:
                assert t.device == trial.full_device, f"{what}: expected a result on {trial.full_device}, on {t.device}"
                if is_floating(t):
                    assert t.dtype == dtype or not floating, f"{what}: expected a result of {dtype}, came {t.dtype}"
                    finite = np.isfinite(t.detach().numpy().astype(np.float64))
                    assert np.all(finite), f"{what}: {np.count_nonzero(~finite)} of {t.size} elements are not finite"


def reference(trial: LayerTrial) -> None:
    """Evaluation mode gives what the sample's independent implementation gives."""
    dtype = widest(trial.device)
    layer, arrays = trial.ready(dtype), arrays_of(trial.sample.inputs, dtype)
    wide = [a.astype(np.float64) if is_floating(a) else a for a in arrays]
    state = {k: a.astype(np.float64) if is_floating(a) else a for k, a in held(layer.named_tensors()).items()}
    assert trial.sample.reference is not None
    wanted = trial.sample.reference(state, *wide)
    got = layer(*tensors_of(arrays, trial.device))
    agree(f"{dtype}, layer and reference", got, wanted, dtype, trial.units(dtype))


def device(trial: LayerTrial) -> None:
    """``to`` moves everything, keeps the handles, and the layer computes the same on "numpy", there and back."""
    dtype = widest(trial.device)
    arrays = arrays_of(trial.sample.inputs, dtype)
    layer = trial.ready(dtype)
    here = flat(layer(*tensors_of(arrays, trial.device)))
    handles = dict(layer.named_tensors())
    for there in ("numpy", trial.full_device):
        assert layer.to(there) is layer, f"to({there!r}) gave back another object"
        for path, t in layer.named_tensors():
            assert handles.get(path) is t, f"to({there!r}) replaced {path} by another handle"
            assert t.device == there, f"after to({there!r}) {path} is on {t.device}"
            assert t.requires_grad or not isinstance(t, pg.Parameter), f"to({there!r}): {path} requires no grad now"
        got = layer(*tensors_of(arrays, there))
        agree(f"{dtype}, after to({there!r}) and before", got, here, dtype, trial.units(dtype))


def low_precision(trial: LayerTrial) -> None:
    """float16 and bfloat16: finite, and near what the same numbers give in float32."""
    for dtype in stored(trial.device, "f2", "bf2")[: 1 if trial.quick else 2]:
        layer, arrays = trial.ready(dtype), arrays_of(trial.sample.inputs, dtype)
        wide = trial.ready(usual(trial.device))
        wide.load_state_dict({k: v.detach().astype(wide_t.dtype) for (k, v), (_, wide_t) in _pairs(layer, wide)})
        xs = tensors_of([a.astype(usual(trial.device)) if is_floating(a) else a for a in arrays], trial.device)
        got, wanted = layer(*tensors_of(arrays, trial.device)), wide(*xs)
        for a in flat(got):
            finite = not is_floating(a) or bool(np.all(np.isfinite(a.astype(np.float64))))
            assert finite, f"{dtype}: elements are not finite: {a.ravel()[:8]}"
        declared = trial.sample.tolerance
        bound = LOW_UNITS if isinstance(declared, str) else max(LOW_UNITS, units(declared, dtype))
        agree(f"{dtype} and {usual(trial.device)}", got, wanted, dtype, bound)


def _pairs(one: pg.Module, two: pg.Module) -> list[tuple[tuple[str, pg.Tensor], tuple[str, pg.Tensor]]]:
    return list(zip(one.named_tensors(), two.named_tensors(), strict=True))


def inputs_unchanged(trial: LayerTrial) -> None:
    """A call leaves inputs and Python attributes as they were, in evaluation mode the state too, in training mode all
    Parameters.
    """
    dtype = usual(trial.device)
    for training in (False, True):
        mode = "training" if training else "evaluation"
        layer, xs = trial.ready(dtype, training), trial.inputs(dtype)
        names = [f"input {i}" for i in range(len(xs))]
        before, state = held(zip(names, xs, strict=True)), held(layer.named_tensors())
        structure = pg.tree.flatten(layer)[2].signature()
        layer(*xs)
        unchanged(f"a call in {mode}", before, held(zip(names, xs, strict=True)))
        after = held(layer.named_tensors())
        kept = list(state) if not training else [path for path, _ in layer.named_parameters()]
        for path in kept:
            assert path in after, f"a call in {mode} took {path} away"
        unchanged(f"a call in {mode}", {p: state[p] for p in kept}, {p: after[p] for p in kept})
        same = pg.tree.flatten(layer)[2].signature() == structure
        assert same, f"a call in {mode} changed Python attributes; keep state in a Buffer"


def errors(trial: LayerTrial) -> None:
    """Wrong inputs raise the declared error, which says where it comes from, before anything has changed; where work is
    queued, at the latest when the result is looked at.
    """
    assert trial.sample.raises is not None
    dtype = usual(trial.device)
    layer = trial.cast(trial.made(), dtype)
    xs, state = trial.inputs(dtype), held(layer.named_tensors())

    def looked_at() -> Any:
        return [y.detach().numpy() for y in pg.tree.leaves(layer(*xs))]

    text = refused("wrong inputs", trial.sample.raises, looked_at)
    parts = {type(m).__name__ for m in layer.modules()} | {trial.sample.name}
    head = text.partition(":")[0].strip()
    tails = {name.rpartition(".")[2] for name in pg.OPS}
    public = callable(getattr(pg, head, None))
    named = public or head in pg.OPS or head in tails or any(part in text for part in parts)
    assert named, f"the {trial.sample.raises.__name__} names neither the layer nor an op: {text!r}"
    unchanged(f"after the {trial.sample.raises.__name__}", state, held(layer.named_tensors()))


def empty_batch(trial: LayerTrial) -> None:
    """A batch of no examples gives a result of no examples, or an error of plugrad."""
    dtype = usual(trial.device)
    arrays = arrays_of(trial.sample.inputs, dtype)
    n = arrays[0].shape[0]
    layer = trial.ready(dtype)
    whole = [t.shape for t in pg.tree.leaves(layer(*tensors_of(arrays, trial.device)))]
    xs = tensors_of([a[:0] if a.ndim and a.shape[0] == n else a for a in arrays], trial.device)
    try:
        results = pg.tree.leaves(layer(*xs))
    except pg.errors.PlugradError:
        return
    for full, t in zip(whole, results, strict=True):
        if full[:1] == (n,):
            assert t.shape == (0, *full[1:]), (
                f"inputs {[x.shape for x in xs]}: expected {(0, *full[1:])}, came {t.shape}"
            )


def _has_batch(trial: LayerTrial) -> bool:
    first = trial.sample.inputs[0] if trial.sample.inputs else None
    return trial.right and first is not None and len(first.shape) > 1 and isinstance(first, Operand)


RULES = (
    Rule("makes", makes, lambda trial: trial.right),
    Rule("output", output, lambda trial: trial.right),
    Rule("reference", reference, lambda trial: trial.right and trial.sample.reference is not None),
    Rule("device", device, lambda trial: trial.right),
    Rule("low_precision", low_precision, lambda trial: trial.right and bool(stored(trial.device, "f2", "bf2"))),
    Rule("inputs_unchanged", inputs_unchanged, lambda trial: trial.right),
    Rule("errors", errors, lambda trial: not trial.right),
    Rule("empty_batch", empty_batch, _has_batch),
)
