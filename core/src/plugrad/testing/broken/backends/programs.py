"""Programs: executors that forget, and memory that is carved wrongly."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ....backend import index_of
from ....compiler.replay import replay
from ....compiler.target import Target, caller
from ....program import Program
from ....tensor import tupled
from .base import INTO, K, fault

Run = Callable[..., Any]
ELEMENTWISE = frozenset({"add", "sub", "mul", "maximum", "sin", "tanh", "neg", "abs", "less", "where", "cast"})


def _taking(change: Callable[[Any, Program, Run], Run]) -> dict[str, Any]:
    """A backend that takes programs: ``change(backend, program, run)`` of the core's own executor."""

    def compile(self: Any, program: Program, device: str) -> Run:
        index = index_of(self.name)
        assert index is not None
        return change(self, program, replay(program, Target(index, device)))

    return {"compile": compile}


def _first_results(backend: Any, program: Program, run: Run) -> Run:
    kept: list[Any] = []

    def again(*values: Any) -> Any:
        if not kept:
            kept.append(run(*values))
        return kept[0]

    return again


def _same_results(backend: Any, program: Program, run: Run) -> Run:
    kept: list[Any] = []

    def again(*values: Any) -> Any:
        found = run(*values)
        if not kept:
            kept.append(found)
        for old, new in zip(kept[0], found, strict=True):
            old[...] = new
        return kept[0]

    return again


def _swapped(backend: Any, program: Program, run: Run) -> Run:
    return lambda *values: run(*values)[::-1]


def _writing(backend: Any, program: Program, run: Run) -> Run:
    def again(*values: Any) -> Any:
        found = run(*values)
        for value in values:
            value[...] = 0
        return found

    return again


def _aliasing(backend: Any, program: Program, run: Run) -> Run:
    """Gives up more than it was given: an input that is an output is not copied."""
    return lambda *values: tuple([np.array(v) for v in run(*values)][:-1]) + (values[0],) * bool(program.outputs)


def _contiguous(backend: Any, program: Program, run: Run) -> Run:
    """Reads inputs in the order of their memory."""

    def flat(x: Any) -> Any:
        start = x
        while isinstance(start.base, np.ndarray):
            start = start.base
        return start.reshape(-1)[: x.size].reshape(x.shape)

    return lambda *values: run(*[flat(np.asarray(x)) for x in values])


def _one_memory(backend: Any, program: Program, run: Run) -> Run:
    """All threads in one arena, here: in one list of inputs."""
    place: list[Any] = [None] * len(program.inputs)

    def again(*values: Any) -> Any:
        for k, value in enumerate(values):
            place[k] = np.array(value)
        time.sleep(1e-4)  # another thread comes by
        return tuple([np.array(v) for v in run(*place)])

    return again


def _silent(backend: Any, program: Program, run: Run) -> Run:
    def again(*values: Any) -> Any:
        try:
            return run(*values)
        except IndexError:
            return tuple([np.zeros(program.specs[v].shape, program.specs[v].dtype) for v in program.outputs])

    return again


def _hasty(backend: Any, program: Program, run: Run) -> Run:
    """Writes over what was given up, whether or not it comes to the end."""

    def again(*values: Any) -> Any:
        given = [np.array(x) for x in values]
        if "gather" in [e.op for e in program.eqns]:
            values[0][...] = 0
        return run(*given)

    return again


def _numbers_once(backend: Any, program: Program, run: Run) -> Run:
    """Reads the numbers of the host at the first run only."""
    kept: dict[int, Any] = {}

    def again(*values: Any) -> Any:
        return run(*[kept.setdefault(i, v) if i in program.host_inputs else v for i, v in enumerate(values)])

    return again


def _numbers_short(backend: Any, program: Program, run: Run) -> Run:
    """Gives the host its numbers as int32."""

    def again(*values: Any) -> Any:
        outs = program.host_outputs
        return tuple([np.array(v, np.int32) if k in outs else v for k, v in enumerate(run(*values))])

    return again


