"""Rules of layers: modes, saving and loading, copies."""

from __future__ import annotations

import copy
import pickle
from functools import partial

import numpy as np

import plugrad as pg

from .asking import Rule, agree, flat, held, refused, unchanged, usual
from .layer_trial import LayerTrial


def modes(trial: LayerTrial) -> None:
    """``train()`` and ``eval()`` reach every part and give back the layer; a new layer is in training mode."""
    layer = trial.made()
    assert layer.training, "a new layer is not in training mode"
    for name, call, wanted in (
        ("eval()", layer.eval, False),
        ("train()", layer.train, True),
        ("train(False)", lambda: layer.train(False), False),
    ):
        found = call()
        assert found is layer, f"{name} gave back {type(found).__name__}, expected the layer itself"
        missed = [path or "the layer" for path, m in layer.named_modules() if m.training is not wanted]
        assert not missed, f"{name}: training is not {wanted} in {', '.join(missed)}"


def state_dict(trial: LayerTrial) -> None:
    """A fresh layer that loads the state computes the same; what does not fit is refused before anything changes."""
    dtype = usual(trial.device)
    layer, xs = trial.ready(dtype), trial.inputs(dtype)
    fresh = trial.cast(trial.made(9), dtype).eval()
    saved, wanted = layer.state_dict(), flat(layer(*xs))
    keys = list(fresh.state_dict())
    assert list(saved) == keys, f"keys {', '.join(saved)} of a used layer, {', '.join(keys)} of a new one"
    odd = [k for k, v in saved.items() if not isinstance(v, pg.Tensor) or v.requires_grad]
    assert not odd, f"{', '.join(odd)} in the state is no plain tensor"
    before = held(fresh.named_tensors())
    for k in keys:
        missing = {name: value for name, value in saved.items() if name != k}
        shape = (*saved[k].shape, 2)
        crooked = {**saved, k: np.zeros(shape, saved[k].dtype)}
        for what, bad in ((f"{k} missing", missing), (f"{k} of shape {shape}", crooked)):
            errors = (pg.errors.PlugradError, KeyError, ValueError)
            refused(f"load_state_dict with {what}", errors, partial(fresh.load_state_dict, bad))
            unchanged(f"load_state_dict with {what} was refused", before, held(fresh.named_tensors()))
    for how, state in (("tensors", saved), ("arrays", {k: v.numpy() for k, v in saved.items()})):
        fresh.load_state_dict(state)
        agree(f"a layer with the loaded state ({how}) and the saved one", fresh(*xs), wanted, dtype)
        fresh = trial.cast(trial.made(10), dtype).eval()


def pickling(trial: LayerTrial) -> None:
    """Pickled and deeply copied layers are equal, of the same kinds of tensors, and independent."""
    dtype = usual(trial.device)
    layer, xs = trial.ready(dtype), trial.inputs(dtype)
    wanted, before = flat(layer(*xs)), held(layer.named_tensors())
    for how, new in (("pickle", pickle.loads(pickle.dumps(layer))), ("deepcopy", copy.deepcopy(layer))):
        assert type(new) is type(layer), f"{how}: a {type(new).__name__} came of a {type(layer).__name__}"
        assert new.training is layer.training, f"{how}: training is {new.training}, was {layer.training}"
        unchanged(how, before, held(new.named_tensors()))
        for (path, t), (_, old) in zip(new.named_tensors(), layer.named_tensors(), strict=True):
            kinds = f"{type(old).__name__} {path} on {old.device}", f"{type(t).__name__} {path} on {t.device}"
            assert kinds[0] == kinds[1], f"{how}: {kinds[0]} became {kinds[1]}"
            assert t.requires_grad is old.requires_grad, f"{how}: {path} requires_grad is {t.requires_grad} now"
            assert t is not old, f"{how}: both share {path}"
        agree(f"{how}: the copy and the layer", new(*xs), wanted, dtype)
        with pg.no_grad():
            for _, t in new.named_tensors():
                t.assign(t.zeros_like())
        unchanged(f"{how}: writes to the copy", before, held(layer.named_tensors()))
        agree(f"{how}: after writes to the copy the layer", layer(*xs), wanted, dtype)


def _right(trial: LayerTrial) -> bool:
    return trial.right


STATE = (Rule("modes", modes, _right), Rule("state_dict", state_dict, _right), Rule("pickling", pickling, _right))
