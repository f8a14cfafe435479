"""What an op costs on arrays of four floats, beside PyTorch: ``y = exp(y * w + b)`` ten times, without recording, with
recording, and with the backward pass.

Both libraries take turns in one process and one thread, in random order. Printed are medians over the rounds, in
nanoseconds for each op of the forward chain, and the median of the ratios within a round. Needs a Python that has
torch, and the project on its path, with the entry point of plugrad-cpu (``setup.py egg_info``):

    PYTHONPATH=core/src:plugins_cpu/src PYTHON-WITH-TORCH benchmarks/peers/eager.py [--rounds 200] [--device cpu]
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import plugrad as pg

LENGTH = 10
OPS = 3 * LENGTH
X = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
W = np.array([0.05, 0.04, 0.03, 0.02], np.float32)
B = np.array([0.1, 0.0, -0.1, 0.05], np.float32)
BARS = {"forward": 6, "recording": 6, "forward and backward": 8}
Work = Callable[[], np.ndarray]


def chains(x: Any, w: Any, b: Any, wg: Any, bg: Any, one: Any) -> dict[str, Work]:
    """The work on tensors of either library: ``wg`` and ``bg`` are recorded, ``one`` is the seed of the backward."""

    def forward() -> np.ndarray:
        y = x
        for _ in range(LENGTH):
            y = (y * w + b).exp()
        return y.numpy

    def recording() -> np.ndarray:
        y = x
        for _ in range(LENGTH):
            y = (y * wg + bg).exp()
        return y.detach

    def both() -> np.ndarray:
        wg.grad = bg.grad = None
        y = x
        for _ in range(LENGTH):
            y = (y * wg + bg).exp()
        y.backward(one)
        return wg.grad.numpy

    return {"forward": forward, "recording": recording, "forward and backward": both}


def ours(device: str) -> dict[str, Work]:
    """The work of plugrad; each gives what must be equal."""
    x, w, b, one = (pg.asarray(a, device=device) for a in (X, W, B, np.ones(4, np.float32)))
    wg, bg = pg.asarray(W, device=device).requires_grad_(), pg.asarray(B, device=device).requires_grad_()

    product = pg.grad(lambda a, b: pg.sum(a * b))

    def functional() -> np.ndarray:
        return product(x, w).numpy

    return {**chains(x, w, b, wg, bg, one), "grad of sum(x * y)": functional}


def theirs() -> dict[str, Work]:
    """The same work of PyTorch."""
    x, w, b, one = (torch.from_numpy(a.copy()) for a in (X, W, B, np.ones(4, np.float32)))
    wg, bg = w.clone().requires_grad_(), b.clone().requires_grad_()

    product = torch.func.grad(lambda a, b: torch.sum(a * b))

    def functional() -> np.ndarray:
        return product(x, w).numpy

    return {**chains(x, w, b, wg, bg, one), "grad of sum(x * y)": functional}


def value(work: Work) -> np.ndarray:
    """What a piece of work gives, as an array."""
    found = work()()
    return found if isinstance(found, np.ndarray) else found.numpy()


def timed(work: Work, calls: int) -> float:
    """Seconds a call."""
    start = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - start) / calls


def main() -> None:
    """Check that both agree, take turns, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    sides = {"plugrad": ours(options.device), "torch": theirs()}
    jobs = [(side, name) for side in sides for name in sides[side]]
    for name in sides["torch"]:
        np.testing.assert_allclose(value(sides["plugrad"][name]), value(sides["torch"][name]), rtol=1e-5)
    times: dict[tuple[str, str], list[float]] = {job: [] for job in jobs}
    for job in jobs:
        timed(sides[job[0]][job[1]], 30)
    for _ in range(options.rounds):
        random.shuffle(jobs)
        for side, name in jobs:
            gc.collect(0)
            times[side, name].append(timed(sides[side][name], 20))
    print(f"{'':24}{'plugrad':>9}{'torch':>9}{'ratio':>8}{'wanted':>8}")
    for name in sides["torch"]:
        mine, other = times["plugrad", name], times["torch", name]
        ratio = statistics.median(b / a for a, b in zip(mine, other, strict=True))
        scale, unit = (1e9 / OPS, "ns/op") if name in BARS else (1e6, "us")
        wanted = f"{BARS[name]}x" if name in BARS else ""
        row = f"{statistics.median(mine) * scale:9.4g}{statistics.median(other) * scale:9.4g}{ratio:7.1f}x{wanted:>8}"
        print(f"{name:24}{row}  {unit}")


if __name__ == "__main__":
    main()
