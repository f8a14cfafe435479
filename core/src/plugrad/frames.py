"""Where in the user's own code a call came from."""

from __future__ import annotations

import sys

INTERNAL = {"copy", "numpy", "plugrad"}
"""Top-level packages that are not the user's own code: plugrad, what it is called through, and, added by the loader,
those of the plugins.
"""


def user_level() -> int:
    """The ``stacklevel`` of the nearest frame outside plugrad and its plugins, seen from the caller."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in INTERNAL:
        frame, level = frame.f_back, level + 1
    return level


def user_line() -> str:
    """``file:line`` of the nearest frame outside plugrad and its plugins."""
    frame = sys._getframe(user_level() - 1)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
