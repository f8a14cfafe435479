"""The training loop. It is handed model, optimizer, loss and data, and knows only what they promise: see ``fit``."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from typing import Any

import plugrad
from plugrad.errors import ShapeError

from . import resuming
from .callbacks import Callback
from .errors import NonFiniteLossError
from .evaluation import batches, check_walkable, count, evaluate
from .history import History
from .metrics import Mean, Metric, named
from .progress import Progress


class Run:
    """Where a run stands: what callbacks see. Everything may be read; ``stop`` and ``row`` may be written."""

    def __init__(
        self, model: plugrad.Module, optimizer: Any, epochs: int, batches: int | None, checkpoint: str | None
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.epochs = epochs
        self.batches = batches  # in an epoch; None if the data cannot tell
        self.checkpoint = checkpoint
        self.epoch = 0  # begun, or done between two epochs
        self.step = 0  # optimizer steps done, over all epochs
        self.loss = math.nan
        self.row: dict[str, float] = {}
        self.history = History()
        self.stop = False


def fit(
    model: plugrad.Module,
    optimizer: Any,
    loss: Callable[..., Any],
    data: Iterable[Any],
    *,
    epochs: int,
    validation: Iterable[Any] | None = None,
    metrics: Mapping[str, Metric] | Iterable[Metric] = (),
    callbacks: Sequence[Callback] = (),
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool | str = False,
    progress: bool = True,
    seed: int | None = None,
) -> History:
    """Train ``model`` for ``epochs`` walks over ``data`` and return what was measured.

    model       a Module; its modules that are in evaluation mode while the model trains stay so
    optimizer   has ``step()``, which reads ``.grad`` of its parameters; for checkpoints also ``state_dict`` and
                ``load_state_dict``
    loss        ``loss(model(inputs), *targets)``, a scalar: the mean over the batch
    data        gives batches ``(inputs, *targets)`` each time it is walked: a ``DataLoader``, a list
    validation  likewise; walked in evaluation mode after each epoch
    metrics     functions ``metric(outputs, *targets)``, or a dict of them; means are weighted by batch size
    callbacks   see ``Callback``
    checkpoint  a file, written after each epoch; an exception leaves the last one whole
    resume      True: go on from ``checkpoint``, up to ``epochs`` in all, exactly as if the run had never been
                interrupted (model, optimizer, default generator, order of the data, callbacks); "if_exists": begin
                anew if there is none
    progress    print a line for each epoch, with a bar where possible
    seed        ``plugrad.manual_seed(seed)`` before the first epoch

    Raises ``NonFiniteLossError`` before a step on a loss that is not finite, ``ShapeError`` for a loss that is no
    scalar, ``CheckpointError`` for a checkpoint that does not fit, ``ValueError`` and ``TypeError`` for arguments and
    data that do not.
    """
    _check(optimizer, epochs, callbacks, checkpoint, resume)
    for given in (data, validation):
        if given is not None:
            check_walkable(given, "fit")
    measured = named(metrics)
    path = None if checkpoint is None else os.fspath(checkpoint)
    run = Run(model, optimizer, epochs, len(data) if isinstance(data, Sized) else None, path)
    watchers = [*callbacks, Progress()] if progress else list(callbacks)
    if not (resume and resuming.restore(run, data, watchers, must_exist=resume is True)) and seed is not None:
        plugrad.manual_seed(seed)
    if not model.training:
        model.train()
    try:
        _tell(watchers, "on_fit_begin", run)
        while run.epoch < epochs and not run.stop:
            _epoch(run, loss, data, validation, measured, watchers)
        _tell(watchers, "on_fit_end", run)
    except BaseException:
        _tell(watchers, "on_error", run)
        raise
    return run.history


def _epoch(
    run: Run,
    loss: Callable[..., Any],
    data: Iterable[Any],
    validation: Iterable[Any] | None,
    metrics: Mapping[str, Metric],
    watchers: Sequence[Callback],
) -> None:
    run.epoch += 1
    run.row = {}
    _tell(watchers, "on_epoch_begin", run)
    started, mean = time.perf_counter(), Mean()
    _forget_gradients(run)
    for inputs, targets in batches(data, "fit"):
        mean.add(_step(run, loss, inputs, targets, metrics), count(inputs))
        _tell(watchers, "on_step_end", run)
    seconds = time.perf_counter() - started
    run.row.update(mean.result())
    if validation is not None:
        found = evaluate(run.model, validation, loss, metrics)
        run.row.update({f"validation_{name}": value for name, value in found.items()})
    rate = getattr(run.optimizer, "learning_rate", None)
    if isinstance(rate, int | float):
        run.row["learning_rate"] = float(rate)
    run.row.update(seconds=seconds, images_per_second=mean.examples / max(seconds, 1e-9))
    run.history.rows.append(run.row)
    _tell(watchers, "on_epoch_end", run)
    if run.checkpoint is not None:
        resuming.keep(run, data, watchers)
        _tell(watchers, "on_checkpoint", run)


def _step(
    run: Run, loss: Callable[..., Any], inputs: Any, targets: tuple[Any, ...], metrics: Mapping[str, Metric]
) -> dict[str, float]:
    outputs = run.model(inputs)
    value = loss(outputs, *targets)
    if getattr(value, "shape", None) != ():
        raise ShapeError(
            f"fit: the loss has shape {getattr(value, 'shape', None)}, expected a scalar; take its .mean()"
        )
    run.loss = value.item()
    if not math.isfinite(run.loss):
        raise NonFiniteLossError(
            f"fit: the loss is {run.loss} in epoch {run.epoch}, step {run.step + 1}; "
            "the model was not changed by that step. "
            "Lower the learning rate, or look for NaN in the data and log or divide by zero in the loss"
        )
    value.backward()
    if not run.step:
        _check_parameters(run)
    run.optimizer.step()
    run.step += 1
    _forget_gradients(run)
    with plugrad.no_grad():
        return {
            "loss": run.loss,
            **{name: float(metric(outputs.detach(), *targets)) for name, metric in metrics.items()},
        }


def _forget_gradients(run: Run) -> None:
    """Of the model, and of parameters that only the optimizer knows (a loss may have some)."""
    run.model.zero_grad()
    if hasattr(run.optimizer, "zero_grad"):
        run.optimizer.zero_grad()


def _check_parameters(run: Run) -> None:
    """ValueError if the optimizer says which parameters it has, and they are neither the model's nor of use here."""
    held = getattr(run.optimizer, "parameters", None)
    held = list(held() if callable(held) else held or ())
    own = {id(p) for p in run.model.parameters()}
    if held and all(id(p) not in own and getattr(p, "grad", None) is None for p in held):
        raise ValueError(
            f"fit: the optimizer, a {type(run.optimizer).__name__}, holds none of the parameters of the model, a "
            f"{type(run.model).__name__}; make it with this model's parameters()"
        )


def _tell(watchers: Sequence[Callback], event: str, run: Run) -> None:
    for watcher in watchers:
        getattr(watcher, event)(run)


def _check(optimizer: Any, epochs: int, callbacks: Sequence[Callback], checkpoint: Any, resume: bool | str) -> None:
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"fit: epochs {epochs!r} must be a positive integer")
    if resume not in (False, True, "if_exists"):
        raise ValueError(f"fit: resume {resume!r} is unknown; use True, False or 'if_exists'")
    if resume and checkpoint is None:
        raise ValueError("fit: resume needs to know from where; pass checkpoint=FILE")
    needed = ("step",) if checkpoint is None else ("step", "state_dict", "load_state_dict")
    lacking = [name for name in needed if not callable(getattr(optimizer, name, None))]
    if lacking:
        raise TypeError(
            f"fit: the optimizer, a {type(optimizer).__name__}, has no {', '.join(lacking)}; "
            "pass one of plugrad_optim, for example"
        )
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise TypeError(
                f"fit: {callback!r} is not a Callback; derive its class from plugrad_train.Callback, "
                "and pass an object of it"
            )
