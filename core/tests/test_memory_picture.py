"""memory_plan: the blocks of an arena as data, as bars for a terminal, and as a drawing."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

import plugrad as pg
from plugrad.backend import Spec
from plugrad.compiler import passes
from plugrad.compiler.plan import materialised, planned
from plugrad.compiler.target import Target
from plugrad.diagnostics.memory import BARS, amount, plan_of
from plugrad.errors import ArgumentError
from plugrad.program import Eqn, Place, Plan, Program
from plugrad.testing.programs import RandomProgram

SVG = "{http://www.w3.org/2000/svg}"


def T(*shape):
    return pg.ones(shape, device="numpy")


def by_hand():
    """exp of a row and its sine in one place, a sum beside them, a view of the sine, and their product."""
    row, one = Spec((32,), np.dtype("float32")), Spec((1,), np.dtype("float32"))
    eqns = (
        Eqn("exp", (0,), (1,), where="dir/net.py:1"),
        Eqn("sin", (1,), (2,), where="dir/net.py:2"),
        Eqn("sum", (2,), (3,), (("axis", (0,)), ("keepdims", True))),
        Eqn("reshape", (2,), (4,), (("shape", (32,)),)),
        Eqn("mul", (4, 3), (5,)),
    )
    places = tuple(Place(*p) for p in [("input", 0), ("arena", 0), ("arena", 0), ("arena", 128), ("view", 2)])
    plan = Plan((*places, Place("output", 0)), 192)
    return Program((row, row, row, one, row, row), (0,), {}, eqns, (5,), plan=plan, name="net <&>")


def test_blocks_and_live_bytes():
    plan = pg.memory_plan(by_hand())
    assert [(b.offset, b.nbytes, b.born, b.dies, [v.value for v in b.values]) for b in plan.blocks] == [
        (0, 128, 0, 4, [1, 2]),  # the view reads it until the end
        (128, 64, 2, 4, [3]),
    ]
    assert plan.live == (128, 128, 192, 192, 192)
    assert (plan.name, plan.size, plan.values, plan.peak) == ("net <&>", 192, 260, 192)
    assert [str(v) for b in plan.at_peak() for v in b.values] == [
        "%1:float32[32] exp  dir/net.py:1", "%2:float32[32] sin  dir/net.py:2", "%3:float32[1] sum"
    ]  # fmt: skip


def test_the_text():
    assert str(pg.memory_plan(by_hand())).split("\n") == [
        "net <&>: 5 equations, 2 blocks",
        "arena 192 B; all values in it 260 B, alive at once 192 B",
        "|  ███| 192 B",
        "|▆▆███|",
        "|█████|",
        "|█████|",
        "alive at equation 2:",
        "     128 B  %1:float32[32] exp  dir/net.py:1, then %2:float32[32] sin  dir/net.py:2",
        "      64 B  %3:float32[1] sum",
    ]


def test_a_long_program_fits_a_terminal():
    program = by_hand()
    eqns = [Eqn("exp", (k,), (k + 1,)) for k in range(300)]
    specs = (program.specs[0],) * 302
    places = (Place("input", 0), *[Place("arena", 128 * (k % 2)) for k in range(300)], Place("output", 0))
    eqns.append(Eqn("exp", (300,), (301,)))
    long = Program(specs, (0,), {}, tuple(eqns), (301,), plan=Plan(places, 256))
    lines = pg.memory_plan(long).text(width=60, height=2).split("\n")
    bars = [line for line in lines if line.startswith("|")]
    assert len(bars) == 2 and all(line.index("|", 1) == 61 for line in bars)
    assert bars[0][1:61].strip(BARS[1:]) == "" and len(pg.memory_plan(long).blocks) == 300


def test_the_drawing():
    plan = pg.memory_plan(by_hand())
    root = ET.fromstring(plan.svg(960, 480))
    rects = [r for r in root.iter(f"{SVG}rect") if r.get("class") == "block"]
    tips = [r.find(f"{SVG}title").text for r in rects]
    assert tips[0].split("\n") == [
        "128 bytes at 0, equations 0 to 4", "%1:float32[32] exp  dir/net.py:1", "%2:float32[32] sin  dir/net.py:2"
    ]  # fmt: skip
    first, second = [{k: float(r.get(k)) for k in ("x", "y", "width", "height")} for r in rects]
    assert abs(first["height"] - 2 * second["height"]) < 0.1 and abs(first["width"] * 3 - second["width"] * 5) < 0.1
    assert abs(second["y"] + second["height"] - first["y"]) < 0.1, "one lies on the other"
    (live,) = root.iter(f"{SVG}polyline")
    points = [tuple(map(float, p.split(","))) for p in live.get("points").split()]
    assert len(points) == 10 and points[4][1] == min(y for _, y in points) == second["y"]
    assert "net <&>: 5 equations, 2 blocks" in [t.text for t in root.iter(f"{SVG}text")]
    assert plan.svg() == pg.memory_plan(by_hand()).svg()


def test_it_is_saved(tmp_path):
    f = pg.compile(lambda x: pg.sum(pg.exp(x) * pg.sin(x)))
    pg.memory_plan(f, T(8, 8)).save(tmp_path / "plan.svg")
    text = (tmp_path / "plan.svg").read_text(encoding="utf-8")
    assert ET.fromstring(text).tag == f"{SVG}svg" and "test_memory_picture.py:" in text
    assert pg.explain(f).memory() == pg.memory_plan(f)


def test_without_an_arena():
    plan = pg.memory_plan(pg.compile(lambda x: pg.exp(x)), T(3))
    assert plan.blocks == () and plan.peak == 0 and plan.at_peak() == []
    assert str(plan).split("\n")[1] == "arena 0 B; all values in it 0 B, alive at once 0 B"
    ET.fromstring(plan.svg())
    nothing = pg.memory_plan(Program((), (), {}, (), (), plan=Plan((), 0)))
    assert nothing.live == () and "0 equations" in str(nothing)
    ET.fromstring(nothing.svg())


def test_a_program_without_a_plan():
    with pytest.raises(ArgumentError, match="memory_plan: this program has no plan"):
        pg.memory_plan(by_hand().replace(plan=None))


@pytest.mark.parametrize("chosen", [[], [p for p in passes.BUILTIN if p.order < 50]])
def test_blocks_of_random_programs_fill_the_arena_and_never_overlap(chosen):
    shared = 0
    for seed in range(80):
        made = RandomProgram(seed)
        program = planned(materialised(passes.apply(made.program, Target(0, "0"), chosen)), made.donations())
        plan = plan_of(program)
        taken = np.zeros((len(program.eqns), plan.size), bool)
        for b in plan.blocks:
            area = taken[b.born : b.dies + 1, b.offset : b.offset + b.nbytes]
            assert area.shape == (b.dies + 1 - b.born, b.nbytes) and not area.any()
            area[:] = True
        assert plan.live == tuple(taken.sum(axis=1))
        held = [v.value for b in plan.blocks for v in b.values]
        arena = [v for v, p in enumerate(program.plan.places) if p.kind == "arena" and program.nbytes(v)]
        assert sorted(held) == sorted(arena)
        assert plan.size == max([b.offset + b.nbytes for b in plan.blocks], default=0) >= plan.peak
        shared += len(held) - len(plan.blocks)
    assert shared > 50


def test_amounts():
    assert [amount(n) for n in (0, 999, 1000, 2_500_000, 3 * 10**9)] == [
        "0 B",
        "999 B",
        "1.00 kB",
        "2.50 MB",
        "3.00 GB",
    ]


def test_who_was_asked_is_named():
    with pytest.raises(ArgumentError, match="memory_plan: got a by_hand, which is not compiled"):
        pg.memory_plan(by_hand)


def test_a_drawing_is_called_svg(tmp_path):
    plan = pg.memory_plan(by_hand())
    with pytest.raises(ArgumentError, match=r"memory_plan: save writes SVG, no png; call it plan\.svg"):
        plan.save(tmp_path / "plan.png")
    assert list(tmp_path.iterdir()) == []
    for name in ("plan.svg", "plan.SVG", "plan"):
        plan.save(tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf-8") == plan.svg()
