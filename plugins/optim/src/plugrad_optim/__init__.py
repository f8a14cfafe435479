"""Optimizers: pure functions over trees of parameters, and ``step()`` over them. Knows the public plugrad only."""

from __future__ import annotations

from . import schedules
from .adam import Adam
from .clipping import clip_grad_norm, clip_grad_norm_, clip_grad_value, clip_grad_value_
from .newton import Minimum, newton_cg
from .optimizer import Optimizer, Scalars, Slots
from .sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "Minimum",
    "Optimizer",
    "Scalars",
    "Slots",
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value",
    "clip_grad_value_",
    "newton_cg",
    "schedules",
]
__version__ = "0.1.0"
