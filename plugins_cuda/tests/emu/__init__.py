"""A CUDA driver on the CPU, for tests: the real cuda.core runs on it; g++ compiles the kernels from the same text.

``load()`` first; then use cuda.core, or plugrad on the device ``cuda``, as on a GPU. The README says what it can see.
"""

from __future__ import annotations

from .compiler import HostCompileError
from .control import Fault, Live, Report, configure, configured, last_fault, leak_check, live_bytes, report, reset
from .loader import load, loaded
from .toolchain import HostToolchain

__all__ = [
    "Fault",
    "HostCompileError",
    "HostToolchain",
    "Live",
    "Report",
    "configure",
    "configured",
    "last_fault",
    "leak_check",
    "live_bytes",
    "load",
    "loaded",
    "report",
    "reset",
]
