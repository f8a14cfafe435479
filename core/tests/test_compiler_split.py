"""The pass ``split``: parts of groups that run ahead of the rest, on programs by hand and on random ones."""

import random

import numpy as np
import pytest

from plugrad.backend import Spec
from plugrad.compiler import fuse, passes, schedule, split
from plugrad.compiler.target import Target, caller
from plugrad.program import Eqn, Lit, Plan, Program

NUMPY = Target(0, "0")
F4 = np.dtype("float32")
TOTAL = (("axis", (0, 1)), ("keepdims", False))
MASK, CHOICE = Eqn("less", (Lit(1.0, F4), 6), (7,)), Eqn("where", (7, 5, Lit(0.0, F4)), (8,))
PEAK = 3


def waiting(parts=(MASK, CHOICE), gives=(8,), outputs=(9,), image=1, wide=40, extra=()):
    """An image, 1, whose maxima are all that the large value behind it, 4, needs; then a group that reads half of the
    image, 6, and the sum of the large value, 5; then the sum of the group's 8. Input 10 has the shape of these.
    """
    half, large, number = ((20, 10), F4), ((40, wide), F4), ((), F4)
    shapes = [((40, 10), F4), ((40, 10), F4), ((40, 1), F4), large, large, number, half]
    shapes += [(half[0], np.dtype(bool)), half, number, half, half, half, half, number, number]
    specs = tuple([Spec(*s) for s in shapes])
    eqns = [
        Eqn("exp", (0,), (1,)),
        Eqn("max", (1,), (2,), (("axis", (1,)), ("keepdims", True))),
        Eqn("broadcast_to", (2,), (3,), (("shape", large[0]),)),
        Eqn("copy", (3,), (4,)),
        Eqn("sum", (4,), (5,), TOTAL),
        Eqn("slice", (image,), (6,), (("size", half[0]), ("start", (1, 0)), ("step", (2, 1)))),
        fuse.grouped(parts, gives, specs),
        Eqn("sum", (8,), (9,), TOTAL),
        *extra,
    ]
    return Program(specs, (0, 10), {}, tuple(eqns), tuple(outputs))


def run(program):
    rng = np.random.default_rng(0)
    env = {v: rng.standard_normal(program.specs[v].shape, dtype=F4) for v in program.inputs}
    for eqn in program.eqns:
        found = caller(eqn, program.specs, NUMPY)(*[env[v] for v in eqn.values])
        env.update(zip(eqn.outs, found if isinstance(found, tuple) else (found,), strict=True))
    return [np.array(env[v]) for v in program.outputs]


def same(after, before):
    assert not passes.flaw(after)
    for got, wanted in zip(run(after), run(before), strict=True):
        np.testing.assert_array_equal(got, wanted)


def ops(program):
    return [tuple(part.op for part in e.attr("body").eqns) if e.op == "fused" else e.op for e in program.eqns]


def groups(program):
    return [found for found in ops(program) if isinstance(found, tuple)]


def test_a_part_that_frees_memory_runs_before_the_peak():
    before = waiting()
    after = split.run(before, NUMPY)
    assert ops(before)[-2:] == [("less", "where"), "sum"]
    assert ops(after) == ["exp", "max", "slice", "less", "broadcast_to", "copy", "sum", "where", "sum"]
    assert max(schedule.alive(before)) == 1600 + 160 + 6400 and max(schedule.alive(after)) == 200 + 160 + 6400
    same(after, before)


def test_a_part_takes_along_what_it_needs():
    parts = [
        Eqn("sin", (10,), (13,)),
        Eqn("neg", (13,), (12,)),
        Eqn("exp", (10,), (11,)),
        Eqn("less", (12, 6), (7,)),
        Eqn("where", (7, 5, 11), (8,)),
    ]
    after = split.run(waiting(parts), NUMPY)
    assert groups(after) == [("sin", "neg", "less"), ("exp", "where")]
    same(after, waiting(parts))


def test_a_part_takes_along_what_sums_it():
    parts = [Eqn("neg", (10,), (12,)), Eqn("less", (12, 6), (7,)), CHOICE, Eqn("sum", (12,), (14,), TOTAL)]
    before = waiting(parts, gives=(8, 14), outputs=(15,), extra=[Eqn("add", (9, 14), (15,))])
    after = split.run(before, NUMPY)
    assert groups(after) == [("neg", "less", "sum")] and "where" in ops(after)
    same(after, before)


STAYS = {
    "an input": waiting(image=0),
    "an output": waiting(outputs=(9, 1)),
    "read later": waiting(outputs=(9, 14), extra=[Eqn("sum", (1,), (14,), TOTAL)]),
    "read by the rest": waiting([MASK, Eqn("where", (7, 5, 6), (8,))]),
    "as large": waiting(
        [Eqn("sin", (6,), (11,)), Eqn("abs", (6,), (12,)), Eqn("add", (11, 5), (13,)), Eqn("mul", (12, 13), (8,))]
    ),
    "the whole group": waiting([MASK, Eqn("where", (7, 10, Lit(0.0, F4)), (8,))]),
    "leaves the program": waiting(gives=(7, 8), outputs=(9, 7)),
}


