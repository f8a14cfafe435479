"""The errors of this distribution. Each is a plugrad error and the built-in error a NumPy user would expect."""

from __future__ import annotations

from plugrad.errors import MissingExtraError, PlugradError

__all__ = ["MissingExtraError", "NonFiniteLossError"]


class NonFiniteLossError(PlugradError, FloatingPointError):
    """The loss became infinite or not a number; the message names epoch and step. The model has not taken that step."""
