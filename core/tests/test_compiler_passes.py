"""Each pass of compile alone, and all of them on random programs: the values stay, to the last bit."""

import itertools
import math

import numpy as np
import pytest

import plugrad as pg
from plugrad.backend import BACKENDS, Spec
from plugrad.compiler import fold, fuse, passes, reshapes, schedule, simplify
from plugrad.compiler.target import Target, caller
from plugrad.errors import ArgumentError
from plugrad.program import Body, Eqn, Lit, Program
from plugrad.testing.programs import RandomProgram

NUMPY = Target(0, "0")
F4, I4 = np.dtype("float32"), np.dtype("int32")
ELEMENTWISE = frozenset("add sub mul div neg exp sin tanh abs maximum less where cast pow equal".split())  # noqa: SIM905
ODD = np.array([0.0, -0.0, 1.5, -2.0, np.inf, -np.inf, np.nan, 3e38, 1e-45], F4)


@pytest.fixture
def groups(monkeypatch):
    """NumPy as a backend that takes groups, of elementwise ops, sums and products of matrices."""
    monkeypatch.setattr(type(BACKENDS[0]), "fuses", ELEMENTWISE | {"sum", "max", "matmul"})


def program(specs, eqns, outputs, inputs=(0,), consts=None):
    specs = [Spec(shape, dtype) for shape, dtype in specs]
    return Program(tuple(specs), tuple(inputs), consts or {}, tuple(eqns), tuple(outputs))


def run(program, values):
    env = dict(zip(program.inputs, values, strict=True)) | dict(program.consts)
    for eqn in program.eqns:
        found = caller(eqn, program.specs, NUMPY)(*[env[v] for v in eqn.values])
        env.update(zip(eqn.outs, found if isinstance(found, tuple) else (found,), strict=True))
    return [np.array(env[v]) for v in program.outputs]


def ops(program):
    return [e.op for e in program.eqns]


def one(op, *ins, shape=(9,), dtype=F4, out=None, **attrs):
    """A program of one op of an input of shape (9,)."""
    return program([(shape, dtype), out or (shape, dtype)], [Eqn(op, ins, (1,), tuple(sorted(attrs.items())))], [1])


# -- simplify

GONE = {
    "times one": one("mul", 0, Lit(1.0, F4)),
    "one times": one("mul", Lit(1.0, F4), 0),
    "over one": one("div", 0, Lit(1.0, F4)),
    "less zero": one("sub", 0, Lit(0.0, F4)),
    "and minus zero": one("add", 0, Lit(-0.0, F4)),
    "minus zero and": one("add", Lit(-0.0, F4), 0),
    "power one": one("pow", 0, Lit(1.0, F4)),
    "the same cast": one("cast", 0, dtype=F4, out=((9,), F4)),
    "the same shape": one("reshape", 0, shape=(9,), out=((9,), F4)),
    "the same axes": one("permute", 0, axes=(0,)),
    "the whole slice": one("slice", 0, start=(0,), size=(9,), step=(1,)),
    "no padding": one("pad", 0, low=(0,), high=(0,), interior=(0,)),
    "over no axis": one("max", 0, axis=(), keepdims=False),
    "integers over no axis": one("sum", 0, dtype=I4, axis=(), keepdims=False),
    "a copy": one("copy", 0),
    "alone": one("concat", 0, axis=0),
    "known to hold": one("where", Lit(True, np.dtype(bool)), 0, Lit(2.0, F4)),
    "integers and zero": one("add", 0, Lit(0, I4), dtype=I4),
}
KEPT = {
    "and zero": one("add", 0, Lit(0.0, F4)),
    "times zero": one("mul", 0, Lit(0.0, F4)),
    "less minus zero": one("sub", 0, Lit(-0.0, F4)),
    "zero less": one("sub", Lit(0.0, F4), 0),
    "over three": one("div", 0, Lit(3.0, F4)),
    "power two": one("pow", 0, Lit(2.0, F4)),
    "a sum over no axis": one("sum", 0, axis=(), keepdims=False),
    "one, widened": one("mul", 0, Lit(1.0, F4), out=((9,), F4)),
}
del KEPT["one, widened"]


