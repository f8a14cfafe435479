"""Candidates in processes of their own, measured in turn: A B C, A B C, and so on, and ratios within each round.

A candidate gets ready (imports, first call), says what it found, and sleeps until it is asked to measure, so runtimes
never wait beside one that is being timed. On one thread it is pinned to a core and timed by its process's CPU time,
which other load on the machine hardly moves; on more by the clock on the wall.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SAMPLE, REST = 2e-3, 0.25
"""Seconds: what a sample takes at least, calls are repeated within it; and between candidates, so that the spinning
workers of the last one go to sleep."""


class Refused(Exception):
    """A candidate cannot be measured: the words say why."""


class Candidate:
    """A process that serves one candidate of a module of this package (see ``serve``)."""

    def __init__(
        self, name: str, python: str, module: str, words: Sequence[Any], threads: int, extra: Any = ()
    ) -> None:
        self.name = name
        command = [python, "-m", module, "--serve", name, *map(str, words), "--threads", str(threads)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, cwd=ROOT, env=_environment(threads, extra), **pipes)
        self.facts = self._answer()

    def measure(self, seconds: float) -> float:
        """Seconds a call, the median of samples taken for so long."""
        self._say(str(seconds))
        return float(self._answer()["seconds"])

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.close()
            raise Refused(f"its process ended with status {self.process.returncode}")
        return json.loads(line)


def _environment(threads: int, extra: Any) -> dict[str, str]:
    n, many = str(threads), "true" if threads > 1 else "false"
    xla = f"--xla_cpu_multi_thread_eigen={many} intra_op_parallelism_threads={n}"
    pools = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), n)
    return {**os.environ, **pools, "XLA_FLAGS": xla, "TORCHINDUCTOR_COMPILE_THREADS": "1", **dict(extra)}


def pin(threads: int) -> None:
    """On one thread: keep this process on the last core that it may use. To be called before anything is imported that
    starts threads."""
    if threads == 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def serve(call: Callable[[], Any], facts: dict[str, Any], threads: int) -> None:
    """A candidate's side: say ``facts``, then time ``call`` whenever asked, until the other side closes."""
    clock = time.process_time if threads == 1 else time.perf_counter
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not be taken for an answer
    call()
    repeat = _repeats(call, clock)
    print(json.dumps(facts), file=out, flush=True)
    for line in sys.stdin:
        call()
        samples, end = [], time.perf_counter() + float(line)
        while len(samples) < 5 or time.perf_counter() < end:
            start = clock()
            for _ in range(repeat):
                call()
            samples.append((clock() - start) / repeat)
        print(json.dumps({"seconds": statistics.median(samples), "samples": len(samples)}), file=out, flush=True)


def _repeats(call: Callable[[], Any], clock: Callable[[], float]) -> int:
    shortest = min(_once(call, clock) for _ in range(3))
    return max(1, round(SAMPLE / max(shortest, 1e-8)))


def _once(call: Callable[[], Any], clock: Callable[[], float]) -> float:
    start = clock()
    call()
    return clock() - start


def in_turn(candidates: Sequence[Candidate], rounds: int, seconds: float, tolerance: float) -> dict[str, list[float]]:
    """Seconds a call by candidate, one figure a round; every second round goes backwards. Ends the processes.

    A candidate whose fact "apart", its result's distance from what is right, is above ``tolerance`` (or no number) is
    refused: a wrong result must not look fast.
    """
    try:
        right = [c for c in candidates if c.facts["apart"] <= tolerance]
        for c in candidates:
            if c not in right:
                print(f"{c.name} is refused: its result is {c.facts['apart']:.1e} from the right one", file=sys.stderr)
        found: dict[str, list[float]] = {c.name: [] for c in right}
        for number in range(rounds):
            for c in right if number % 2 == 0 else reversed(right):
                found[c.name].append(c.measure(seconds))
                time.sleep(REST)
        return found
    finally:
        for c in candidates:
            c.close()


def ratio(found: dict[str, list[float]], slow: str, fast: str) -> float:
    """How many times faster ``fast`` was than ``slow``: the median over rounds of the ratio within each."""
    return statistics.median(a / b for a, b in zip(found[slow], found[fast], strict=True))


def arguments(description: str | None) -> argparse.ArgumentParser:
    """What all comparisons take on their command lines."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="such as 1, or 1 2 (default: 1)")
    parser.add_argument("--rounds", type=int, default=5, help="of all candidates (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a candidate in a round (default: %(default)s)")
    parser.add_argument("--peers", default=sys.executable, help="interpreter with torch and jax (default: this one)")
    parser.add_argument(
        "--plugrad", default=str(ROOT / ".venv" / "bin" / "python"), help="interpreter with plugrad (default: .venv's)"
    )
    parser.add_argument("--env", nargs="*", default=[], metavar="NAME=VALUE", help="for plugrad's processes")
    parser.add_argument("--device", default="cpu", help="plugrad's (default: %(default)s)")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    return parser


def started(
    names: Sequence[str], module: str, words: Sequence[Any], options: argparse.Namespace, threads: int
) -> list[Candidate]:
    """A process for each name; those of plugrad begin with "plugrad". One that fails is reported and left out."""
    found = []
    for name in names:
        own = name.startswith("plugrad")
        extra = [pair.split("=", 1) for pair in options.env] if own else []
        python = options.plugrad if own else options.peers
        try:
            found.append(Candidate(name, python, module, [*words, "--device", options.device], threads, extra))
        except Refused as error:
            print(f"{name}: {error}", file=sys.stderr)
    return found
