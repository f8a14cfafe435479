"""The fused chain tanh(a * b + c) * d on float32: plugrad eager and compiled beside torch, torch.compile and jax.

A candidate whose result is not NumPy's in float64 (to 1e-5) is refused. The result is a new array each time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from . import bars
from .report import show
from .timing import arguments, in_turn, pin, serve, started

MODULE = "benchmarks.peers.chain"
CANDIDATES = ("plugrad-compiled", "plugrad", "torch", "torch-compile", "jax")
TOLERANCE = 1e-5

Ready = tuple[Callable[[], Any], Callable[[], np.ndarray]]


def plugrad_chain(candidate: str, arrays: list[np.ndarray], threads: int, device: str) -> Ready:
    """Eager, or under plugrad.compile."""
    import plugrad as pg

    def chain(a: Any, b: Any, c: Any, d: Any) -> Any:
        return pg.tanh(a * b + c) * d

    f, given = pg.compile(chain) if "compiled" in candidate else chain, [pg.asarray(x, device=device) for x in arrays]
    return lambda: f(*given), lambda: f(*given).numpy()


def torch_chain(candidate: str, arrays: list[np.ndarray], threads: int, device: str) -> Ready:
    """Eager, or under torch.compile."""
    import torch

    torch.set_num_threads(threads)

    def chain(a: Any, b: Any, c: Any, d: Any) -> Any:
        return torch.tanh(a * b + c) * d

    f, given = torch.compile(chain) if "compile" in candidate else chain, [torch.from_numpy(x) for x in arrays]
    return lambda: f(*given), lambda: f(*given).numpy()


def jax_chain(candidate: str, arrays: list[np.ndarray], threads: int, device: str) -> Ready:
    """Under jax.jit."""
    import jax

    f = jax.jit(lambda a, b, c, d: jax.numpy.tanh(a * b + c) * d)
    given = [jax.numpy.asarray(x) for x in arrays]
    return lambda: f(*given).block_until_ready(), lambda: np.asarray(f(*given))


MAKERS = {"plugrad": plugrad_chain, "torch": torch_chain, "jax": jax_chain}


def one(options: argparse.Namespace) -> None:
    """Serve a candidate in this process."""
    threads, size = options.threads[0], options.sizes[0]
    pin(threads)
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(size, dtype=np.float32) for _ in range(4)]
    call, result = MAKERS[options.serve.partition("-")[0]](options.serve, arrays, threads, options.device)
    a, b, c, d = (x[:100_000].astype(np.float64) for x in arrays)
    apart = float(np.max(np.abs(result()[:100_000] - np.tanh(a * b + c) * d)))
    serve(call, {"apart": apart}, threads)


def main() -> None:
    """The command line."""
    parser = arguments(__doc__)
    parser.add_argument("--sizes", type=lambda x: int(float(x)), nargs="+", default=[100_000, 10_000_000])
    options = parser.parse_args()
    if options.serve:
        one(options)
        return
    for size in options.sizes:
        for threads in options.threads:
            candidates = started(CANDIDATES, MODULE, ["--sizes", size], options, threads)
            found = in_turn(candidates, options.rounds, options.seconds, TOLERANCE)
            show(
                f"chain of {size:.0e}, {threads}T", found, {"plugrad-compiled": bars.CHAIN, "plugrad": {}}, ("us", 1e6)
            )


if __name__ == "__main__":
    main()
