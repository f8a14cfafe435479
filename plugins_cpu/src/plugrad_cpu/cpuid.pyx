"""Which instruction sets this processor has, and which one to use. Imports nothing heavy: the probe asks it."""

import os

cdef extern from "plugrad/isa.h":
    int pg_has_avx2()
    int pg_has_avx512()


def supported() -> tuple[str, ...]:
    """Names of the instruction sets that run here, the best one first."""
    found = [("avx512", pg_has_avx512()), ("avx2", pg_has_avx2()), ("baseline", True)]
    return tuple(name for name, here in found if here)


def chosen() -> str:
    """The best one, or the one that ``PLUGRAD_CPU_ISA`` names; raises ValueError if that one does not run here."""
    names = supported()
    wanted = os.environ.get("PLUGRAD_CPU_ISA", "").strip().lower()
    if wanted in ("", "auto"):
        return names[0]
    if wanted not in names:
        raise ValueError(
            f"plugrad-cpu: PLUGRAD_CPU_ISA={wanted} does not run on this processor; use one of {', '.join(names)}"
        )
    return wanted
