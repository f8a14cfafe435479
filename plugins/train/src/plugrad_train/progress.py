"""Shows a run to a person: a line for each epoch on stdout and, where tqdm is installed and stderr is a terminal,
a bar while it lasts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .callbacks import Callback

if TYPE_CHECKING:
    from .loop import Run


class Progress(Callback):
    """The bar and the lines. The bar vanishes at the end of its epoch; the lines stay."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._kept = 0  # the epoch that the checkpoint holds

    def on_fit_begin(self, run: Run) -> None:
        """Say where a resumed run goes on."""
        self._kept = run.epoch
        if run.epoch:
            left = "" if run.epoch < run.epochs and not run.stop else ", nothing left to do"
            print(f"resuming after epoch {run.epoch}{left}", flush=True)

    def on_epoch_begin(self, run: Run) -> None:
        """Open the bar."""
        tqdm = _tqdm() if sys.stderr.isatty() else None
        if tqdm is not None:
            self._bar = tqdm(
                total=run.batches, desc=f"epoch {run.epoch}/{run.epochs}", unit="batch", leave=False, file=sys.stderr
            )

    def on_step_end(self, run: Run) -> None:
        """Move it."""
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {run.loss:.4f}", refresh=False)
            self._bar.update()

    def on_epoch_end(self, run: Run) -> None:
        """Write the epoch's line."""
        self._close()
        print(line(run.epoch, run.epochs, run.row), flush=True)

    def on_checkpoint(self, run: Run) -> None:
        """Note it."""
        self._kept = run.epoch

    def on_fit_end(self, run: Run) -> None:
        """Say so when the run ended early."""
        if run.stop and run.epoch < run.epochs:
            print(f"stopped after epoch {run.epoch}", flush=True)

    def on_error(self, run: Run) -> None:
        """Leave the terminal clean; after Ctrl-C, say where the checkpoint is."""
        self._close()
        if self._kept and isinstance(sys.exception(), KeyboardInterrupt):
            print(
                f"interrupted in epoch {run.epoch}; {run.checkpoint} holds epoch {self._kept}, "
                "resume=True goes on from there",
                flush=True,
            )

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def line(epoch: int, epochs: int, row: Mapping[str, float]) -> str:
    """An epoch in one line: its number, every loss and metric, and images per second.

    >>> line(3, 20, {"loss": 0.25, "accuracy": 0.5, "images_per_second": 1234.5, "seconds": 2.0, "learning_rate": 0.1})
    'epoch  3/20  loss 0.2500  accuracy 0.5000  1,234 images/s'
    """
    hidden = ("learning_rate", "seconds", "images_per_second")
    shown = [f"{name} {value:.4f}" for name, value in row.items() if name not in hidden]
    rate = f"{row['images_per_second']:,.0f} images/s"
    return "  ".join([f"epoch {epoch:{len(str(epochs))}}/{epochs}", *shown, rate])


def _tqdm() -> Any:
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm
