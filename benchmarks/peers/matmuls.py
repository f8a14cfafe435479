"""The matrix products of a training step beside those of torch and NumPy, one by one: of the MLP's dense layers, for
the forward, for the cotangent of the input, and for that of the weight, each in the layout in which the step meets it.

A candidate whose result is not NumPy's in float64 (to 1e-4) is refused.
"""

from __future__ import annotations

import argparse
import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from .report import show
from .timing import arguments, in_turn, pin, serve, started

MODULE = "benchmarks.peers.matmuls"
CANDIDATES = ("plugrad", "torch", "numpy")
WIDTHS, BATCH = (784, 256, 128, 10), 128
TOLERANCE = 1e-4
KINDS = {"forward": "x w^T", "input": "g w", "weight": "g^T x"}


def operands(kind: str, taken: int, given: int) -> tuple[np.ndarray, np.ndarray]:
    """Of x (batch, taken), w (given, taken), g (batch, given), the two that a kind multiplies, transposed as views."""
    rng = np.random.default_rng(0)
    x, w, g = (rng.standard_normal(s, dtype=np.float32) for s in ((BATCH, taken), (given, taken), (BATCH, given)))
    return {"forward": (x, w.T), "input": (g, w), "weight": (g.T, x)}[kind]


def _call(candidate: str, a: np.ndarray, b: np.ndarray, threads: int, device: str) -> Callable[[], Any]:
    if candidate == "numpy":
        return lambda: a @ b
    if candidate == "torch":
        import torch

        torch.set_num_threads(threads)
        made, product = torch.from_numpy, torch.matmul
    else:
        import plugrad as pg

        made, product = functools.partial(pg.asarray, device=device), pg.matmul
    p, q = (made(x) if x.base is None else made(x.base).T for x in (a, b))
    return lambda: product(p, q)


def one(options: argparse.Namespace) -> None:
    """Serve a candidate in this process."""
    threads = options.threads[0]
    pin(threads)
    a, b = operands(options.kind, *options.pair)
    call = _call(options.serve, a, b, threads, options.device)
    found = call()
    wanted = a.astype(np.float64) @ b.astype(np.float64)
    apart = np.max(np.abs(np.asarray(found if options.serve == "numpy" else found.numpy()) - wanted))
    serve(call, {"apart": float(apart / np.max(np.abs(wanted)))}, threads)


def main() -> None:
    """The command line."""
    parser = arguments(__doc__)
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    parser.add_argument("--pair", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        one(options)
        return
    for taken, given in itertools.pairwise(WIDTHS):
        for kind, formula in KINDS.items():
            for threads in options.threads:
                words = ["--kind", kind, "--pair", taken, given]
                candidates = started(CANDIDATES, MODULE, words, options, threads)
                found = in_turn(candidates, options.rounds, options.seconds, TOLERANCE)
                show(f"{formula} {BATCH}x{taken}x{given} {threads}T", found, {"plugrad": {"torch": 1.0}}, ("us", 1e6))
                flops = 2 * BATCH * taken * given
                rates = [f"{name} {flops / sorted(s)[len(s) // 2] * 1e-9:.0f}" for name, s in found.items()]
                print(f"GFLOP/s: {', '.join(rates)}\n", flush=True)


if __name__ == "__main__":
    main()
