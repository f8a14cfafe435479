"""Whether the backend can run here, and with which kernels; asks one small extension module and loads no kernel."""

from __future__ import annotations

import importlib.machinery
from pathlib import Path

MODULES = ("cpuid", "tables", "view")


def available() -> bool | str:
    """True, or why not: a module is missing, or ``PLUGRAD_CPU_ISA`` asks for what this processor lacks."""
    folder = Path(__file__).parent
    suffixes = importlib.machinery.EXTENSION_SUFFIXES
    for module in MODULES:
        if not any((folder / f"{module}{suffix}").exists() for suffix in suffixes):
            return f"the extension module plugrad_cpu.{module} is not built for this Python; reinstall plugrad-cpu"
    try:
        from . import cpuid

        cpuid.chosen()
    except (ImportError, ValueError) as error:
        return str(error)
    return True
