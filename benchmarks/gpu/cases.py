"""What is measured: inputs, the work in each library, the result by NumPy, and how much data or arithmetic it is."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Arrays = tuple[np.ndarray, ...]
Work = Callable[..., Any]


@dataclass(frozen=True)
class Case:
    """One row. ``work(module, *tensors)`` is the same in all libraries except for those in ``special``.

    ``inputs(size)`` makes arrays for a size from ``sizes`` (on a GPU, on the emulator). ``dtype`` is what floating
    inputs become on the device. ``amount`` is bytes (unit "B") or operations ("FLOP") of one call.
    """

    name: str
    sizes: tuple[int, int]
    inputs: Callable[[int], Arrays]
    work: Work
    expected: Callable[..., np.ndarray]
    amount: Callable[..., float] = lambda *arrays: 0.0
    unit: str = ""
    special: Mapping[str, Work | None] = field(default_factory=dict)
    tolerance: float = 1e-4
    host: bool = False
    dtype: str = "float32"

    def work_in(self, library: str) -> Work | None:
        """The work as that library does it; None where it cannot."""
        return self.special.get(library, self.work)


@functools.lru_cache(4)
def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Seeded float32 normals; several cases share the large ones."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def places(n: int, rows: int) -> np.ndarray:
    """n seeded row numbers."""
    return np.random.default_rng(3).integers(0, rows, n)


def streamed(*arrays: np.ndarray) -> float:
    """Bytes of reading all inputs and writing a result as large as the first."""
    return float(sum(array.nbytes for array in arrays) + arrays[0].nbytes)


def read_once(*arrays: np.ndarray) -> float:
    """Bytes of reading all inputs."""
    return float(sum(array.nbytes for array in arrays))


def moved(x: np.ndarray, at: np.ndarray) -> float:
    """Bytes of copying rows of ``x``."""
    return 2.0 * at.size * x[0].nbytes + at.nbytes


def products(a: np.ndarray, b: np.ndarray) -> float:
    """Multiplications and additions of a matrix product."""
    return 2.0 * a.size * b.shape[-1]


def added_at(x: np.ndarray, at: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The scatter-add by NumPy."""
    total = x.copy()
    np.add.at(total, at, v)
    return total


def cupy_added_at(cp: Any, x: Any, at: Any, v: Any) -> Any:
    """The scatter-add by CuPy."""
    total = x.copy()
    cp.add.at(total, at, v)
    return total


def square(n: int) -> Arrays:
    """Two matrices."""
    return normal(n, n), normal(n, n, seed=1)


def pair(n: int) -> Arrays:
    """Two long vectors of n million elements, or of n thousand where n is small."""
    length = n << 20 if n > 8 else n << 10
    return normal(length), normal(length, seed=1)


def four(n: int) -> Arrays:
    """Four vectors of n elements."""
    return tuple([normal(n, seed=k) for k in range(4)])


@functools.cache
def compiled(function: Work) -> Work:
    """``function(module, *tensors)`` with the compiler of its library, made once."""
    made: dict[Any, Work] = {}

    def work(xp: Any, *tensors: Any) -> Any:
        if xp not in made:
            made[xp] = xp.compile(functools.partial(function, xp))
        return made[xp](*tensors)

    return work


