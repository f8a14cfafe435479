"""What a run's checkpoint holds beyond the model, and how a run goes on from it.

Knows the loop's parts by what they promise only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import plugrad
from plugrad.errors import CheckpointError, StateError

from . import checkpoint
from .callbacks import Callback
from .history import History

if TYPE_CHECKING:
    from .loop import Run


def keep(run: Run, data: Any, callbacks: Sequence[Callback]) -> None:
    """Write the run's checkpoint."""
    assert run.checkpoint is not None
    checkpoint.save(
        run.checkpoint,
        run.model,
        run.optimizer,
        epoch=run.epoch,
        step=run.step,
        history=run.history.rows,
        generators={name: generator.state.tolist() for name, generator in _generators(run.model).items()},
        data=data.state_dict() if hasattr(data, "state_dict") else None,
        callbacks=[[name, callback.state_dict()] for name, callback in _labelled(callbacks)],
    )


def restore(run: Run, data: Any, callbacks: Sequence[Callback], must_exist: bool) -> bool:
    """Put everything back as it was when the checkpoint was written; False if there is none and there need not be.

    Raises ``CheckpointError``, before anything is changed, if it does not fit or was not written by ``fit``.
    """
    assert run.checkpoint is not None
    if not must_exist and not os.path.exists(run.checkpoint):
        return False
    found = checkpoint.read(run.checkpoint)
    _check(found, run, data)
    before = data.state_dict() if hasattr(data, "state_dict") else None
    if before is not None:
        _load_data(data, found)
    try:
        found.apply(run.model, run.optimizer)
    except CheckpointError:
        if before is not None:
            data.load_state_dict(before)
        raise
    _load_rest(run, callbacks, found.meta)
    return True


def _check(found: checkpoint.Checkpoint, run: Run, data: Any) -> None:
    """Raise ``CheckpointError`` for everything that can be seen without asking data and optimizer to load."""
    found.check(run.model, run.optimizer)
    missing = {"epoch", "step", "history", "generators", "data", "callbacks"} - set(found.meta)
    if missing:
        raise CheckpointError(
            f"fit: {found.path} lacks {', '.join(sorted(missing))}; resume from a file that fit(checkpoint=...) wrote"
        )
    if (found.meta["data"] is None) == hasattr(data, "state_dict"):
        raise CheckpointError(
            f"fit: {found.path} was written with data of another kind; resume with the same kind of loader"
        )
    odd = found.meta["generators"].keys() ^ _generators(run.model).keys()
    if odd:
        raise CheckpointError(
            f"fit: {found.path} and the model differ in their random generators ({', '.join(sorted(odd))}); "
            "build the model as it was"
        )


def _load_data(data: Any, found: checkpoint.Checkpoint) -> None:
    try:
        data.load_state_dict(found.meta["data"])
    except (StateError, ValueError, LookupError) as error:
        raise CheckpointError(f"fit: {found.path} does not fit the data: {error}") from error


def _load_rest(run: Run, callbacks: Sequence[Callback], meta: dict[str, Any]) -> None:
    for name, generator in _generators(run.model).items():
        generator.state.assign(np.array(meta["generators"][name], np.uint32))
    run.epoch, run.step, run.history = meta["epoch"], meta["step"], History(meta["history"])
    saved = {name: state for name, state in meta["callbacks"]}
    for name, callback in _labelled(callbacks):
        if name in saved:
            callback.load_state_dict(saved[name])


def _labelled(callbacks: Iterable[Callback]) -> Iterator[tuple[str, Callback]]:
    """Each callback with a name that a later run finds it by: its class, and a number where there are several."""
    seen: dict[str, int] = {}
    for callback in callbacks:
        name = type(callback).__qualname__
        seen[name] = seen.get(name, 0) + 1
        yield f"{name}#{seen[name]}", callback


def _generators(model: plugrad.Module) -> dict[str, plugrad.random.Generator]:
    """The default generator, and those that are attributes of modules, by dotted path."""
    found = {"default": plugrad.random.generator()}
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if isinstance(value, plugrad.random.Generator):
                found[f"model.{path}.{name}" if path else f"model.{name}"] = value
    return found
