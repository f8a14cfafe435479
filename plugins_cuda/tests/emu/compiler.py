"""The host's C++ compiler and the cache of what it made. Knows nothing of CUDA."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

CACHE_VARIABLE = "PLUGRAD_CUDA_EMU_CACHE"


class HostCompileError(RuntimeError):
    """The host compiler refused a text; the message holds what it said."""


def compiler() -> str:
    """The command: the environment's ``CXX``, or ``g++``."""
    return os.environ.get("CXX") or "g++"


@functools.cache
def identity(command: str) -> str:
    """Which compiler that is, to tell apart what two of them made."""
    try:
        done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise HostCompileError(f"CUDA's emulation needs a C++ compiler; {command!r} does not run: {error}") from error
    return done.stdout.partition("\n")[0]


@functools.cache
def processor_flags() -> tuple[str, ...]:
    """The flags for this processor: fused multiply-add and half conversions where it has them, else the baseline."""
    try:
        words = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        words = set()
    return ("-march=x86-64-v3",) if {"avx2", "bmi2", "f16c", "fma", "movbe"} <= words else ()


def cache_folder() -> Path:
    """Where compiled files are kept, outside the source tree."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "plugrad-cuda-emu"


def digest(parts: Iterable[str | bytes]) -> str:
    """One name for all of that."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()[:32]


def run(arguments: Sequence[str | Path]) -> None:
    """Run the compiler; its words become the error's."""
    done = subprocess.run([compiler(), *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise HostCompileError(done.stderr.strip() or f"{compiler()} ended with {done.returncode}")


def cached(name: str, make: Callable[[Path, Path], None]) -> Path:
    """The file of that name in the cache; ``make(target, scratch_folder)`` writes it if it is not there."""
    folder = cache_folder()
    path = folder / name
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        target = Path(scratch) / "made"
        make(target, Path(scratch))
        target.replace(path)  # at once, so that another process sees the whole file or none
    return path
