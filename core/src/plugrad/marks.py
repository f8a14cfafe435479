"""Whose memory a value is: what the ``base`` of a handle may be besides None and the root value of a view."""

from __future__ import annotations

from typing import Any


class Shared:
    """As the ``base`` of a handle: its value shares memory with the root value, but is no view that one would write
    through.
    """

    __slots__ = ("root",)

    def __init__(self, root: Any) -> None:
        self.root = root


FOREIGN = object()
"""Marks memory that is not plugrad's: never written, copied before it is recorded."""
LENT = Shared(None)
"""As FOREIGN, but the user said ``copy=False``: it may be recorded as it is."""

LITERAL = Shared(None)
"""A Python number as a tensor: part of the program wherever it occurs, and never anybody's state."""
