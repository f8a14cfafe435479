"""Kernel text to a module for the emulated driver: the same text that NVRTC gets, through g++ into a shared object."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import compiler

INCLUDE = Path(__file__).parent / "include"

FLAGS = (
    "-std=c++17",
    "-O2",
    "-w",
    "-fPIC",
    "-shared",
    "-nostdlib",
    "-fvisibility=hidden",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-strict-aliasing",  # kernels read memory under several types
    "-fwrapv",  # integers overflow as they do on the device
    # Arithmetic as written: no -ffast-math, and nothing is contracted. NVRTC's default contracts a * b + c, but *which*
    # expressions it picks cannot be copied; this way results are the same on every host and equal NumPy's, and kernels
    # that need one rounding say fmaf. errno and the exception flags do not exist on a device.
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
)
BOUNDS = ("-fsanitize=bounds", "-fsanitize-undefined-trap-on-error")  # an index outside a declared array traps

_ALIGNED = r"(?:(?:__align__|alignas)\s*\([^()]*\)\s*|__attribute__\s*\(\(.*?\)\)\s*)?"
_DYNAMIC_SHARED = re.compile(rf"extern\s+__shared__\s+{_ALIGNED}([\w:<> ]+?)\s*\b(\w+)\s*\[\s*\]\s*;")
# A variable's declaration meets `;`, `=` or `[` before any parenthesis or brace; an operator function is none.
# Constants have initial values and stay as they are.
_DEVICE_VARIABLE = re.compile(
    rf"\b__device__\b(?=\s*{_ALIGNED}(?!const)(?:[\w:<>,*&]|\s)*?\w\s*(?:\[[^;(){{}}]*)?[;=])(?!.*\boperator\b)"
)
_LAUNCH_BOUNDS = re.compile(r"\b__launch_bounds__\s*\(([^(),]*)[^()]*\)\s*(?:void\s+)?(\w+)\s*\(")
MOST_THREADS = "1024"


class HostToolchain:
    """Builds kernels for the emulated driver; keeps them in the cache. ``bounds=False`` leaves out the index checks."""

    def __init__(self, *, bounds: bool = True, options: Sequence[str] = ()) -> None:
        self._flags = (*FLAGS, *compiler.processor_flags(), *(BOUNDS if bounds else ()), *options)

    def build(self, source: str, names: Sequence[str], arch: str) -> Any:
        """A cuda.core ObjectCode with the ``extern "C"`` kernels of those names; ``arch`` is of no meaning here."""
        from cuda.core import ObjectCode

        return ObjectCode.from_cubin(self.image(source, names))

    def image(self, source: str, names: Sequence[str]) -> bytes:
        """The shared object's bytes.

        Raises ``HostCompileError`` with the compiler's words, lines counted as in ``source``.
        """
        text = module_text(source, names)
        key = compiler.digest([text, *self._flags, compiler.identity(compiler.compiler()), header_digest()])

        def make(target: Path, scratch: Path) -> None:
            file = scratch / "kernels.cpp"
            file.write_text(text)
            try:
                compiler.run([*self._flags, f"-I{INCLUDE}", file, "-o", target, "-lgcc"])
            except compiler.HostCompileError as error:
                raise compiler.HostCompileError(f"kernels {', '.join(names)}: {error}") from None

        return compiler.cached(f"kernels/{key}.so", make).read_bytes()


@functools.cache
def header_digest() -> str:
    """One name for the device headers as they are."""
    return compiler.digest(path.read_bytes() for path in sorted(INCLUDE.glob("*.h")))


def module_text(source: str, names: Sequence[str]) -> str:
    """The text that the compiler gets: the kernels' own, what C++ lacks written out, and the table of kernels."""
    text = _DYNAMIC_SHARED.sub(r"\1 *const \2 = reinterpret_cast<\1 *>(emu_context.dynamic_shared);", source)
    text = _DEVICE_VARIABLE.sub("EMU_DEVICE_VARIABLE", text)
    threads = {name: bound for bound, name in _LAUNCH_BOUNDS.findall(source)}
    table = ", ".join(f"EMU_KERNEL({name}, {threads.get(name, MOST_THREADS)})" for name in dict.fromkeys(names))
    return f'#include "cuda_emu.h"\n#line 1 "kernels.cu"\n{text}\n#line 1 "table of kernels"\nEMU_MODULE({table})\n'
