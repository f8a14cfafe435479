"""The training loop and what surrounds it: progress, metrics, callbacks, checkpoints, curves.

Knows no layer, optimizer or backend.
"""

from __future__ import annotations

from . import checkpoint
from .callbacks import Callback, EarlyStopping, SaveBest, Schedule
from .curves import plot_history, plot_predictions
from .errors import MissingExtraError, NonFiniteLossError
from .evaluation import evaluate, predict
from .history import History
from .loop import Run, fit
from .metrics import accuracy

__all__ = [
    "Callback",
    "EarlyStopping",
    "History",
    "MissingExtraError",
    "NonFiniteLossError",
    "Run",
    "SaveBest",
    "Schedule",
    "accuracy",
    "checkpoint",
    "evaluate",
    "fit",
    "plot_history",
    "plot_predictions",
    "predict",
]
