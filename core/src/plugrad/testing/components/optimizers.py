"""Checks of optimizers: the samples of one name, on one device.

What an optimizer owes, whoever wrote it; none of it needs a base class:

``create("optimizer", name, params=..., **config)`` makes it. ``params`` is a Module, a Parameter, or a list, tuple or
dict of them. The configuration has ``learning_rate``, and ``weight_decay`` where weights decay.

``init(params) -> state``, ``update(grads, state, params) -> (params, state)``: pure functions over trees of floating
tensors. ``grads`` has the structure of ``params``; a parameter whose gradient is None stays. The state is a tree of
tensors, so that an update can be staged, mapped and differentiated.

``step()`` moves the parameters that it was made with along their ``.grad``; those without stay. ``learning_rate`` can
be read and set at any time; a staged update follows, so it is kept in a Buffer.

``state_dict()`` is a flat dict of tensors and numbers from which ``load_state_dict`` goes on exactly; what does not fit
is refused before anything changes. Parameters keep their dtypes; moments of half precision are float32.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import plugrad as pg

from ..kit.check import Check
from ..kit.declare import OptimizerSample
from .asking import Rule, agree, checks_of, flat, held, refused, stored, tensors_of, unchanged, units
from .optimizer_state import STATE
from .optimizer_transformations import TRANSFORMATIONS
from .optimizer_trial import SHAPES, STEPS, OptimizerTrial, give, named, saved

CLOSE = 0.1
"""What may be left of the height above a quadratic's minimum after 200 steps."""

UNITS = units("derivative", np.dtype(np.float32))
LOW_UNITS = 8.0


def checks(samples: Sequence[OptimizerSample], device: str, quick: bool = False) -> list[Check]:
    """The checks of one optimizer, all samples having its name.

    >>> checks([OptimizerSample("descent")], "numpy")[0].name
    'optimizer.descent.update_is_pure'
    """
    trials = [OptimizerTrial(sample, device, quick) for sample in samples]
    return checks_of("optimizer", samples[0].name, device, quick, trials, (*RULES, *STATE, *TRANSFORMATIONS))


def reference(trial: OptimizerTrial) -> None:
    """Several steps along changing gradients lead where the sample's reference leads, by ``step`` and by ``update``."""
    assert trial.sample.reference is not None
    dtype = trial.widest
    params = trial.parameters(dtype)
    optimizer = trial.made(params)
    chained = trial.put(trial.arrays(dtype))
    state = optimizer.init(chained)
    wanted = {name: a.astype(np.float64) for name, a in trial.arrays(dtype).items()}
    memory: dict[str, dict[str, Any]] = {name: {} for name in wanted}
    for k in range(1, STEPS + 1):
        arrays = trial.gradients(k, dtype)
        trial.walk(optimizer, params, k, k)
        chained, state = optimizer.update(trial.put(arrays), state, chained)
        for name, g in arrays.items():
            p = trial.sample.reference(wanted[name], g.astype(np.float64), memory[name], k)
            wanted[name] = np.asarray(p)
            agree(f"{name} after step {k}, step() and reference", params[name], p, dtype, UNITS)
            agree(f"{name} after step {k}, update() and reference", chained[name], p, dtype, UNITS)


def update_is_pure(trial: OptimizerTrial) -> None:
    """``update`` changes neither arguments nor optimizer, repeats itself, and its results are new tensors."""
    dtype = trial.dtype
    optimizer, state, params = trial.updated(dtype, 2)
    grads = trial.put(trial.gradients(3, dtype))
    arguments = [*params.items(), *[(f"gradient of {k}", g) for k, g in grads.items()], *named(state)]
    before, own = held(arguments), saved(optimizer.state_dict())
    structure = copy.copy(pg.tree.flatten(state)[2].signature())
    first = optimizer.update(grads, state, params)
    unchanged("update()", before, held([*arguments[: 2 * len(params)], *named(state)]))
    assert pg.tree.flatten(state)[2].signature() == structure, (
        "update() changed the structure of the state it was given"
    )
    unchanged("update(), the optimizer's own state", own, saved(optimizer.state_dict()))
    again = optimizer.update(grads, state, params)
    agree("update() called twice with the same arguments", again, first, dtype)
    kept = flat(first)
    with pg.no_grad():
        for t in pg.tree.leaves(list(again)):
            t.assign(t.detach() + 1)
        unchanged("writing to what update() returned", before, held(arguments))
        agree("after writes to another result, what update() returned", first, kept, dtype)


def step_and_update_agree(trial: OptimizerTrial) -> None:
    """Chained updates lead where steps lead, over a dict and over a Module."""
    dtype = trial.dtype
    params = trial.parameters(dtype)
    optimizer = trial.made(params)
    plain = trial.put(trial.arrays(dtype))
    state = optimizer.init(plain)
    module = _Holder(trial.parameters(dtype))
    module_state = optimizer.init(module)
    for k in range(1, 5):
        trial.walk(optimizer, params, k, k)
        grads = trial.put(trial.gradients(k, dtype))
        plain, state = optimizer.update(grads, state, plain)
        module, module_state = optimizer.update(_Holder(grads), module_state, module)
        assert isinstance(module, _Holder), f"update() of a Module gave back a {type(module).__name__}"
        for name, p in params.items():
            agree(f"{name} after {k} updates and {k} steps", plain[name], p, dtype, UNITS)
            agree(f"{name} after {k} updates of a Module and {k} steps", module.held[name], p, dtype, UNITS)
            kind = type(module.held[name]).__name__
            assert kind == "Parameter", f"update() of a Module made a {kind} of the Parameter {name}"


class _Holder(pg.Module):
    """A Module of given tensors."""

    def __init__(self, tensors: Any) -> None:
        self.held = dict(tensors)


def state_advances_once(trial: OptimizerTrial) -> None:
    """``step()`` twice is two updates with the same gradients; a parameter among others goes where it goes alone."""
    dtype = trial.dtype
    params = trial.parameters(dtype)
    optimizer = trial.made(params)
    _, _, wanted = trial.updated(dtype, 0)
    state = optimizer.init(wanted)
    arrays = trial.gradients(1, dtype)
    give(params, trial.put(arrays))
    for k in (1, 2, 3):
        optimizer.step()
        wanted, state = optimizer.update(trial.put(arrays), state, wanted)
        for name, p in params.items():
            agree(
                f"{name} after step() {k} times and {k} updates with the same gradient", p, wanted[name], dtype, UNITS
            )
    if trial.independent:
        together = trial.stepped(dtype, 4)
        for name in SHAPES:
            alone = trial.stepped(dtype, 4, (name,))[name]
            agree(
                f"{name} after 4 steps, among {len(SHAPES)} parameters and alone", together[name], alone, dtype, UNITS
            )


def minimises(trial: OptimizerTrial) -> None:
    """200 steps on a well-conditioned quadratic leave little of its height."""
    dtype = trial.dtype
    scale, aim = tensors_of(
        [np.array([1.0, 2.0, 1.3, 1.7], dtype), np.array([0.5, -1.0, 0.0, 2.0], dtype)], trial.device
    )
    p = pg.Parameter(aim + pg.asarray(np.array([1.0, -0.7, 0.8, 0.6], dtype), device=trial.device))
    optimizer = trial.made([p])

    def height() -> float:
        return float((scale * (p.detach() - aim) ** 2).sum().item())

    first = height()
    for _ in range(200):
        p.grad = scale * (p.detach() - aim)
        optimizer.step()
    left = height() / first
    assert left <= CLOSE, (
        f"after 200 steps {left:.3g} of the height above the minimum is left, expected at most {CLOSE}"
    )


def weight_decay(trial: OptimizerTrial) -> None:
    """With a gradient of zero: nothing ("none"), a factor 1 - learning_rate weight_decay ("parameter"), or the effect
    of the gradient weight_decay p ("gradient").
    """
    dtype, kind = trial.widest, trial.sample.decay
    if kind == "none":
        params = trial.parameters(dtype)
        optimizer, before = trial.made(params), held(params.items())
        give(params, {k: p.detach().zeros_like() for k, p in params.items()})
        optimizer.step()
        unchanged("a step with gradients of zero and no decay", before, held(params.items()))
        return
    assert kind in ("parameter", "gradient"), f"decay is {kind!r}; give 'none', 'parameter' or 'gradient'"
    decay = trial.sample.config.get("weight_decay", 0.0) or 0.1
    params, plain = trial.parameters(dtype), trial.parameters(dtype)
    optimizer, bare = trial.made(params, weight_decay=decay), trial.made(plain, weight_decay=0.0)
    for k in (1, 2, 3):
        before = held(params.items())
        give(params, {k: p.detach().zeros_like() for k, p in params.items()})
        give(plain, {k: p.detach() * decay for k, p in plain.items()})
        optimizer.step()
        bare.step()
        for name, p in params.items():
            shrunk = before[name] * (1 - optimizer.learning_rate * decay)
            wanted = held(plain.items())[name] if kind == "gradient" else shrunk
            agree(
                f"{name} after step {k} with a gradient of zero, decay of the {kind} by {decay}",
                p,
                wanted,
                dtype,
                UNITS,
            )


