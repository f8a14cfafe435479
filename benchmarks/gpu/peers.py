"""The libraries that are compared on one GPU, behind one small interface; and how they are timed in turn.

Time is wall clock from an idle device to an idle device over enough calls that waiting is a small part of it: what a
user waits for, and the same for all, whatever streams they use.
"""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .records import DEVICE

OURS = "plugrad"
PEERS = ("torch", "cupy")


@dataclass(frozen=True)
class Library:
    """A library: its module, how it takes an array, gives one back, and waits for the device."""

    name: str
    module: Any
    put: Callable[[np.ndarray], Any]
    get: Callable[[Any], np.ndarray]
    wait: Callable[[], Any]


def plugrad() -> Library:
    """The project itself on the device that is checked."""
    pg = importlib.import_module("plugrad")
    protocol = importlib.import_module("plugrad.backend")
    name, _, ordinal = DEVICE.partition(":")
    backend = protocol.BACKENDS[pg.plugins.backend_index(name)]
    return Library(
        OURS, pg, lambda x: pg.asarray(x, device=DEVICE), lambda y: y.numpy(), lambda: backend.synchronize(ordinal)
    )


def torch() -> Library:
    """PyTorch, float32 products in float32 (no TF32): as exact as the others."""
    module = importlib.import_module("torch")
    if not module.cuda.is_available():
        raise RuntimeError("torch sees no CUDA device")
    module.backends.cuda.matmul.allow_tf32 = False
    module.backends.cudnn.allow_tf32 = False
    return Library(
        "torch",
        module,
        lambda x: module.from_numpy(x).cuda(),
        lambda y: y.detach().float().cpu().numpy(),
        module.cuda.synchronize,
    )


def cupy() -> Library:
    """CuPy with its default settings."""
    module = importlib.import_module("cupy")
    return Library("cupy", module, module.asarray, module.asnumpy, module.cuda.Device().synchronize)


def found(emulated: bool) -> tuple[list[Library], dict[str, str]]:
    """Those that can be used, ours first; and why the others cannot."""
    libraries, lacking = [plugrad()], {}
    for name in PEERS:
        if emulated:
            lacking[name] = "it does not run on the emulated driver"
            continue
        try:
            libraries.append({"torch": torch, "cupy": cupy}[name]())
        except Exception as error:
            lacking[name] = f"{type(error).__name__}: {error}"
    return libraries, lacking


@dataclass(frozen=True)
class Effort:
    """How long is measured: seconds a batch, rounds, and the most calls in a batch."""

    batch: float
    rounds: int
    calls: int


CAREFUL = Effort(batch=4e-3, rounds=25, calls=400)
ONCE = Effort(batch=0.0, rounds=3, calls=2)


def batch_seconds(work: Callable[[], Any], wait: Callable[[], Any], calls: int) -> float:
    """Seconds a call, waiting included."""
    start = time.perf_counter()
    for _ in range(calls):
        work()
    wait()
    return (time.perf_counter() - start) / calls


def host_seconds(work: Callable[[], Any], wait: Callable[[], Any], calls: int) -> float:
    """Seconds a call until it returns; the device may still work."""
    start = time.perf_counter()
    for _ in range(calls):
        work()
    seconds = (time.perf_counter() - start) / calls
    wait()
    return seconds


Clock = Callable[[Callable[[], Any], Callable[[], Any], int], float]


def in_turn(
    works: Mapping[str, tuple[Callable[[], Any], Callable[[], Any]]], effort: Effort, clock: Clock
) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds of each, and the median over the rounds of peer / ours: how many times faster we are.

    ``works`` maps a name to what is timed and how to wait. Who begins changes from round to round.
    """
    names, calls = list(works), {}
    for name, (work, wait) in works.items():
        wait()
        batch_seconds(work, wait, 2)
        calls[name] = int(min(effort.calls, max(2, effort.batch / batch_seconds(work, wait, 2))))
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(effort.rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            seconds[name].append(clock(*works[name], calls[name]))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ratios = {
        name: statistics.median(b / a for a, b in zip(seconds[OURS], times, strict=True))
        for name, times in seconds.items()
        if name != OURS and OURS in seconds
    }
    return medians, ratios
