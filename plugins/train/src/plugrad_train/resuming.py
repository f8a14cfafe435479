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
        generator=plugrad.random.generator().state.numpy().tolist(),
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
    found.check(run.model, run.optimizer)
    meta = found.meta
    missing = {"epoch", "step", "history", "generator", "data", "callbacks"} - set(meta)
    if missing:
        raise CheckpointError(
            f"fit: {found.path} lacks {', '.join(sorted(missing))}; resume from a file that fit(checkpoint=...) wrote"
        )
    if (meta["data"] is None) == hasattr(data, "state_dict"):
        raise CheckpointError(
            f"fit: {found.path} was written with data of another kind; resume with the same kind of loader"
        )
    before = data.state_dict() if meta["data"] is not None else None
    if before is not None:
        _load_data(data, meta["data"], found)
    try:
        found.apply(run.model)
    except CheckpointError:
        if before is not None:
            data.load_state_dict(before)
        raise
    _load_rest(run, callbacks, meta)
    return True


def _load_data(data: Any, state: Any, found: checkpoint.Checkpoint) -> None:
    try:
        data.load_state_dict(state)
    except (StateError, ValueError, LookupError) as error:
        raise CheckpointError(f"fit: {found.path} does not fit the data: {error}") from error


def _load_rest(run: Run, callbacks: Sequence[Callback], meta: dict[str, Any]) -> None:
    plugrad.random.generator().state.assign(np.array(meta["generator"], np.uint32))
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
