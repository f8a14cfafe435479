"""Random groups of elementwise ops, and what they are by the package's own kernels, one equation after the other."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from device_lab import DTYPES, KERNELS, call, put, values

from plugrad.backend import Spec
from plugrad.program import Body, Lit
from plugrad_cuda import expressions
from plugrad_cuda.samples import Builder

OTHERS = ("f4", "f4", "f8", "i4", "i8", "u1", "b1")
LITERALS = {"f": (0.1, -0.0, 3.0, float("inf"), float("nan")), "i": (3, -1), "u": (3, 200), "b": (True, False)}
ENDS = ("sum", "prod", "max", "min")
AWAY = {"pow", "shift_left", "shift_right", "remainder", "floor_divide"}
"""Left out: their corner cases are slow to agree on, and other tests have them."""


class RandomBody:
    """A body of about ``length`` equations over values of one shape, with operands that broadcast to it."""

    def __init__(self, seed: int, length: int = 8, ends: bool = False) -> None:
        self.random = random.Random(seed)
        self.shape = self.random.choice(((7,), (3, 5), (2, 3, 4), (4, 1, 8), (6, 260), ()))
        self.kinds = self.random.sample(OTHERS, 2)
        specs = [Spec(self.shape, DTYPES[self.kinds[0]])]
        specs += [Spec(self._part(), DTYPES[self.random.choice(self.kinds)]) for _ in range(self.random.randint(1, 4))]
        self.builder = Builder(self.shape, *specs)
        self.made = [0]
        for _ in range(length):
            self.made.append(self._equation())
        outs = sorted(self.random.sample(self.made[1:], self.random.randint(1, min(3, length))))
        if ends and self.shape:
            outs = outs[: self.random.randint(0, 2)] + [self._end() for _ in range(self.random.randint(1, 3))]
        self.body: Body = self.builder.body(*dict.fromkeys(outs))

    def operands(self, seed: int = 0) -> list[np.ndarray]:
        """Values for the operands, corners of their dtypes among them."""
        specs = self.body.specs[: self.body.operands]
        return [values(expressions_short(s.dtype), s.shape, seed + k) for k, s in enumerate(specs)]

    def _part(self) -> tuple[int, ...]:
        shape = tuple([1 if self.random.random() < 0.4 else n for n in self.shape])
        return shape[self.random.randint(0, len(shape)) :] if self.random.random() < 0.4 else shape

    def _of(self, v: int) -> str:
        return expressions_short(self.builder.specs[v].dtype)

    def _other(self, dtype: str) -> Any:
        """A value of that dtype, or a number."""
        there = [v for v in (*range(self.builder.count), *self.made) if self._of(v) == dtype]
        if there and self.random.random() < 0.7:
            return self.random.choice(there)
        return Lit(self.random.choice(LITERALS[expressions.kind(dtype)]), DTYPES[dtype])

    def _equation(self) -> int:
        x, b = self.random.choice(self.made[-4:]), self.builder
        dtype = self._of(x)
        kind = expressions.kind(dtype)
        what = self.random.choice(("unary", "binary", "binary", "compare", "where", "cast"))
        tables = {"unary": expressions.UNARY, "binary": expressions.BINARY, "compare": expressions.COMPARISONS}
        if what in tables:
            names = sorted(name for name, kinds in tables[what].items() if kind in kinds and name not in AWAY)
            if names:
                ins = [x] if what == "unary" else self.random.sample([x, self._other(dtype)], 2)
                return b.add(self.random.choice(names), *ins, dtype=np.bool_ if what == "compare" else DTYPES[dtype])
        if what == "where":
            return b.add("where", self._other("b1"), x, self._other(dtype), dtype=DTYPES[dtype])
        target = self.random.choice([k for k in (*self.kinds, "f4") if k != dtype] or ["i8" if dtype == "f4" else "f4"])
        if kind == "f" and expressions.kind(target) in "iu":
            target = "f8" if dtype == "f4" else "f4"  # numbers out of range become anything
        return b.add("cast", x, dtype=DTYPES[target])

    def _end(self) -> int:
        axes = range(len(self.shape))
        axis = tuple(sorted(self.random.sample(axes, self.random.randint(0, len(axes)))))
        return self.builder.add(
            self.random.choice(ENDS), self.random.choice(self.made[1:]), axis=axis, keepdims=self.random.random() < 0.5
        )


def expressions_short(dtype: np.dtype) -> str:
    return next(name for name, found in DTYPES.items() if found == dtype)


def one_by_one(body: Body, operands: list[Any], table: Any = KERNELS, of: Any = put) -> list[Any]:
    """The outputs by a table of kernels."""
    env = [*operands, *[None] * (len(body.specs) - len(operands))]
    for eqn in body.eqns:
        ins = [of(np.asarray(x.value, x.dtype)) if isinstance(x, Lit) else env[x] for x in eqn.ins]
        env[eqn.outs[0]] = call(table, eqn.op, *ins, **dict(eqn.attrs))
    return [env[v] for v in body.outputs]
