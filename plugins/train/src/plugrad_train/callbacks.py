"""What may watch and steer a run.

A callback overrides the events it cares about; the loop knows none of them by name.
"""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from . import checkpoint

if TYPE_CHECKING:
    from .loop import Run


class Callback:
    """Events, in order; each gets the ``Run``, whose fields say where it stands, and may set ``run.stop``.

    on_fit_begin    before the first epoch, after a resume
    on_epoch_begin  ``run.epoch`` is the epoch, counted from 1
    on_step_end     ``run.step`` optimizer steps are done; ``run.loss`` is the last batch's
    on_epoch_end    ``run.row`` has the epoch's numbers, validation included, and may be added to
    on_checkpoint   the checkpoint ``run.checkpoint`` has been written
    on_fit_end      after the last epoch
    on_error        instead, when an exception ends the run

    A class that defines an ``on_...`` method of another name raises ``TypeError``: it would never be called. What
    ``state_dict()`` returns (JSON values) is kept in checkpoints and given back on resume, before ``on_fit_begin``.
    """

    events: ClassVar[tuple[str, ...]] = (
        "on_fit_begin",
        "on_epoch_begin",
        "on_step_end",
        "on_epoch_end",
        "on_checkpoint",
        "on_fit_end",
        "on_error",
    )

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        unknown = [name for name in vars(cls) if name.startswith("on_") and name not in Callback.events]
        if unknown:
            raise TypeError(
                f"{cls.__name__}: no event {', '.join(unknown)}; the events are {', '.join(Callback.events)}"
            )

    def on_fit_begin(self, run: Run) -> None:
        """Before the first epoch."""

    def on_epoch_begin(self, run: Run) -> None:
        """Before an epoch."""

    def on_step_end(self, run: Run) -> None:
        """After an optimizer step."""

    def on_epoch_end(self, run: Run) -> None:
        """After an epoch and its validation."""

    def on_checkpoint(self, run: Run) -> None:
        """After a checkpoint was written."""

    def on_fit_end(self, run: Run) -> None:
        """After the last epoch."""

    def on_error(self, run: Run) -> None:
        """When an exception ends the run."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what ``state_dict`` returned."""


class _Watch(Callback):
    """Keeps the best value of a column."""

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"{type(self).__name__}: mode {mode!r} is unknown; use 'min' or 'max'")
        self.monitor, self.mode, self.min_delta = monitor, mode, float(min_delta)
        self.best: float | None = None

    def improved(self, run: Run) -> bool:
        """Whether this epoch's value beats the best so far by more than ``min_delta``; keeps it if so."""
        if self.monitor not in run.row:
            raise ValueError(
                f"{type(self).__name__}: no number {self.monitor!r} in this run; there are {', '.join(run.row)}"
            )
        value = run.row[self.monitor]
        if math.isnan(value):
            return False
        if self.best is not None:
            gain = self.best - value if self.mode == "min" else value - self.best
            if not gain > self.min_delta:
                return False
        self.best = value
        return True

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best = state["best"]


class EarlyStopping(_Watch):
    """Stop when ``monitor`` has not improved by more than ``min_delta`` for ``patience`` epochs in a row.

    ``mode`` says whether smaller ("min") or larger ("max") is better. Raises ``ValueError`` in the first epoch if
    nothing of that name is measured.
    """

    def __init__(
        self, monitor: str = "validation_loss", patience: int = 5, min_delta: float = 0.0, mode: str = "min"
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if patience < 1:
            raise ValueError(f"EarlyStopping: patience {patience} must be at least 1")
        self.patience = patience
        self.waited = 0

    def on_fit_begin(self, run: Run) -> None:
        """A resumed run that had been stopped stays stopped."""
        run.stop = run.stop or self.waited >= self.patience

    def on_epoch_end(self, run: Run) -> None:
        """Count the epochs without improvement."""
        self.waited = 0 if self.improved(run) else self.waited + 1
        run.stop = run.stop or self.waited >= self.patience

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.waited = state["waited"]


class SaveBest(_Watch):
    """Write the model to ``path`` whenever ``monitor`` beats its best; ``checkpoint.load(path, model)`` brings
    that model back."""

    def __init__(self, path: str | os.PathLike[str], monitor: str = "validation_loss", mode: str = "min") -> None:
        super().__init__(monitor, mode)
        self.path = path

    def on_epoch_end(self, run: Run) -> None:
        """Save if better."""
        if self.improved(run):
            checkpoint.save(self.path, run.model, epoch=run.epoch, **{self.monitor: self.best})


class Schedule(Callback):
    """Set ``optimizer.learning_rate`` before each epoch to ``rate(epoch)`` or ``rate(epoch, epochs)``.

    ``epoch`` is counted from 0 and ``epochs`` is what ``fit`` was given. A function that needs one argument, such as
    the schedules of plugrad_optim, gets the epoch; its steps are then epochs. Raises ``TypeError`` for one that takes
    neither.

    >>> halved = Schedule(lambda epoch: 0.1 * 0.5**epoch)
    >>> falling = Schedule(lambda epoch, epochs: 0.1 * (1 - epoch / epochs))
    >>> halved.rate(2, 10), falling.rate(5, 10)
    (0.025, 0.05)
    """

    def __init__(self, rate: Callable[..., float]) -> None:
        self.rate: Callable[[int, int], float] = _of_epoch_and_epochs(rate)

    def on_epoch_begin(self, run: Run) -> None:
        """Set it."""
        run.optimizer.learning_rate = float(self.rate(run.epoch - 1, run.epochs))


def _of_epoch_and_epochs(rate: Callable[..., float]) -> Callable[[int, int], float]:
    """``rate`` as a function of two arguments; optional ones beyond the first are left to their defaults."""
    if not callable(rate):
        raise TypeError(f"Schedule: {rate!r} is not a function; give rate(epoch) or rate(epoch, epochs)")
    try:
        wanted = inspect.signature(rate)
    except ValueError:  # a function of C that does not say
        return rate
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p for p in wanted.parameters.values() if p.kind in positional and p.default is p.empty]
    for count in (1, 2) if len(needed) == 1 else (2, 1):
        try:
            wanted.bind(*range(count))
        except TypeError:
            continue
        return rate if count == 2 else lambda epoch, epochs: rate(epoch)
    name = getattr(rate, "__name__", type(rate).__name__)
    raise TypeError(f"Schedule: {name}{wanted} takes other arguments; give rate(epoch) or rate(epoch, epochs)")