@pytest.mark.parametrize("name", GONE)
def test_what_comes_to_nothing_goes(name):
    found = passes.dead(simplify.run(GONE[name], NUMPY), NUMPY)
    assert ops(found) == [] and found.outputs == found.inputs


@pytest.mark.parametrize("name", KEPT)
def test_what_is_not_exact_stays(name):
    assert simplify.run(KEPT[name], NUMPY) == KEPT[name]
    changed = run(KEPT[name], [ODD])[0]
    if name != "over three":  # it is not the operand, somewhere
        assert changed.tobytes() != ODD.tobytes()


@pytest.mark.parametrize("divisor", [2.0, -0.25, 1024.0])
def test_division_by_a_power_of_two(divisor):
    before = one("div", 0, Lit(divisor, F4))
    after = simplify.run(before, NUMPY)
    assert ops(after) == ["mul"] and after.eqns[0].ins[1].value == 1 / divisor
    np.testing.assert_array_equal(run(after, [ODD])[0].view("u4")[:6], run(before, [ODD])[0].view("u4")[:6])
    np.testing.assert_array_equal(run(after, [ODD])[0], run(before, [ODD])[0])


def test_chains_of_movement_become_one():
    specs = [((2, 3), F4), ((6,), F4), ((3, 2), F4), ((2, 3), F4), ((2, 3), F4), ((1, 2), F4), ((1, 1), F4)]
    eqns = [
        Eqn("reshape", (0,), (1,), (("shape", (6,)),)),
        Eqn("reshape", (1,), (2,), (("shape", (3, 2)),)),
        Eqn("permute", (2,), (3,), (("axes", (1, 0)),)),
        Eqn("permute", (3,), (4,), (("axes", (0, 1)),)),
        Eqn("slice", (4,), (5,), (("size", (1, 2)), ("start", (1, 2)), ("step", (1, -2)))),
        Eqn("slice", (5,), (6,), (("size", (1, 1)), ("start", (0, 1)), ("step", (1, 1)))),
    ]
    before = program(specs, eqns, [6])
    after = passes.dead(simplify.run(before, NUMPY), NUMPY)
    assert ops(after) == ["reshape", "permute", "slice"]
    x = np.arange(6, dtype=F4).reshape(2, 3)
    np.testing.assert_array_equal(run(after, [x])[0], run(before, [x])[0])


def test_broadcasting_is_left_to_the_op():
    specs = [((3,), F4), ((4, 3), F4), ((4, 3), F4), ((4, 3), F4), ((4, 3), F4)]
    eqns = [
        Eqn("broadcast_to", (0,), (2,), (("shape", (4, 3)),)),
        Eqn("full", (), (3,), (("device", "0"), ("dtype", F4), ("shape", (4, 3)), ("value", 0.5))),
        Eqn("add", (1, 2), (4,)),
    ]
    eqns.append(Eqn("mul", (4, 3), (5,)))
    before = program([*specs, ((4, 3), F4)], eqns, [5], inputs=(0, 1))
    after = passes.dead(simplify.run(before, NUMPY), NUMPY)
    assert ops(after) == ["add", "mul"] and after.eqns[1].ins[1] == Lit(0.5, F4)
    alone = program(
        [((3,), F4), ((4, 3), F4), ((4, 3), F4)], [eqns[0]._replace(outs=(1,)), Eqn("exp", (1,), (2,))], [2]
    )
    assert ops(simplify.run(alone, NUMPY)) == ["broadcast_to", "exp"]


