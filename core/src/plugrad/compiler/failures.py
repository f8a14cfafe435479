"""What went wrong while a function was staged, in words that may be kept: an exception holds all that it passed."""

from __future__ import annotations

from ..frames import INTERNAL
from ..plugins.names import cause


def failure(error: BaseException) -> tuple[str, str]:
    """The error in one line, and the innermost line of the user's own code that it came from."""
    where, tb = "", error.__traceback__
    while tb is not None:
        frame = tb.tb_frame
        if frame.f_globals.get("__name__", "").partition(".")[0] not in INTERNAL:
            where = f"{frame.f_code.co_filename}:{tb.tb_lineno}"
        tb = tb.tb_next
    return cause(error), where