def learning_rate(trial: OptimizerTrial) -> None:
    """It is read as it was set, takes effect at the next step, and 0 stands still."""
    dtype = trial.dtype
    rate = trial.made(trial.parameters(dtype)).learning_rate
    assert isinstance(rate, float) and rate >= 0, f"learning_rate is {rate!r}, expected a number"
    given = trial.sample.config.get("learning_rate", rate)
    assert rate == given, f"learning_rate is {rate}, made with {given}"
    params = trial.parameters(dtype)
    optimizer = trial.made(params)
    optimizer.learning_rate = rate / 4
    assert optimizer.learning_rate == rate / 4, f"set to {rate / 4}, learning_rate is {optimizer.learning_rate}"
    trial.walk(optimizer, params, 1, 3)
    for name, wanted in trial.stepped(dtype, 3, learning_rate=rate / 4).items():
        agree(
            f"{name} after 3 steps, learning_rate set to {rate / 4} and made with it",
            params[name],
            wanted,
            dtype,
            UNITS,
        )
    optimizer.learning_rate = 0.0
    before = held(params.items())
    trial.walk(optimizer, params, 4, 4)
    unchanged("a step with learning_rate 0", before, held(params.items()))


def gradients_unchanged(trial: OptimizerTrial) -> None:
    """``step()`` leaves ``.grad`` where and as it was."""
    params = trial.parameters(trial.dtype)
    optimizer = trial.made(params)
    for k in (1, 2):
        grads = trial.put(trial.gradients(k, trial.dtype))
        before = held(grads.items())
        give(params, grads)
        optimizer.step()
        for name, p in params.items():
            assert p.grad is grads[name], f"step() replaced or dropped the gradient of {name}"
        unchanged("step(), the gradients", before, held(grads.items()))


def missing_gradients(trial: OptimizerTrial) -> None:
    """A parameter without a gradient stays, and its state too, by ``step`` and by ``update``."""
    dtype = trial.dtype
    params = trial.parameters(dtype)
    optimizer = trial.made(params)
    plain = trial.put(trial.arrays(dtype))
    state = optimizer.init(plain)
    begin = held(params.items())
    for k in (1, 2):
        grads: dict[str, Any] = {**trial.put(trial.gradients(k, dtype)), "b": None, "s": None}
        give(params, grads)
        optimizer.step()
        plain, state = optimizer.update(grads, state, plain)
        for name in ("b", "s"):
            agree(f"{name} after step {k} without a gradient", params[name], begin[name], dtype)
            agree(f"{name} after update {k} without a gradient", plain[name], begin[name], dtype)
            assert params[name].grad is None, f"step() gave {name} a gradient"
    if not trial.independent:
        return
    wanted = trial.stepped(dtype, 2, ("b", "s"))
    for k in (1, 2):
        arrays = trial.gradients(k, dtype)
        give(params, trial.put(arrays))
        optimizer.step()
        plain, state = optimizer.update(trial.put(arrays), state, plain)
    for name, array in wanted.items():
        what = f"{name} after 2 steps without and 2 with a gradient"
        agree(f"{what}, step() and a new optimizer", params[name], array, dtype, UNITS)
        agree(f"{what}, update() and a new optimizer", plain[name], array, dtype, UNITS)


