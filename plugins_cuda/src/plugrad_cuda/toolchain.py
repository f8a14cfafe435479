"""The seam between kernel text and what the driver loads. Knows no device and no op.

The package compiles through NVRTC; tests put another toolchain in its place, which compiles the same text for the
host's processor.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol


class Toolchain(Protocol):
    """Turns kernel text into a loadable object."""

    def build(self, source: str, names: Sequence[str], arch: str) -> Any:
        """The ``cuda.core.ObjectCode`` with the ``extern "C"`` kernels ``names`` of ``source``, for ``arch``
        ("sm_90").
        """


def core() -> Any:
    """The module ``cuda.core``, or what it was called before version 1."""
    module = importlib.import_module("cuda.core")
    return module if hasattr(module, "launch") else importlib.import_module("cuda.core.experimental")


def cache_folder() -> Path:
    """Where compiled kernels are kept: PLUGRAD_CUDA_CACHE, or a folder in the user's cache."""
    given = os.environ.get("PLUGRAD_CUDA_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "plugrad-cuda"


class Nvrtc:
    """NVIDIA's run-time compiler, to machine code for an explicit architecture: PTX of a compiler that is newer than
    the driver could not be loaded, and asking for the architecture would need the driver.

    The result is kept on disk where this release of cuda.core can, unless ``cached`` is false.
    """

    def __init__(self, *, cached: bool = True) -> None:
        self._cache = _disk_cache() if cached else None

    def build(self, source: str, names: Sequence[str], arch: str) -> Any:
        """As the protocol says. The text must include nothing: NVRTC has no headers, and includes bar the cache."""
        return self.compile(source, arch)

    def compile(self, source: str, arch: str, logs: Any = None, **options: Any) -> Any:
        """``build`` with further options of the compiler, and a file for what it says.

        Arithmetic is IEEE's, with the compiler's usual contraction of a * b + c; there is no fast mathematics.
        """
        cuda = core()
        program = cuda.Program(source, "c++", cuda.ProgramOptions(arch=arch, std="c++17", **options))
        where = {} if self._cache is None else {"cache": self._cache}
        return program.compile("cubin", logs=logs, **where)


def _disk_cache() -> Any:
    """The cache of compiled programs; None where cuda.core has none, or the folder cannot be written."""
    try:
        utils = importlib.import_module("cuda.core.utils")
        return utils.FileStreamProgramCache(cache_folder(), max_size_bytes=1 << 28)
    except (ImportError, AttributeError, OSError):
        return None


_chosen: Toolchain | None = None
_default: Toolchain | None = None


def use(toolchain: Toolchain | None) -> None:
    """Make ``toolchain`` this process's; None: NVRTC again. Kernels that are built already stay."""
    global _chosen
    _chosen = toolchain


def replaced() -> bool:
    """Whether another toolchain than NVRTC is in use."""
    return _chosen is not None


def current() -> Toolchain:
    """The toolchain in use."""
    global _default
    if _chosen is not None:
        return _chosen
    if _default is None:
        _default = Nvrtc()
    return _default