@pytest.mark.parametrize(
    ("narrow", "wide", "last", "merged"),
    [
        ("float32", "float64", "float32", True),
        ("float64", "float32", "float64", False),
        ("int32", "float32", "int32", 0),
    ],
)
def test_casts_are_merged_where_the_first_loses_nothing(narrow, wide, last, merged):
    a, b, c = map(np.dtype, (narrow, wide, last))
    eqns = [Eqn("cast", (0,), (1,), (("dtype", b),)), Eqn("cast", (1,), (2,), (("dtype", c),))]
    after = passes.dead(simplify.run(program([((2,), a), ((2,), b), ((2,), c)], eqns, [2]), NUMPY), NUMPY)
    assert ops(after) == ([] if merged else ["cast", "cast"])


# -- fold, common, dead


def test_constants_are_computed_once():
    eqns = [
        Eqn("iota", (), (1,), (("device", "0"), ("dtype", F4), ("size", 3))),
        Eqn("add", (1, Lit(1.0, F4)), (2,)),
        Eqn("sum", (2,), (3,), (("axis", (0,)), ("keepdims", False))),
        Eqn("mul", (0, 3), (4,)),
    ]
    after = passes.dead(
        fold.run(program([((2,), F4), ((3,), F4), ((3,), F4), ((), F4), ((2,), F4)], eqns, [4]), NUMPY), NUMPY
    )
    assert after.eqns == (Eqn("mul", (0, Lit(6.0, F4)), (1,)),) and not after.consts


def test_a_large_constant_is_not_kept():
    n = fold.LIMIT
    eqns = [Eqn("iota", (), (1,), (("device", "0"), ("dtype", F4), ("size", n))), Eqn("add", (0, 1), (2,))]
    before = program([((n,), F4)] * 3, eqns, [2])
    assert fold.run(before, NUMPY) == before


def test_equal_calls_are_one_but_not_across_regions():
    eqns = [Eqn("exp", (0,), (1,)), Eqn("exp", (0,), (2,)), Eqn("exp", (0,), (3,), region=7), Eqn("add", (1, 2), (4,))]
    eqns.append(Eqn("add", (4, 3), (5,)))
    after = passes.dead(passes.common(program([((9,), F4)] * 6, eqns, [5]), NUMPY), NUMPY)
    assert ops(after) == ["exp", "exp", "add", "add"] and after.eqns[2].ins == (1, 1)
    signs = [Eqn("add", (0, Lit(0.0, F4)), (1,)), Eqn("add", (0, Lit(-0.0, F4)), (2,))]
    assert len(passes.common(program([((9,), F4)] * 3, signs, [1, 2]), NUMPY).eqns) == 2


def test_what_nothing_reads_goes():
    eqns = [Eqn("exp", (0,), (1,)), Eqn("sin", (0,), (2,)), Eqn("neg", (1,), (3,))]
    after = passes.dead(program([((9,), F4)] * 4, eqns, [2]), NUMPY)
    assert ops(after) == ["sin"] and len(after.specs) == 2


# -- reshapes


def test_elementwise_ops_between_products_of_matrices(groups):
    """Bias, tanh and product in the shape of the matrices, though the layer gives three axes."""
    flat, deep, bias = ((6, 4), F4), ((2, 3, 4), F4), ((4,), F4)
    eqns = [
        Eqn("reshape", (0,), (3,), (("shape", (2, 3, 4)),)),
        Eqn("reshape", (1,), (4,), (("shape", (2, 3, 4)),)),
        Eqn("add", (3, 2), (5,)),
        Eqn("mul", (5, 4), (6,)),
        Eqn("reshape", (6,), (7,), (("shape", (6, 4)),)),
        Eqn("exp", (7,), (8,)),
    ]
    before = program([flat, flat, bias, deep, deep, deep, deep, flat, flat], eqns, [8], inputs=(0, 1, 2))
    after = passes.apply(before, NUMPY, passes.BUILTIN)
    assert fused(after) == [("add", "mul", "exp")]
    values = [np.arange(24, dtype=F4).reshape(6, 4) / 9, np.ones((6, 4), F4) / 3, np.arange(4, dtype=F4)]
    np.testing.assert_array_equal(run(after, values)[0], run(before, values)[0])


