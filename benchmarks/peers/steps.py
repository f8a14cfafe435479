"""Training steps of plugrad, eager and compiled, beside torch and jax: forward, backward, Adam; no dropout.

Every candidate starts from the same weights and batches; one whose first losses are not those of plugrad's reference
backend (to 1e-4) is refused. Prints a table for each workload and number of threads.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from . import bars
from .reference import TOLERANCE, Reference
from .report import fastest, show
from .timing import ROOT, arguments, in_turn, pin, serve, started

MODULE = "benchmarks.peers.steps"
IMAGES = ("cnn", "resnet")
WORKLOADS = ("mlp", "cnn", "resnet", "transformer", "lstm")


def names(workload: str, options: argparse.Namespace) -> list[str]:
    """The candidates of a workload."""
    images = workload in IMAGES
    torch = ["torch-plain", "torch-fused"] + ["torch-last"] * images + ["torch-compile"] * options.torch_compile
    jax = ["jax-nchw", "jax-nhwc"] if images else ["jax"]
    return [*options.ours, *torch, *jax]


def compare(workload: str, path: Path, threads: int, options: argparse.Namespace) -> None:
    """Measure one workload and print its table."""
    candidates = started(names(workload, options), MODULE, [workload, "--reference", path], options, threads)
    found = in_turn(candidates, options.rounds, options.seconds, TOLERANCE)
    wanted = bars.compiled(workload, threads)
    ours = {name: _named(wanted if "compiled" in name else bars.EAGER, found) for name in options.ours}
    show(f"{workload}, {threads} thread{'s' * (threads > 1)}", found, ours, ("ms", 1e3))


def _named(wanted: dict[str, float], found: dict[str, list[float]]) -> dict[str, float]:
    """Bars by candidate: those against "torch" and "jax" go to the fastest of these."""
    best = {"torch": fastest(found, "torch", without=("torch-compile",)), "jax": fastest(found, "jax")}
    placed: dict[str, float] = {}
    for name, bar in wanted.items():
        target = best.get(name, name)
        if target is not None:
            placed[target] = max(bar, placed.get(target, 0.0))
    return placed


def one(options: argparse.Namespace) -> None:
    """Serve a candidate in this process."""
    candidate, threads = options.serve, options.threads[0]
    pin(threads)
    given = Reference.load(options.reference)
    framework = candidate.partition("-")[0]
    module: Any = importlib.import_module(f"benchmarks.peers.{framework}_steps")
    also = {"torch": [threads], "plugrad": [options.device]}.get(framework, [])
    call, loss = module.build(candidate, options.workloads[0], given, *also)
    apart = max(abs(loss() - wanted) / abs(wanted) for wanted in given.losses)
    serve(call, {"apart": float(apart)}, threads)


def main() -> None:
    """The command line."""
    parser = arguments(__doc__)
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS), help=f"of {', '.join(WORKLOADS)}")
    parser.add_argument("--torch-compile", action="store_true", help="torch.compile too (it needs a C++ compiler)")
    parser.add_argument(
        "--ours",
        nargs="+",
        default=["plugrad-compiled", "plugrad-tape"],
        help='of plugrad: "plugrad", behind it "-compiled", "-pure", "-tape", "-scan" (default: %(default)s)',
    )
    parser.add_argument("--reference", help=argparse.SUPPRESS)
    parser.add_argument("--write", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = set(options.workloads) - set(WORKLOADS)
    if unknown:
        parser.error(f"unknown workloads {', '.join(sorted(unknown))}; use {', '.join(WORKLOADS)}")
    if options.write:
        importlib.import_module("benchmarks.peers.plugrad_steps").reference(options.workloads[0]).save(options.write)
    elif options.serve:
        one(options)
    else:
        for workload in options.workloads:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "reference.npz"
                writing = [options.plugrad, "-m", MODULE, workload, "--write", str(path)]
                subprocess.run(writing, cwd=ROOT, check=True, stdout=sys.stderr)
                for threads in options.threads:
                    compare(workload, path, threads, options)


if __name__ == "__main__":
    main()
