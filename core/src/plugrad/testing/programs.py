"""Random programs for the tests of compile: elementwise ops, movement, reductions, contractions, updates, casts."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..backend import Spec
from ..op import OPS
from ..program import Eqn, Lit, Operand, Program

F4, I4 = np.dtype("float32"), np.dtype("int32")
UNARY = ("exp", "sin", "tanh", "neg", "abs")
TAME = ("sin", "tanh", "neg", "abs")
"""Those that make no small difference a large one."""
BINARY = ("add", "sub", "mul", "maximum")
SHAPES = ((), (3,), (1, 3), (4, 3), (4, 1), (3, 4), (2, 4, 3))


class RandomProgram:
    """A program of about ``length`` equations, float32 with a few casts, on seeded inputs."""

    def __init__(self, seed: int, length: int = 24, tame: bool = False) -> None:
        self.unary = TAME if tame else UNARY
        self.random = random.Random(seed)
        self.specs: list[Spec] = []
        self.eqns: list[Eqn] = []
        self.inputs = tuple(
            [self._value(Spec(self.random.choice(SHAPES), F4)) for _ in range(self.random.randint(1, 4))]
        )
        self.consts: dict[int, Any] = {}
        if self.random.random() < 0.5:
            v = self._value(Spec((4, 3), F4))
            self.consts[v] = np.linspace(-1, 1, 12, dtype=F4).reshape(4, 3)
        for _ in range(length):
            self.random.choice((self._unary, self._binary, self._binary, self._move, self._reduce, self._other))()
        made = [v for e in self.eqns for v in e.outs]
        outputs = self.random.sample(made, min(len(made), self.random.randint(1, 4)))
        if self.random.random() < 0.2:
            outputs.append(self.random.choice(self.inputs))
        if self.random.random() < 0.2:
            outputs.append(outputs[0])
        self.program = Program(tuple(self.specs), self.inputs, self.consts, tuple(self.eqns), tuple(outputs))

    def values(self) -> list[np.ndarray]:
        """Arrays for the inputs."""
        rng = np.random.default_rng(1)
        return [rng.standard_normal(self.specs[v].shape, dtype=F4) for v in self.inputs]

    def donations(self) -> list[tuple[int, int]]:
        """Pairs of inputs and outputs of one shape, each named once."""
        program = self.program
        found: list[tuple[int, int]] = []
        for k, v in enumerate(program.outputs):
            fits = [i for i, x in enumerate(program.inputs) if self.specs[x] == self.specs[v]]
            fits = [i for i in fits if i not in [pair[0] for pair in found]]
            if fits and program.outputs.count(v) == 1:
                found.append((fits[0], k))
        return found

    def _value(self, spec: Spec) -> int:
        self.specs.append(spec)
        return len(self.specs) - 1

    def _pick(self, fits: Callable[[Spec], bool] = lambda spec: True) -> Any:
        there = [*self.inputs, *self.consts, *[v for e in self.eqns for v in e.outs]]
        there = [v for v in there if fits(self.specs[v])]
        return self.random.choice(there[-8:] if self.random.random() < 0.7 else there) if there else None

    def _add(self, op: str, ins: Sequence[Operand], **attrs: Any) -> None:
        given = [Spec((), x.dtype) if isinstance(x, Lit) else self.specs[x] for x in ins]
        spec = OPS[op].spec(*given, **attrs)
        out = self._value(Spec(tuple(spec.shape), spec.dtype))
        self.eqns.append(Eqn(op, tuple(ins), (out,), tuple(sorted(attrs.items()))))

    def _unary(self) -> None:
        self._add(self.random.choice(self.unary), [self._pick(lambda s: s.dtype == F4)])

    def _binary(self) -> None:
        x = self._pick(lambda s: s.dtype == F4 and len(s.shape) <= 3)
        y: Operand = Lit(self.random.choice((0.5, 1.0, 2.0, -1.0)), F4)
        if self.random.random() < 0.8:
            near = self._pick(lambda s: s.dtype == F4 and _broadcasts(s.shape, self.specs[x].shape))
            y = x if near is None else near
        self._add(self.random.choice(BINARY), [x, y])

    def _move(self) -> None:
        x = self._pick()
        shape = self.specs[x].shape
        kind = self.random.choice(("reshape", "permute", "broadcast_to", "slice", "pad"))
        if kind == "reshape":
            self._add(kind, [x], shape=(*reversed(shape), 1))
        elif kind == "permute":
            self._add(kind, [x], axes=tuple(self.random.sample(range(len(shape)), len(shape))))
        elif kind == "broadcast_to" and len(shape) < 4:
            self._add(kind, [x], shape=(2, *shape))
        elif kind == "slice" and shape and min(shape) > 0:
            size = tuple([self.random.randint(1, n) for n in shape])
            back = self.random.random() < 0.3
            start = tuple([k - 1 if back else n - k for n, k in zip(shape, size, strict=True)])
            self._add(kind, [x], start=start, size=size, step=(-1 if back else 1,) * len(shape))
        elif kind == "pad":
            ones = (1,) * len(shape)
            self._add(kind, [x], low=ones, high=(0,) * len(shape), interior=(0,) * len(shape))

    def _reduce(self) -> None:
        x = self._pick(lambda s: s.shape != () and s.dtype == F4)
        if x is not None:
            axes = range(len(self.specs[x].shape))
            chosen = tuple(sorted(self.random.sample(axes, self.random.randint(0, len(axes)))))
            self._add(self.random.choice(("sum", "max")), [x], axis=chosen, keepdims=self.random.random() < 0.3)

    def _other(self) -> None:
        kind = self.random.choice(("matmul", "cast", "where", "copy", "slice_update"))
        if kind == "matmul":
            x = self._pick(lambda s: len(s.shape) == 2 and s.dtype == F4)
            rows = () if x is None else self.specs[x].shape[1:]
            y = self._pick(lambda s: len(s.shape) == 2 and s.shape[:1] == rows and s.dtype == F4)
            if x is not None and y is not None:
                self._add(kind, [x, y])
        elif kind == "cast":
            x = self._pick()
            self._add(kind, [x], dtype=I4 if self.random.random() < 0.3 and self.specs[x].dtype == F4 else F4)
        elif kind == "where":
            x = self._pick(lambda s: s.dtype == F4)
            self._add("less", [x, Lit(0.0, F4)])
            self._add(kind, [len(self.specs) - 1, x, Lit(0.25, F4)])
        elif kind == "copy":
            self._add(kind, [self._pick()])
        else:
            x = self._pick(lambda s: s.shape == (4, 3) and s.dtype == F4)
            y = self._pick(lambda s: s.shape == (3,) and s.dtype == F4)
            if x is not None and y is not None:
                self._add("reshape", [y], shape=(1, 3))
                start, step = (self.random.randrange(4), 0), (1, 1)
                self._add(kind, [x, len(self.specs) - 1], start=start, size=(1, 3), step=step)


def _broadcasts(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(m == n or 1 in (m, n) for m, n in zip(a[::-1], b[::-1], strict=False))
