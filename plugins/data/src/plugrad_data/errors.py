"""The errors of this distribution. Each is a plugrad error and the built-in error a NumPy user would expect."""

from __future__ import annotations

from plugrad.errors import MissingExtraError, PlugradError

__all__ = ["DataFileError", "MissingDataError", "MissingExtraError"]


class MissingDataError(PlugradError, FileNotFoundError):
    """A data file is not where it was looked for; the message names every place and the remedy."""


class DataFileError(PlugradError, ValueError):
    """A data file is damaged or not of the expected kind; the message names the file, what was expected and what
    was found."""
