"""Every kernel once or a few times, in a process of its own: under compute-sanitizer, or for its results.

python -m gpu.short_run --records FILE [--emulated] [results.pickle [order]]
"""

from __future__ import annotations

import importlib
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from .calls import every_call, uncalled
from .records import DEVICE, section


def arrays(found: Any) -> tuple[np.ndarray, ...]:
    """A call's results on the host."""
    return tuple([np.asarray(value.numpy()) for value in (found if isinstance(found, tuple) else (found,))])


def main() -> None:
    """Run; with a file name, keep the results there by the calls' names."""
    with section() as running:
        order = running.rest[1] if len(running.rest) > 1 else "forward"
        running.emulate(order=order)
        pg = importlib.import_module("plugrad")
        called: set[str] = set()
        done = 0
        calls = [call for call in every_call(DEVICE) if running.wants(call.name)]
        calls = [call for number, call in enumerate(calls) if running.mine(number)]

        def heard(op: str, backend: str, how: str) -> None:
            if (backend, how) == ("cuda", "native"):
                called.add(op)

        with Path(running.rest[0] if running.rest else os.devnull).open("ab") as kept, pg.observe(heard):
            for call in running.until_time_is_up(calls, "calls"):
                try:
                    found = arrays(call.run())
                except Exception as error:
                    running.case(call.name, "failed", f"{type(error).__name__}: {error}")
                    continue
                done += 1
                if call.op == "fused":  # no op, so nobody hears of it
                    called.add(call.op)
                kept.write(pickle.dumps((call.name, call.accuracy, found)))
                kept.flush()
        if done:
            running.case("short run", "passed", f"{done} calls of {len(called)} kernels")
        missed = uncalled(DEVICE, called)
        if missed and not running.only and running.shard is None:
            running.note(f"kernels that no call reached: {', '.join(missed)}")


if __name__ == "__main__":
    main()
