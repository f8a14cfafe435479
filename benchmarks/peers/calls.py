"""What compiling costs: the time of the first call of each step, and what a later call takes besides its programs.

The second is the time of a call less that inside its programs, the median of many; a program is all that a backend
runs between its first and last kernel. It is measured on small arrays, as then it is the call's own, and once more at
full size: there the kernels leave no cache as it was, and whatever Python does next is slow for that.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from .timing import ROOT, pin

sys.path.insert(0, str(ROOT / "tests"))

NAMES = ("mlp", "cnn", "resnet", "transformer", "lstm")
COMPILING = 1.0
"""Bar, in seconds."""
CALLING = 10.0
"""Bar, in microseconds."""
CALLS = {"SMALL": 2000, "FULL": 60}


class Inside:
    """Seconds spent in the programs of an executable since ``clear()``."""

    def __init__(self, executable: Any) -> None:
        self.seconds = 0.0
        if executable.direct is not None:
            executable.direct = self._timed(executable.direct)
        for i, step in enumerate(executable.lowered.steps):
            if hasattr(step, "program"):
                run, *places = executable.steps[i]
                executable.steps[i] = (self._timed(run), *places)

    def clear(self) -> None:
        """Begin anew."""
        self.seconds = 0.0

    def _timed(self, run: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*values: Any) -> Any:
            begun = time.perf_counter()
            found = run(*values)
            self.seconds += time.perf_counter() - begun
            return found

        return timed


def measured(workload: str, size: str) -> tuple[float, float, float]:
    """Seconds of the first call less a later one, and microseconds of a call in all and besides its programs."""
    from steps.workloads import WORKLOADS

    module = WORKLOADS[workload]
    steps = module.build("cpu", 0, batches=1, **getattr(module, size))
    step, batch = steps.compiled(), steps.batches[0]
    begun = time.perf_counter()
    step(*batch)
    first = time.perf_counter() - begun
    for _ in range(3):
        step(*batch)
    inside = Inside(list(step.graphs.values())[-1][-1].executable)
    whole, around = [], []
    for _ in range(CALLS[size]):
        inside.clear()
        begun = time.perf_counter()
        step(*batch)
        took = time.perf_counter() - begun
        whole.append(took)
        around.append(took - inside.seconds)
    return first - median(whole), median(whole) * 1e6, median(around) * 1e6


def main() -> int:
    """Print the table; the exit status is 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(NAMES)}; all by default")
    options = parser.parse_args()
    pin(1)
    missed = False
    print(f"{'':12}{'compiling':>14}{'besides its programs, us':>28}{'at full size':>16}{'of':>10}")
    print(f"{'step':12}{f's, bar {COMPILING:.0f}':>14}{f'bar {CALLING:.0f}':>28}{'us':>16}{'us':>10}")
    for name in options.workloads or NAMES:
        around = measured(name, "SMALL")[2]
        compiling, whole, cold = measured(name, "FULL")
        met = compiling < COMPILING and around < CALLING
        missed |= not met
        print(
            f"{name:12}{compiling:14.2f}{around:28.1f}{cold:16.1f}{whole:10.0f}  {'yes' if met else 'NO'}", flush=True
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