def _grouping(change: Callable[..., Any], **members: Any) -> dict[str, Any]:
    """A backend with a kernel for groups: ``change(values, body, results)`` of what their ops give one by one."""

    def fused(*values: Any, body: Any) -> Any:
        env: list[Any] = [*values, *[None] * (len(body.specs) - len(values))]
        for part in body.eqns:
            found = caller(part, body.specs, Target(0, "0"))(*[env[v] for v in part.values])
            for v, value in zip(part.outs, tupled(found), strict=True):
                env[v] = value
        results = change(values, body, [np.array(env[v]) for v in body.outputs])
        return tuple(results) if len(results) > 1 else results[0]

    return {"kernels": {**K, "fused": fused}, "fuses": ELEMENTWISE | {"sum", "max"}, **members}


def _last_row(values: Any, body: Any, results: Any) -> Any:
    for r in results:
        if r.ndim and r.dtype.kind == "f" and r.shape == body.shape:
            r[-1] = 0
    return results


def _without_keepdims(values: Any, body: Any, results: Any) -> Any:
    return [r.reshape([n for n in r.shape if n != 1]) if r.shape != body.shape else r for r in results]


def _at_zero(self: Any, block: Any, offset: int, shape: Any, dtype: Any) -> Any:
    return np.ndarray(shape, dtype, block, 0)


def _copied(self: Any, block: Any, offset: int, shape: Any, dtype: Any) -> Any:
    return np.ndarray(shape, np.float64, np.array(block.repeat(2)), offset)


def _missing_into() -> dict[str, Any]:
    """A form that writes without reading what it is to write over first."""

    def add(out: Any, x: Any, y: Any) -> Any:
        out[...] = 0
        return INTO["add"](out, x, y)

    return {"into": {**INTO, "add": add}}


FAULTS = (
    fault("program_remembers", "a program gives the results of its first run again", "programs.threads",
          _taking(_first_results)),
    fault("program_reuses_results", "a program writes its results where it wrote them before", "programs.results_stay",
          _taking(_same_results)),
    fault("program_swaps", "a program gives its results from the last to the first", "programs.values",
          _taking(_swapped)),
    fault("program_writes_inputs", "a program leaves zeros in its inputs", "programs.operands", _taking(_writing)),
    fault("program_gives_an_input", "the last result of a program is its first input", "programs.values",
          _taking(_aliasing)),
    fault("program_ignores_strides", "a program reads inputs in the order of their memory", "programs.layouts",
          _taking(_contiguous)),
    fault("program_shares_its_arena", "all threads run a program in one memory", "programs.threads",
          _taking(_one_memory)),
    fault("program_is_silent", "a program gives zeros where a position is out of range", "programs.failures",
          _taking(_silent)),
    fault("program_is_hasty", "a program writes over an input before what may still fail", "programs.failures",
          _taking(_hasty)),
    fault("program_keeps_numbers", "a program reads the host's numbers at its first run only", "programs.host_numbers",
          {**_taking(_numbers_once), "host_scalars": True}),
    fault("program_shortens_numbers", "a program gives the host int32", "programs.host_numbers",
          {**_taking(_numbers_short), "host_scalars": True}),
    fault("group_leaves_a_row", "a group leaves its last row", "programs.groups programs.values", _grouping(_last_row)),
    fault("group_drops_axes", "a group's reductions drop the axes that they should keep", "programs.groups",
          _grouping(_without_keepdims)),
    fault("carve_at_zero", "every piece is carved at the begin of the block", "programs.carve programs.values",
          {"carve": _at_zero, "dtypes": "b1 i4 i8 u1 u4 f4 f8"}),
    fault("carve_of_float64", "pieces are float64, whatever was asked for", "programs.carve",
          {"carve": _copied, "dtypes": "b1 i4 i8 u1 u4 f4 f8"}),
    fault("program_clears_first", "add clears what it writes to, also where that is its operand", "programs.values",
          _missing_into()),
)  # fmt: skip
