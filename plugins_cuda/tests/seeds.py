"""Faults sown into the kernels of the package, one at a time, and what becomes of each: ``python seeds.py NAME``.

A seed runs in a process of its own, so that no wrong kernel stays anywhere.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

ORDERS = ("forward", "reverse", "random")


class Seed(NamedTuple):
    """A regular expression in the kernel's text and what replaces it; the call that shows it; what the emulator sees:
    a kind of fault, "wrong" for a wrong result in some order of threads, or "" where it says that it sees nothing.
    """

    old: str
    new: str
    call: str
    sees: str


BARRIER = r"__syncthreads\(\);\n"
SEEDS = {
    "no barrier before a tile is read": Seed(
        BARRIER + r"(?=\S*\s*#pragma unroll\s+for \(int step)", "\n", "matmul", "wrong"
    ),
    "no barrier before a tile is overwritten": Seed(
        BARRIER + r"(?=    \}\n    \S+ \*const to)", "\n", "matmul", "wrong"
    ),
    "rows past the end are read": Seed(r"row0 \+ i < m && ", "", "matmul", "out of bounds"),
    "rows past the end are written": Seed(r"row < m && ", "", "matmul", "out of bounds"),
    "a tile one column too narrow": Seed(r"(a_tile\[\d+\])\[(\d+) \+ 1\];", r"\1[\2 - 1];", "matmul", "array index"),
    "no barrier between rounds of a tree": Seed(BARRIER + r"(?=\s+if \(lane < half\))", "\n", "sum", "wrong"),
    "a barrier that half of the threads reach": Seed(
        r"if \(lane < half\) (shared\[.*;)", r"if (lane < half) { \1 __syncthreads(); }", "sum", "divergence"
    ),
    "a tree that begins one round too early": Seed(r"int half = (\d+) / 2;", r"int half = \1;", "sum", "array index"),
    "no barrier before the next line of a scan": Seed(BARRIER + r"(?=    \}\n  \}\n\})", "\n", "cumsum", "wrong"),
    "a loop that does not end": Seed(r"reach \*= 2", "reach *= 1", "cumsum", "timeout"),
    "a bad index that is not clamped": Seed(r"return at < 0 \? 0 : size - 1;", "return at;", "gather", "out of bounds"),
    "words past the end are written": Seed(r"if \(left > 3\) ", "", "random_bits", "out of bounds"),
    "one element too many": Seed(r"i < n; i \+= step\) out\[i\]", "i <= n; i += step) out[i]", "add", "out of bounds"),
    "no barrier between rounds of a group's tree": Seed(
        BARRIER + r"(?=\s+if \(lane < half\) \{)", "\n", "fused", "wrong"
    ),
    "one element of a group too many": Seed(
        r"i < n; i \+= step\) body_", "i <= n; i += step) body_", "fused", "out of bounds"
    ),
    "an addition that is not atomic": Seed(r"atomic_add\(([^;]*), (v\[[^;]*\])\);", r"*(\1) += \2;", "scatter_add", ""),
}


def calls() -> dict[str, tuple[Callable[[], Any], Any]]:
    """By name a call of a kernel of the package, and the result that is right."""
    from device_lab import KERNELS, call, get, put

    x = np.arange(37 * 23, dtype=np.float32).reshape(37, 23) % 11 - 3
    y = np.arange(23 * 41, dtype=np.float32).reshape(23, 41) % 7 - 2
    long = np.arange(3 * 700, dtype=np.float32).reshape(3, 700) % 5
    at = np.array([4, 0, 4, 36, 2])
    key = np.array([3, 1], np.uint32)
    added = np.zeros_like(x)
    np.add.at(added, at, x[:5])

    def on_device(name: str, *arrays: np.ndarray, **attrs: Any) -> Callable[[], Any]:
        return lambda: get(call(KERNELS, name, *map(put, arrays), **attrs))

    def groups() -> np.ndarray:
        """A group in steps of four, and one that ends in a reduction."""
        chain = get(call(KERNELS, "fused", *[put(v)] * 4, body=samples.chain(v.shape)))
        b = samples.Builder(long.shape, Spec(long.shape, long.dtype))
        squares = b.body(b.add("sum", b.add("mul", 0, 0), axis=(1,), keepdims=False))
        return np.append(get(call(KERNELS, "fused", put(long), body=squares)), np.round(chain, 3).sum(dtype=np.float64))

    v = long.reshape(-1)
    grouped = np.append((long * long).sum(axis=1), np.round(np.tanh(v * v + v) * v, 3).sum(dtype=np.float64))

    from plugrad.backend import Spec
    from plugrad.reference.random import random_bits
    from plugrad_cuda import samples

    return {
        "matmul": (on_device("matmul", x, y), x @ y),
        "sum": (on_device("sum", long, axis=(1,), keepdims=False), long.sum(axis=1)),
        "cumsum": (on_device("cumsum", long, axis=1), long.cumsum(axis=1)),
        "gather": (on_device("gather", x, np.array([1 << 20, 1]), axis=0), None),
        "random_bits": (on_device("random_bits", key, shape=(1021,)), random_bits(key, shape=(1021,))),
        "add": (on_device("add", long, long), long + long),
        "fused": (groups, grouped),
        "scatter_add": (on_device("scatter_add", np.zeros_like(x), at, x[:5], axis=0), added),
    }


def outcome(run: Callable[[], Any], right: Any) -> str:
    """What a call gave: "right", "wrong", or the emulator's fault with its place."""
    import emu

    try:
        found = run()
    except Exception as error:
        fault = emu.last_fault()
        return str(fault) if fault is not None else f"{type(error).__name__}: {error}"
    return "right" if right is not None and np.array_equal(found, right) else "wrong"


def main(name: str) -> None:
    """Print how often the seed was sown, and the outcome in each order. ``none: matmul`` sows nothing."""
    import emu

    emu.load()
    from plugrad_cuda import runtime

    seed, sown = SEEDS.get(name) or Seed("(?!)", "", name.removeprefix("none: "), ""), [0]
    whole = runtime.program

    def program(entries: Any) -> str:
        text, count = re.subn(seed.old, seed.new, whole(entries))
        sown.append(count)
        return text

    runtime.program = program  # type: ignore[assignment]
    run, right = calls()[seed.call]
    found = {}
    for order in ORDERS:
        emu.configure(order=order, guard="end", timeout=5.0, seed=1)
        found[order] = outcome(run, right)
        emu.reset()
        runtime.of("0").fault = ""
    print(json.dumps({"sown": sum(sown), "found": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
