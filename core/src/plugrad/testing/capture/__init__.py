"""Capture: the calls that a script makes of ops, recorded in a file, and checks that make them again on a backend.

``plugrad capture SCRIPT`` writes the file; ``replay_checks(load(path), device)`` are the checks.
"""

from .format import Call, Captured, CaptureError, Forward, LeftOut, Operand, save
from .reading import load
from .recorder import Recorder
from .replay import replay_checks

__all__ = ["Call", "CaptureError", "Captured", "Forward", "LeftOut", "Operand", "Recorder"]
__all__ += ["load", "replay_checks", "save"]
