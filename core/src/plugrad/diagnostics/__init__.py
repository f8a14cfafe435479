"""Looking at what runs: how tensors print, what made a NaN, where the time goes, what the tape and graphs look like,
what ``compile`` made of a function.

Nothing here costs anything before it is asked for.
"""

from __future__ import annotations

from .display import shown
from .dot import to_dot
from .explain import explain, memory_plan
from .nan import find_nan
from .observers import observe
from .profiler import profile
from .texts import program_text

__all__ = ["explain", "find_nan", "memory_plan", "observe", "profile", "program_text", "shown", "to_dot"]
