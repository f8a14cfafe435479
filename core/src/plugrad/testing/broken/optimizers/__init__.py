"""Optimizers with one fault each."""

from .effects import EFFECTS
from .numbers import NUMBERS
from .saving import SAVING

OPTIMIZERS = [*NUMBERS, *EFFECTS, *SAVING]
"""Faults of optimizers."""

__all__ = ["OPTIMIZERS"]
