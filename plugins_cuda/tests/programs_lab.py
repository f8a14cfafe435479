"""Programs for the tests of ``compile``: through the core's passes and planner to an executor, and by NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from device_lab import get, put

from plugrad.backend import Spec
from plugrad.compiler import passes
from plugrad.compiler.plan import materialised, planned
from plugrad.compiler.replay import replay
from plugrad.compiler.target import Target, caller
from plugrad.op import OPS
from plugrad.plugins import backend_index
from plugrad.program import Eqn, Lit, Operand, Program
from plugrad_cuda.executor import Executor
from plugrad_cuda.recording import Tables

F4 = np.dtype("f4")


def target(name: str) -> Target:
    return Target(backend_index(name), "0")


def prepared(program: Program, where: Target, donations: Sequence[tuple[int, int]] = (), chosen: Any = None) -> Program:
    """After the passes, with a plan and the core's own calls."""
    program = planned(materialised(passes.apply(program, where, passes.chosen(chosen))), donations)
    return program.replace(calls=tuple([caller(e, program.specs, where) for e in program.eqns]))


def compiled(
    program: Program, donations: Sequence[tuple[int, int]] = (), without: Sequence[str] = (), chosen: Any = None
) -> Executor:
    """A program whose constants are arrays, for the device; ``without`` recording these ops."""
    cuda = target("cuda")
    program = program.replace(consts={v: put(a) for v, a in program.consts.items()})
    program = prepared(program, cuda, donations, chosen)
    kernels = {name: kernel for name, kernel in cuda.backend.kernels.items() if name not in without}
    if not without:
        made = cuda.backend.compile(program, "0")
        assert isinstance(made, Executor)
        return made
    return Executor(program, Tables(kernels, cuda.backend.into), "0")


def by_numpy(program: Program, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The outputs, by the reference backend and the core's replay."""
    numpy = target("numpy")
    return [np.array(x) for x in replay(prepared(program, numpy), numpy)(*arrays)]


def agree(run: Executor, program: Program, arrays: Sequence[np.ndarray], what: str = "") -> list[Any]:
    """The values of a run, after they were compared with NumPy's."""
    found = run(*[put(a) for a in arrays])
    same(found, by_numpy(program, arrays), what)
    return list(found)


def same(found: Sequence[Any], wanted: Sequence[np.ndarray], what: str = "") -> None:
    for value, array in zip(found, wanted, strict=True):
        got = get(value)
        assert (got.shape, got.dtype) == (array.shape, array.dtype), what
        np.testing.assert_allclose(got, array, rtol=2e-4, atol=2e-4, err_msg=what)


class Written:
    """Writes a program."""

    def __init__(self, *inputs: tuple[tuple[int, ...], Any]) -> None:
        self.specs = [Spec(shape, np.dtype(dtype)) for shape, dtype in inputs]
        self.inputs, self.eqns = tuple(range(len(inputs))), list[Eqn]()

    def add(self, op: str, *ins: Operand, **attrs: Any) -> int:
        """The number of an equation's value."""
        given = [Spec((), x.dtype) if isinstance(x, Lit) else self.specs[x] for x in ins]
        spec = OPS[op].spec(*given, **attrs)
        self.specs.append(Spec(tuple(spec.shape), spec.dtype))
        self.eqns.append(Eqn(op, tuple(ins), (len(self.specs) - 1,), tuple(sorted(attrs.items()))))
        return len(self.specs) - 1

    def program(self, *outputs: int) -> Program:
        return Program(tuple(self.specs), self.inputs, {}, tuple(self.eqns), outputs)


def layers(m: int = 6, n: int = 4, count: int = 3) -> Program:
    """tanh(x @ w) a few times: several launches, each of which needs the one before."""
    made = Written(((m, n), F4), ((n, n), F4))
    x = 0
    for _ in range(count):
        x = made.add("tanh", made.add("matmul", x, 1))
    return made.program(x)


def normals(program: Program, seed: int) -> list[np.ndarray]:
    """Arrays for the inputs."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(program.specs[v].shape, dtype=np.float32) for v in program.inputs]