def chain(xp: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Four elementwise ops."""
    return xp.tanh(a * b + c) * d


def softmax(exp: Work, total: Work, largest: Work, x: Any) -> Any:
    """Of the last axis, by a library's functions."""
    powers = exp(x - largest(x, 1).reshape(-1, 1))
    return powers / total(powers, 1).reshape(-1, 1)


def layer(n: int) -> Arrays:
    """n rows and the weights of a layer."""
    inner = 784 if n > 99 else 9
    return normal(n, inner), normal(inner, 256)


def table(n: int) -> Arrays:
    """A table of n rows of 256, and as many row numbers."""
    return normal(n, 256), places(n, n)


ELEMENTWISE = [
    Case("add", (64, 1), pair, lambda xp, x, y: x + y, np.add, streamed, "B"),
    Case("exp", (64, 1), pair, lambda xp, x, y: xp.exp(x), lambda x, y: np.exp(x), lambda x, y: 2.0 * x.nbytes, "B"),
    Case("tanh(x * y + x), three calls", (64, 1), pair, lambda xp, x, y: xp.tanh(x * y + x),
         lambda x, y: np.tanh(x * y + x), streamed, "B"),
    Case("add a row to a matrix", (8192, 24), lambda n: (normal(n, n), normal(n, seed=1)), lambda xp, x, y: x + y,
         np.add, streamed, "B"),
    Case("add, one operand transposed", (8192, 24), square, lambda xp, x, y: x + y.T, lambda x, y: x + y.T,
         streamed, "B"),
]  # fmt: skip
CHAIN = dict(
    sizes=(10_000_000, 1000), inputs=four, expected=lambda a, b, c, d: np.tanh(a * b + c) * d, amount=streamed, unit="B"
)
COMPILED = [
    Case("tanh(a * b + c) * d, compiled", work=compiled(chain), special={"cupy": None}, **CHAIN),
    Case("tanh(a * b + c) * d, ours compiled", work=chain, special={"plugrad": compiled(chain)}, **CHAIN),
    Case("softmax of rows, compiled", (8192, 40), lambda n: (normal(n, n),),
         compiled(lambda xp, x: softmax(xp.exp, xp.sum, xp.amax if hasattr(xp, "amax") else xp.max, x)),
         lambda x: softmax(np.exp, np.sum, np.max, x), lambda x: 2.0 * x.nbytes, "B", {"cupy": None}),
]  # fmt: skip
REDUCTIONS = [
    Case("sum of all", (64, 1), pair, lambda xp, x, y: x.sum(), lambda x, y: x.sum(), lambda x, y: float(x.nbytes), "B",
         tolerance=1e-2),
    Case("sum of rows", (8192, 40), lambda n: (normal(n, n),), lambda xp, x: x.sum(1), lambda x: x.sum(1),
         read_once, "B", tolerance=1e-2),
    Case("sum of columns", (8192, 40), lambda n: (normal(n, n),), lambda xp, x: x.sum(0), lambda x: x.sum(0),
         read_once, "B", tolerance=1e-2),
    Case("max of rows", (8192, 40), lambda n: (normal(n, n),), lambda xp, x: x.max(1), lambda x: x.max(1),
         read_once, "B", {"torch": lambda xp, x: x.amax(1)}),
]  # fmt: skip
CONTRACTIONS = [
    Case("matmul, n = 512", (512, 8), square, lambda xp, a, b: a @ b, np.matmul, products, "FLOP", tolerance=1e-2),
    Case("matmul, n = 4096", (4096, 20), square, lambda xp, a, b: a @ b, np.matmul, products, "FLOP", tolerance=1e-2),
    Case("matmul, n = 4096, bfloat16", (4096, 20), square, lambda xp, a, b: a @ b, np.matmul, products, "FLOP",
         {"cupy": None}, tolerance=1.0, dtype="bfloat16"),
    Case("matmul, 128 by 784 by 256", (128, 8), layer, lambda xp, a, b: a @ b, np.matmul, products, "FLOP",
         tolerance=1e-2),
    Case("matmul, 64 of n = 64", (64, 4), lambda n: (normal(n, n, n), normal(n, n, n, seed=1)),
         lambda xp, a, b: a @ b, np.matmul, products, "FLOP", tolerance=1e-2),
]  # fmt: skip
INDEXING = [
    Case("gather rows of 256", (200_000, 16), table, lambda xp, x, i: xp.take(x, i, axis=0),
         lambda x, i: np.take(x, i.astype(int), axis=0), moved, "B",
         {"torch": lambda xp, x, i: xp.index_select(x, 0, i)}),
    Case("scatter-add rows of 256", (200_000, 16), lambda n: (*table(n), normal(n, 256, seed=5)),
         lambda xp, x, i, v: xp.OPS["scatter_add"](x, i, v, axis=0), added_at,
         lambda x, i, v: 3.0 * x.nbytes + i.nbytes, "B",
         {"torch": lambda xp, x, i, v: x.index_add(0, i, v), "cupy": cupy_added_at}, tolerance=1e-3),
]  # fmt: skip
HOST = [
    Case("add of 4 elements, until it returns", (4, 4), lambda n: (normal(n), normal(n, seed=1)),
         lambda xp, x, y: x + y, np.add, host=True),
    Case("matmul of 4 by 4, until it returns", (4, 4), square, lambda xp, a, b: a @ b, np.matmul, host=True),
]  # fmt: skip
CASES = [*COMPILED, *HOST, *ELEMENTWISE, *REDUCTIONS, *CONTRACTIONS, *INDEXING]
