"""The core's own executor: equations one by one, into planned memory where the backend has kernels for that."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..backend import device_name
from ..program import Eqn, Lit, Program
from ..state import WATCHING, watched
from ..tensor import tupled
from .plan import in_place
from .target import Target

Run = Callable[..., tuple[Any, ...]]


def executor(program: Program, target: Target) -> Run:
    """The backend's own executor if it takes the program, else a replay."""
    return executor_of(program, target)[0]


def executor_of(program: Program, target: Target) -> tuple[Run, bool]:
    """The executor, and whether it is the backend's own."""
    found = target.backend.compile(program, target.dev)
    return (found, True) if found is not NotImplemented else (_hosting(program, target, replay(program, target)), False)


def _hosting(program: Program, target: Target, run: Run) -> Run:
    """The same for numbers of the host."""
    if not program.host_inputs and not program.host_outputs:
        return run
    backend, dev = target.backend, target.dev

    def moved(*values: Any) -> tuple[Any, ...]:
        there = [backend.from_host(v, dev) if i in program.host_inputs else v for i, v in enumerate(values)]
        found = enumerate(run(*there))
        return tuple([np.array(backend.to_host(v)) if k in program.host_outputs else v for k, v in found])

    return moved


def replay(program: Program, target: Target) -> Run:
    """A function of the values of the inputs that gives those of the outputs.

    Results of elementwise ops and of updates are written into the memory of an operand where the plan has it so;
    others into the arena where there is an ``into`` form and memory can be carved; else kernels allocate. Values are
    let go after their last use.
    """
    assert program.plan is not None
    steps = [_step(program, i, target) for i in range(len(program.eqns))]
    drop: list[list[int]] = [[] for _ in program.eqns]
    for v, uses in enumerate(program.uses()):
        if uses and uses[-1] < len(program.eqns) and v not in program.consts:
            drop[uses[-1]].append(v)
    pairs = list(zip(steps, [tuple(d) for d in drop], strict=True))
    arenas: list[list[Any]] = []
    n, outputs = len(program.specs), program.outputs
    start = [program.consts.get(v) for v in range(n)]
    carved, device = _carved(program, target), device_name((target.be, target.dev))

    def run(*values: Any) -> tuple[Any, ...]:
        arena = arenas.pop() if arenas else carved()
        env = start.copy()
        env[: len(values)] = values
        try:
            for step, dead in _heard(program, pairs, device) if WATCHING[0] else pairs:
                step(env, arena)
                for v in dead:
                    env[v] = None
            return tuple([env[v] for v in outputs])
        finally:
            arenas.append(arena)

    return run


Step = Callable[[list[Any], list[Any]], None]
Pairs = Sequence[tuple[Step, tuple[int, ...]]]


def _heard(program: Program, pairs: Pairs, device: str) -> Pairs:
    """The steps, with every observer told of each."""
    steps = [
        functools.partial(watched, "equation", (eqn, program, device), step)
        for eqn, (step, _) in zip(program.eqns, pairs, strict=True)
    ]
    return [(step, dead) for step, (_, dead) in zip(steps, pairs, strict=True)]


def _carved(program: Program, target: Target) -> Callable[[], list[Any]]:
    """Makes an arena: a value on it for each number that has a place there, None for the others."""
    plan, backend = program.plan, target.backend
    assert plan is not None
    into = {v for e in program.eqns if e.op in backend.into and len(e.outs) == 1 for v in e.outs}
    wanted = [v for v, p in enumerate(plan.places) if p.kind == "arena" and v in into and program.nbytes(v)]

    def make() -> list[Any]:
        values: list[Any] = [None] * len(program.specs)
        block = backend.empty((plan.size,), np.dtype(np.uint8), target.dev) if wanted and plan.size else NotImplemented
        if block is NotImplemented:
            return values
        for v in wanted:
            spec = program.specs[v]
            value = backend.carve(block, plan.places[v].at, spec.shape, spec.dtype)
            if value is NotImplemented:
                return [None] * len(program.specs)
            values[v] = value
        return values

    return make


def _step(program: Program, i: int, target: Target) -> Any:
    """One equation on the list of values and those carved out of the arena."""
    eqn, call = program.eqns[i], program.calls[i]
    ins, outs = eqn.values, eqn.outs
    if len(outs) > 1:

        def several(env: list[Any], arena: list[Any]) -> None:
            for v, value in zip(outs, tupled(call(*[env[x] for x in ins])), strict=True):
                env[v] = value

        return several
    (out,) = outs

    def single(env: list[Any], arena: list[Any]) -> None:
        env[out] = call(*[env[x] for x in ins])

    write = target.backend.into.get(eqn.op)
    place = program.plan.places[out] if program.plan is not None else None
    if write is None or place is None or place.kind not in ("arena", "donated"):
        return single
    return _writing(eqn, program, target, write, place, single)


def _writing(eqn: Eqn, program: Program, target: Target, write: Any, place: Any, single: Any) -> Any:
    """The equation into the memory of an operand, or of the arena."""
    assert program.plan is not None
    attrs, (out,) = dict(eqn.attrs), eqn.outs
    literals = [target.literal(x) if isinstance(x, Lit) else None for x in eqn.ins]
    places = program.plan.places
    over = None
    for x in eqn.values:
        same = places[x] == place if place.kind == "arena" else places[x] == ("input", place.at)
        if same and program.nbytes(x) and in_place(eqn, eqn.ins.index(x), out, program):
            over = x
    if over is None and place.kind == "donated":
        return single

    def into(env: list[Any], arena: list[Any]) -> None:
        memory = arena[out] if over is None else env[over]
        if memory is None:
            return single(env, arena)
        values = [env[x] if type(x) is int else lit for x, lit in zip(eqn.ins, literals, strict=True)]
        if write(memory, *values, **attrs) is NotImplemented:
            return single(env, arena)
        env[out] = memory
        return None

    return into
