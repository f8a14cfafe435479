"""Memory of training steps on the CPU backend, eager and compiled: the peak, and what is asked of the system.

The peak counts all that is alive at once, weights, moments and batches included. In steady state no step may ask the
system for memory: blocks come from the backend's cache. Each way runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from .timing import ROOT

sys.path.insert(0, str(ROOT / "tests"))

NAMES = ("mlp", "cnn", "resnet", "transformer", "lstm")
BAR = 0.8
WARM = 3
"""Steps before the state is steady."""


def measured(workload: str, way: str) -> dict[str, int]:
    """Peak bytes of a few steps in this process, and blocks that steady steps took from the system."""
    from steps.workloads import WORKLOADS

    from plugrad_cpu import memory

    module = WORKLOADS[workload]
    steps = module.build("cpu", 0, batches=1, **module.FULL)
    step = steps.compiled() if way == "compiled" else steps.step()
    for _ in range(WARM):
        step(*steps.batches[0])
    before = memory.statistics()["misses"]
    for _ in range(WARM):
        step(*steps.batches[0])
    found = memory.statistics()
    return {"peak": found["peak_bytes"], "misses": found["misses"] - before}


def main() -> int:
    """Print the table; the exit status is 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--one", nargs=2, metavar=("WORKLOAD", "WAY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(*options.one)))
        return 0
    missed = False
    print("step          eager MB  compiled MB  ratio   bar  met  from the system")
    for name in options.workloads or NAMES:
        eager, ours = [_apart(name, way) for way in ("eager", "compiled")]
        ratio = ours["peak"] / eager["peak"]
        met = ratio <= BAR and not ours["misses"]
        missed |= not met
        sizes = f"{eager['peak'] / 1e6:9.2f} {ours['peak'] / 1e6:12.2f} {ratio:6.2f} {BAR:5.2f}"
        print(f"{name:12s} {sizes} {'yes' if met else 'NO':>4s} {ours['misses']:16d}", flush=True)
    return int(missed)


def _apart(name: str, way: str) -> dict[str, int]:
    command = [sys.executable, "-m", "benchmarks.peers.memory", "--one", name, way]
    found: dict[str, int] = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout)
    return found


if __name__ == "__main__":
    sys.exit(main())