def dtypes(trial: OptimizerTrial) -> None:
    """Parameters keep their dtypes, side by side too; half precision is near float32 and has moments of it;
    nothing else is kept wider."""
    known = stored(trial.device, "f4", "f8", "f2", "bf2")[: 3 if trial.quick else 4]
    wide = trial.stepped(trial.dtype, 3)
    for dtype in known:
        optimizer, state, updated = trial.updated(dtype, 3)
        params = trial.parameters(dtype)
        trial.walk(trial.made(params), params, 1, 3)
        for name, p in [*params.items(), *updated.items()]:
            assert p.dtype == dtype, f"{name} was {dtype}, is {p.dtype} after a step"
            low = dtype.itemsize < 4
            dt = dtype if low else trial.dtype
            agree(f"{name} of {dtype} and of {trial.dtype}", _numbers(p), wide[name], dt, LOW_UNITS if low else UNITS)
        limit = max(4, dtype.itemsize)
        for what, t in [*named(state), *named(optimizer.init(updated))]:
            moment = t.size > 1 and t.dtype.kind in "fV"
            assert not moment or t.dtype.itemsize <= limit, f"{what} of parameters of {dtype} is {t.dtype}"
            assert not moment or t.dtype.itemsize >= 4, f"{what} of parameters of {dtype} is {t.dtype}, not float32"
    mixed = {f"{k}{i}": p for i, dtype in enumerate(known) for k, p in trial.parameters(dtype, ("w",)).items()}
    optimizer = trial.made(mixed)
    give(mixed, {k: p.detach() * 0.5 for k, p in mixed.items()})
    optimizer.step()
    for (name, p), dtype in zip(mixed.items(), known, strict=True):
        assert p.dtype == dtype, f"{name} among other dtypes was {dtype}, is {p.dtype} after a step"


def _numbers(p: pg.Tensor) -> np.ndarray:
    return p.detach().numpy().astype(np.float64)


def device(trial: OptimizerTrial) -> None:
    """Parameters and moments stay on their device, and go where they go on "numpy"."""
    dtype, here = trial.widest, pg.get_default_device()
    _, state, params = trial.updated(dtype, 3)
    for name, t in [*params.items(), *[one for one in named(state) if one[1].ndim]]:
        assert t.device == here, f"{name} is on {t.device} after an update, the parameters were on {here}"
    with pg.device("numpy"):
        there = OptimizerTrial(trial.sample, "numpy", trial.quick)
        wanted = there.stepped(dtype, 3)
    stepped = trial.parameters(dtype)
    trial.walk(trial.made(stepped), stepped, 1, 3)
    for name, array in wanted.items():
        assert stepped[name].device == here, f"{name} is on {stepped[name].device} after step(), it was on {here}"
        agree(f"{name} after 3 updates, here and on numpy", params[name], array, dtype, UNITS)
        agree(f"{name} after 3 steps, here and on numpy", stepped[name], array, dtype, UNITS)


def errors(trial: OptimizerTrial) -> None:
    """A gradient of another shape is refused before anything has changed, by ``step`` and by ``update``."""
    dtype = trial.dtype
    params = trial.parameters(dtype)
    optimizer = trial.made(params)
    trial.walk(optimizer, params, 1, 1)
    plain, state = trial.put(trial.arrays(dtype)), optimizer.init(trial.put(trial.arrays(dtype)))
    for name in ("u", "b", "s"):
        shape = (2, *SHAPES[name])
        grads = {**trial.put(trial.gradients(2, dtype)), **trial.put({name: np.ones(shape, dtype)})}
        before, own = held(params.items()), saved(optimizer.state_dict())
        arguments = held([*plain.items(), *named(state)])
        give(params, grads)
        calls: tuple[tuple[str, Callable[[], Any]], ...] = (
            ("step()", optimizer.step),
            ("update()", partial(optimizer.update, grads, state, plain)),
        )
        for what, call in calls:
            refused(f"{what} with a gradient of shape {shape} for {name}", pg.errors.PlugradError, call)
            unchanged(f"{what} was refused, parameters", before, held(params.items()))
            unchanged(f"{what} was refused, the optimizer's state", own, saved(optimizer.state_dict()))
            unchanged(f"{what} was refused, its arguments", arguments, held([*plain.items(), *named(state)]))


RULES = (
    Rule("reference", reference, lambda trial: trial.sample.reference is not None),
    Rule("update_is_pure", update_is_pure),
    Rule("step_and_update_agree", step_and_update_agree),
    Rule("state_advances_once", state_advances_once),
    Rule("minimises", minimises, lambda trial: trial.sample.minimises),
    Rule("weight_decay", weight_decay),
    Rule("learning_rate", learning_rate),
    Rule("gradients_unchanged", gradients_unchanged),
    Rule("missing_gradients", missing_gradients),
    Rule("dtypes", dtypes),
    Rule("device", device),
    Rule("errors", errors),
)