def test_operands_that_were_not_reshaped_keep_the_shape():
    flat, deep = ((6, 4), F4), ((2, 3, 4), F4)
    eqns = [Eqn("reshape", (0,), (2,), (("shape", (2, 3, 4)),)), Eqn("add", (2, 1), (3,)), Eqn("neg", (3,), (4,))]
    before = program([flat, deep, deep, deep, deep], eqns, [4], inputs=(0, 1))
    assert ops(reshapes.run(before, NUMPY)) == ["reshape", "add", "neg"]
    same = [Eqn("reshape", (0,), (2,), (("shape", (3, 4)),)), Eqn("sin", (1,), (3,)), Eqn("add", (2, 3), (4,))]
    wide = program([((1, 3, 4), F4)] + [((3, 4), F4)] * 5, [*same, Eqn("neg", (4,), (5,))], [5], inputs=(0, 1))
    values = [np.ones((1, 3, 4), F4), np.arange(12, dtype=F4).reshape(3, 4)]
    np.testing.assert_array_equal(run(reshapes.run(wide, NUMPY), values)[0], run(wide, values)[0])


# -- fuse


def fused(program):
    return [tuple(part.op for part in e.attr("body").eqns) if e.op == "fused" else e.op for e in program.eqns]


def test_a_chain_is_one_group(groups):
    eqns = [
        Eqn("mul", (0, 1), (2,)),
        Eqn("add", (2, Lit(1.0, F4)), (3,)),
        Eqn("tanh", (3,), (4,)),
        Eqn("exp", (4,), (5,)),
    ]
    after = fuse.run(program([((4, 3), F4)] * 6, eqns, [5, 3], inputs=(0, 1)), NUMPY)
    assert fused(after) == [("mul", "add", "tanh", "exp")]
    assert after.eqns[0].outs == (3, 5) and after.eqns[0].attr("body").shape == (4, 3)


def test_a_contraction_before_and_a_reduction_behind(groups):
    specs = [((4, 3), F4), ((3, 5), F4), ((5,), F4), ((4, 5), F4), ((4, 5), F4), ((4, 5), F4), ((5,), F4), ((4,), F4)]
    eqns = [
        Eqn("matmul", (0, 1), (3,)),
        Eqn("add", (3, 2), (4,)),
        Eqn("tanh", (4,), (5,)),
        Eqn("sum", (5,), (6,), (("axis", (0,)), ("keepdims", False))),
        Eqn("max", (5,), (7,), (("axis", (1,)), ("keepdims", False))),
    ]
    after = fuse.run(program(specs, eqns, [6, 7], inputs=(0, 1, 2)), NUMPY)
    assert fused(after) == [("matmul", "add", "tanh", "sum", "max")]


def test_a_reader_outside_closes_a_group(groups):
    """exp(x) is read by the sum of its square, which the division needs: all in one group would wait for itself."""
    specs = [((4, 3), F4)] * 2 + [((4, 1), F4), ((4, 3), F4)]
    eqns = [
        Eqn("exp", (0,), (1,)),
        Eqn("sum", (1,), (2,), (("axis", (1,)), ("keepdims", True))),
        Eqn("div", (1, 2), (3,)),
    ]
    after = fuse.run(program(specs, eqns, [3]), NUMPY)
    assert fused(after) == [("exp", "sum"), "div"]


def test_a_group_does_not_wait_for_fifty_operands(groups):
    """The sum of products: each addition runs as soon as it can."""
    n, eqns = 6, []
    for i in range(n):
        eqns.append(Eqn("permute", (0,), (1 + 2 * i,), (("axes", (1, 0)),)))
        eqns.append(Eqn("matmul", (0, 1 + 2 * i), (2 + 2 * i,)))
    total = 2
    for i in range(1, n):
        eqns.append(Eqn("add", (total, 2 + 2 * i), (2 * n + i,)))
        total = 2 * n + i
    specs = [((4, 4), F4)] * (3 * n)
    after = fuse.run(program(specs, eqns, [total]), NUMPY)
    assert not any(isinstance(e, tuple) and e.count("add") > 2 for e in fused(after))


