"""Backends with one fault each: the reference backend under another name, with one thing changed."""

from __future__ import annotations

from ..fault import Fault
from . import (
    accuracy,
    casts,
    claims,
    creation,
    families,
    fresh,
    host,
    inplace,
    integers,
    layouts,
    memory,
    positions,
    programs,
    queued,
    reductions,
    repeats,
    rules,
    sizes,
    special,
    threads,
)

FAULTS: tuple[Fault, ...] = (
    *(*host.FAULTS, *memory.FAULTS, *layouts.FAULTS, *sizes.FAULTS, *integers.FAULTS, *casts.FAULTS),
    *(*special.FAULTS, *accuracy.FAULTS, *reductions.FAULTS, *creation.FAULTS, *families.FAULTS, *rules.FAULTS),
    *(*fresh.FAULTS, *repeats.FAULTS, *positions.FAULTS, *inplace.FAULTS, *queued.FAULTS, *threads.FAULTS),
    *(*claims.FAULTS, *programs.FAULTS),
)