@pytest.mark.parametrize("name", STAYS)
def test_a_part_that_frees_nothing_stays(name):
    assert split.parts(waiting(), [PEAK]) and not split.parts(STAYS[name], [PEAK])
    assert split.run(STAYS[name], NUMPY) is STAYS[name]


def test_a_part_that_hardly_lowers_the_peak_stays():
    before = waiting(wide=1000)  # 1400 bytes of 161760
    assert split.parts(before, [PEAK]) and split.run(before, NUMPY) is before


def test_a_part_stays_if_the_arena_does_not_become_smaller(monkeypatch):
    """Fewer bytes alive may lie worse."""
    monkeypatch.setattr(split, "planned", lambda program: program.replace(plan=Plan((), 8000 + len(program.eqns))))
    assert split.run(waiting(), NUMPY) == waiting()


def test_what_is_left_is_scheduled_anew():
    """A value that only the last sum reads, and now is as large as what waits: it was made too early."""
    before = waiting(outputs=(9, 14), extra=[Eqn("sum", (11,), (14,), TOTAL)])
    before = before.replace(eqns=(Eqn("exp", (10,), (11,)), *before.eqns))
    after = split.run(before, NUMPY)
    assert max(schedule.alive(after)) == 200 + 160 + 6400
    same(after, before)


@pytest.mark.parametrize(("second", "parts"), [(200, 2), (199, 2), (196, 2), (100, 1)])
def test_peaks_of_about_one_height_together_others_one_by_one(second, parts):
    one, other = waiting(wide=200), waiting(wide=second)
    n = len(one.specs)
    again = [
        e._replace(ins=tuple([x + n if type(x) is int else x for x in e.ins]), outs=(e.outs[0] + n,))
        for e in other.eqns
    ]
    link = Eqn("add", (0, 9), (n,))
    before = Program(one.specs + other.specs, (0, 10, 10 + n), {}, (*one.eqns, link, *again), (9 + n,))
    after = split.run(before, NUMPY)
    assert ops(after).count("less") == ops(after).count("where") == parts
    same(after, before)


def stretches(seed):
    """Products of matrices between groups of four; most operands were not read before, however long ago they came."""
    rng = random.Random(seed)
    specs = [Spec((4, 3), F4), Spec((3, 3), F4)]
    flat, unread = [], [0]

    def value(read):
        specs.append(Spec((4, 3), F4))
        unread[:] = [v for v in unread if v not in read] + [len(specs) - 1]
        return len(specs) - 1

    def pick():
        return rng.choice(unread if rng.random() < 0.7 else [v for v in range(len(specs)) if v != 1])

    for _ in range(6):
        for _ in range(3):
            x = pick()
            flat.append([Eqn("matmul", (x, 1), (value([x]),))])
            x = pick()
            flat.append([Eqn("slice", (x,), (value([x]),), (("size", (4, 3)), ("start", (3, 0)), ("step", (-1, 1))))])
        flat.append([])
        for _ in range(4):
            x, y = pick(), pick()
            flat[-1].append(Eqn(rng.choice(("add", "mul", "maximum")), (x, y), (value([x, y]),)))
    outputs = unread[-2:]
    eqns = []
    for k, parts in enumerate(flat):
        read = {v for later in flat[k + 1 :] for e in later for v in e.values}.union(outputs)
        inside = {v for e in parts for v in e.values}
        outs = [v for e in parts for v in e.outs if v in read or v not in inside]
        eqns.append(fuse.grouped(parts, tuple(outs), specs))
    return passes.dead(Program(tuple(specs), (0, 1), {}, tuple(eqns), tuple(outputs)), NUMPY)


def test_parts_of_random_programs():
    """Whatever is divided, the values stay, and fewer bytes are alive where the peak was said to be."""
    divided = 0
    for seed in range(60):
        before = stretches(seed)
        peaks = [k for k, e in enumerate(before.eqns) if e.op != "slice"]
        first: dict[int, split.Part] = {}
        for peak in peaks:
            e = before.eqns[peak]
            if found := split.parts(before, [peak]):
                after = split.divided(before, found)
                same(after, before)
                at = [e.outs for e in after.eqns].index(e.outs)
                assert schedule.alive(after)[at] < schedule.alive(before)[peak]
                first = {part.group: part for part in found} | first
        assert {part.group: part for part in split.parts(before, peaks)} == first
        divided += len(first)
        same(split.run(before, NUMPY), before)
    assert divided > 50