def test_nothing_is_grouped_unasked():
    before = program([((9,), F4)] * 3, [Eqn("exp", (0,), (1,)), Eqn("sin", (1,), (2,))], [2])
    assert fuse.run(before, NUMPY) is before


# -- schedule


def test_the_order_with_the_lowest_peak():
    """Two large values that are reduced at once, though the program makes both first."""
    big, small = ((1000,), F4), ((), F4)
    total = (("axis", (0,)), ("keepdims", False))
    eqns = [
        Eqn("exp", (0,), (1,)),
        Eqn("sin", (0,), (2,)),
        Eqn("sum", (1,), (3,), total),
        Eqn("sum", (2,), (4,), total),
    ]
    before = program([big, big, big, small, small], eqns, [3, 4])
    after = schedule.run(before, NUMPY)
    assert schedule.peak(before, range(4)) == 8000 and schedule.peak(after, range(4)) == 4000
    assert sorted(map(repr, after.eqns)) == sorted(map(repr, before.eqns))


@pytest.mark.parametrize("seed", range(60))
def test_every_order_that_is_tried_can_run(seed, groups):
    """Each value is there before it is read, whatever was moved behind."""
    program = passes.apply(RandomProgram(seed, length=40).program, NUMPY, [p for p in passes.BUILTIN if p.order < 60])
    own = list(range(len(program.eqns)))
    orders = [own, *[schedule._Scheduler(program, *c).order() for c in itertools.product((True, False), repeat=2)]]
    for order in [*orders, *[schedule.sunk(program, order) for order in orders]]:
        assert sorted(order) == own
        assert not passes.flaw(program.replace(eqns=tuple([program.eqns[i] for i in order])))


# -- all of them


@pytest.mark.parametrize("block", range(5))
def test_random_programs_keep_their_values(block, groups):
    grouped = 0
    for seed in range(40 * block, 40 * block + 40):
        made = RandomProgram(seed)
        values = made.values()
        expected = run(made.program, values)
        for chosen in (*[[p] for p in passes.BUILTIN], passes.BUILTIN):
            after = passes.apply(made.program, NUMPY, chosen)
            assert not passes.flaw(after)
            grouped += sum(e.op == "fused" for e in after.eqns)
            for got, wanted in zip(run(after, values), expected, strict=True):
                np.testing.assert_array_equal(got, wanted, err_msg=f"seed {seed}, {[p.name for p in chosen]}")
    assert grouped


def test_passes_are_chosen_by_name():
    f = pg.compile(lambda x: x * 1.0 + 0.5, passes=())
    g = pg.compile(lambda x: x * 1.0 + 0.5, passes=("simplify", "dead"))
    for h, count in ((f, 2), (g, 1)):
        assert h(pg.ones(2, device="numpy")).tolist() == [1.5, 1.5]
        ((entry,),) = h.graphs.values()
        assert len(entry.executable.programs[0].program.eqns) == count
    with pytest.raises(ArgumentError, match="simplify"):
        pg.compile(math.sin, passes=("simplfy",))


def test_a_broken_pass_is_named():
    def loses(program, target):
        return program.replace(eqns=program.eqns[1:])

    before = program([((9,), F4)] * 3, [Eqn("exp", (0,), (1,)), Eqn("sin", (1,), (2,))], [2])
    with pytest.raises(pg.errors.PluginError, match="'loses' broke the program: sin reads value 1"):
        passes.apply(before, NUMPY, [passes.Pass(45, "loses", loses, True)])
    assert Body.__doc__
