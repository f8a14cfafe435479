"""Memory plans of random programs, held against a checker that plays them, and run against runs without a plan."""

import numpy as np
import pytest

from plugrad.compiler import passes
from plugrad.compiler.plan import materialised, planned
from plugrad.compiler.replay import replay
from plugrad.compiler.target import Target, caller
from plugrad.program import Place
from plugrad.testing.plans import PlanError, check_plan
from plugrad.testing.programs import RandomProgram

NUMPY = Target(0, "0")


def with_calls(program):
    return program.replace(calls=tuple([caller(e, program.specs, NUMPY) for e in program.eqns]))


def reference(program, values):
    """Equation by equation, every value kept."""
    env = dict(zip(program.inputs, values, strict=True)) | dict(program.consts)
    for eqn in program.eqns:
        found = caller(eqn, program.specs, NUMPY)(*[env[v] for v in eqn.values])
        env.update(zip(eqn.outs, found if isinstance(found, tuple) else (found,), strict=True))
    return [np.array(env[v]) for v in program.outputs]


@pytest.mark.parametrize("block", range(10))
def test_no_live_values_overlap_on_random_programs(block):
    shared = given_up = 0
    for seed in range(100 * block, 100 * block + 100):
        made = RandomProgram(seed)
        program, values = made.program, made.values()
        expected = reference(program, values)
        early = [p for p in passes.BUILTIN if p.name != "fuse"]
        for chosen in ([], early):
            plan = planned(materialised(passes.apply(program, NUMPY, chosen)), made.donations())
            check_plan(plan)
            shared += sum(plan.nbytes(v) for v, p in enumerate(plan.plan.places) if p.kind == "arena") - plan.plan.size
            given_up += len(plan.donated)
            run = replay(with_calls(plan), NUMPY)
            for _ in range(2):  # the arena is used again
                given = [v.copy() for v in values]
                for got, wanted in zip(run(*given), expected, strict=True):
                    np.testing.assert_array_equal(got, wanted)
            kept = set(range(len(values))) - {i for i, _ in plan.donated}
            assert all(np.array_equal(given[i], values[i], equal_nan=True) for i in kept)
    assert shared > 0 and given_up > 0


def test_the_checker_sees_every_overlap_that_is_planted():
    """Two values that live at the same time, put to the same place."""
    seen = planted = 0
    for seed in range(60):
        program = planned(materialised(RandomProgram(seed).program))
        uses, places = program.uses(), program.plan.places
        arena = [v for v, p in enumerate(places) if p.kind == "arena" and program.nbytes(v) and uses[v]]
        births = {v: i for i, e in enumerate(program.eqns) for v in e.outs}
        for a in arena:
            others = [b for b in arena if births[a] < births[b] < uses[a][-1] and places[a] != places[b]]
            for b in others[:2]:
                moved = list(places)
                moved[b] = Place("arena", places[a].at)
                size = max(program.plan.size, places[a].at + program.nbytes(b))
                planted += 1
                with pytest.raises(PlanError):
                    check_plan(program.replace(plan=program.plan._replace(places=tuple(moved), size=size)))
                seen += 1
    assert planted == seen > 50
