"""What compile made, drawn by to_dot and timed by profile; other observers hear of every op, as without compile."""

import re

import numpy as np
import pytest

import plugrad as pg
from plugrad import dispatch, state
from plugrad.backend import BACKENDS, Spec
from plugrad.errors import ArgumentError, NonFiniteError, RecordingError
from plugrad.program import Body, Eqn, Lit, Place, Plan, Program
from plugrad.reference.backend import NumpyBackend

STRING = r'"(?:[^"\\\n]|\\.)*"'
F4 = np.dtype("float32")


def T(*shape):
    return pg.ones(shape, device="numpy")


class Owner(NumpyBackend):
    """A device with an executor of its own, asynchronous: it looks at the clock of nobody."""

    name = "owner"
    is_async = True
    waited = 0

    def compile(self, program, device):
        def run(*values):
            env = dict(zip(program.inputs, values, strict=True)) | dict(program.consts)
            for eqn, call in zip(program.eqns, program.calls, strict=True):
                found = call(*[env[v] for v in eqn.values])
                env.update(zip(eqn.outs, found if isinstance(found, tuple) else (found,), strict=True))
            return tuple([env[v] for v in program.outputs])

        return run

    def synchronize(self, device):
        self.waited += 1


OWNER = Owner()
if "owner" not in [backend.name for backend in dispatch.BACKENDS]:
    dispatch.add_backend(OWNER)


@pytest.fixture
def fuses(monkeypatch):
    monkeypatch.setattr(type(BACKENDS[0]), "fuses", frozenset({"add", "mul", "exp", "sin", "sum"}))


def test_a_program_is_drawn():
    row, one = Spec((4,), F4), Spec((), F4)
    body = Body(
        2, (row, row, row, one), (Eqn("add", (0, 1), (2,)), Eqn("sum", (2,), (3,), (("axis", (0,)),))), (2, 3), (4,)
    )
    eqns = (
        Eqn("mul", (0, Lit(2.0, F4)), (2,)),
        Eqn("fused", (2, 1), (3, 4), (("body", body),)),
        Eqn("reshape", (3,), (5,), (("shape", (2, 2)),)),
        Eqn("exp", (5,), (6,)),
    )
    square = Spec((2, 2), F4)
    places = [("input", 0), ("const", 0), ("arena", 0), ("arena", 0), ("output", 1), ("view", 3), ("output", 0)]
    plan = Plan(tuple([Place(*p) for p in places]), 64)
    program = Program((row, row, row, row, one, square, square), (0,), {1: None}, eqns, (6, 4), plan=plan)
    assert (
        pg.to_dot(program)
        == r"""digraph plugrad {
  node [shape=box];
  n0 [label="input %0\nfloat32 (4,)", shape=ellipse];
  n1 [label="constant %1\nfloat32 (4,)", shape=ellipse, style=dashed];
  n2 [label="mul 2.0\nfloat32 (4,)"];
  n0 -> n2;
  subgraph cluster1 {
    label="fused [4]";
    n3 [label="add\nfloat32 (4,)"];
    n4 [label="sum\naxis=(0,)\nfloat32 ()"];
    n3 -> n4;
  }
  n2 -> n3;
  n1 -> n3;
  n5 [label="reshape\nshape=(2, 2)\nfloat32 (2, 2)", style=dashed];
  n3 -> n5;
  n6 [label="exp\nfloat32 (2, 2)"];
  n5 -> n6;
  n7 [label="result\nfloat32 (2, 2)", shape=ellipse, peripheries=2];
  n8 [label="result\nfloat32 ()", shape=ellipse, peripheries=2];
  n6 -> n7;
  n4 -> n8;
}"""
    )


def stepped(x):
    h = pg.exp(x) * 2.0
    h = pg.fori_loop(0, 3, lambda i, h: pg.sin(h), h)
    return pg.sum(h.to_device("owner") * 3.0)


def test_a_compiled_function_is_drawn_for_arguments():
    f = pg.compile(lambda x, n=1: pg.exp(x) * float(n))
    assert "(4, 3)" in pg.to_dot(f, pg.ones((4, 3))) and "mul 3.0" in pg.to_dot(f, pg.ones((2, 3)), n=3)
    assert f.graphs and not any(entry.replays for entries in f.graphs.values() for entry in entries)
    assert "(4, 3)" in pg.to_dot(f, pg.ones((4, 3)))
    with pytest.raises(ArgumentError, match=r"to_dot: arguments for a Tensor; names= is a keyword"):
        pg.to_dot(pg.ones(3), pg.ones(3))
    with pytest.raises(RecordingError, match=r"to_dot: got a stepped; .*plugrad.stage or plugrad.compile returned"):
        pg.to_dot(stepped)


def test_a_compiled_function_is_drawn_with_its_devices(fuses):
    f = pg.compile(stepped)
    with pytest.raises(RecordingError, match=r"to_dot: stepped was not compiled yet; call it first"):
        pg.to_dot(f)
    f(T(4))
    text = pg.to_dot(f)
    assert text == pg.to_dot(f)
    frames = re.findall(r'label="([^"]*)";', text)
    assert frames == [
        "program on numpy",
        "fused [4]",
        "scan",
        "graph 1",
        "program on numpy",
        "program on owner",
        "fused [4]",
    ]
    labels = dict(re.findall(rf"(n\d+) \[label=({STRING})", text))
    edges = [
        (labels[a][1:-1].split("\\n")[0], labels[b][1:-1].split("\\n")[0])
        for a, b in re.findall(r"(n\d+) -> (n\d+);", text)
    ]
    assert ("result", "scan") in edges and ("scan", "move float32[4] from numpy to owner") in edges
    assert ("move float32[4] from numpy to owner", "input %0") in edges
    assert strangers(text) == []


def strangers(text):
    """The edges inside frames that an end is not declared in: Graphviz would draw that end in there."""
    stack, found = [[set(), []]], []
    for line in map(str.strip, text.split("\n")[1:-1]):
        if line.startswith("subgraph"):
            stack.append([set(), []])
        elif line == "}":
            declared, edges = stack.pop()
            found += [ends for ends in edges if not set(ends) <= declared]
            stack[-1][0] |= declared
        elif ends := re.findall(r"n\d+", line.partition(" [")[0]):
            stack[-1][0].add(ends[0]) if len(ends) == 1 else stack[-1][1].append(ends)
    return found


def test_the_profile_shows_programs_and_their_parts(fuses):
    def net(x):
        return pg.floor(pg.exp(x) * 2.0)

    f = pg.compile(net)
    expected = f(T(4, 3)).tolist()
    with pg.profile() as p:
        for _ in range(3):
            assert f(T(4, 3)).tolist() == expected
    rows = {row.op: row for row in p.table()}
    assert {"program net", "fused(exp mul)", "floor"} <= rows.keys() and "exp" not in rows and "mul" not in rows
    assert [rows[name].calls for name in ("program net", "fused(exp mul)", "floor")] == [3, 3, 3]
    assert rows["program net"].bytes == 3 * 2 * 48 and rows["fused(exp mul)"].bytes == 3 * 2 * 48
    assert rows["program net"].total >= rows["fused(exp mul)"].total + rows["floor"].total > 0
    (event, *_) = [e for e in p.events() if e["name"] == "fused(exp mul)"]
    line = net.__code__.co_firstlineno + 1
    assert event["cat"] == "equation" and event["args"]["where"].endswith(f"test_diagnostics_compiled.py:{line}")
    assert event["args"]["how"] == "compiled" and event["args"]["shapes"] == [(4, 3)]
    assert pg.explain(f).kinds[0].graphs[0].replays == ()
    assert state.WATCHING[0] == ()


def test_the_profile_of_steps_on_several_devices():
    f = pg.compile(stepped)
    value = f(T(4)).item()
    OWNER.waited = 0
    with pg.profile() as p:
        assert f(T(4)).item() == value
    events = p.events()
    programs = [e["args"]["device"] for e in events if e["cat"] == "program"]
    assert programs == ["numpy", "numpy", "numpy", "numpy", "owner"]  # the loop's body three times
    names = [e["name"] for e in events]
    assert names.count("sin") == 3 and "scan" in names and names.count("to_device") == 1
    assert "sum" not in names  # the device's own executor does not tell
    last = events[-1] if events[-1]["cat"] == "program" else [e for e in events if e["cat"] == "program"][-1]
    assert last["args"]["synchronized"] and OWNER.waited >= 1


def test_the_first_call_under_a_profile_compiles():
    f = pg.compile(lambda x: pg.exp(x) * 2.0)
    with pg.profile():
        f(T(3))
    assert f.fast or pg.explain(f).kinds[0].graphs[0].runs == "compiled"


class Heard(pg.Observer):
    def __init__(self):
        self.kernels, self.programs = [], []

    def kernel(self, op, backend, how):
        self.kernels.append(op)

    def program(self, run, program, device):
        self.programs.append((program.name, device))
        return run()


class Timer(Heard):
    compiled = True

    def equation(self, run, eqn, program, device):
        self.kernels.append(f"equation {eqn.op} on {device}")
        return run()


def test_observers_choose_between_ops_and_programs():
    def f(x):
        return pg.exp(x) * 2.0

    g = pg.compile(f)
    g(T(3))
    with Heard() as heard:
        g(T(3))
    assert (heard.kernels, heard.programs) == (["full", "exp", "mul"], []), "T makes a tensor, too"
    with Timer() as timer:
        x = T(3)
        timer.kernels.clear()
        assert g(x).tolist() == pytest.approx([2 * np.e] * 3)
    assert (timer.kernels, timer.programs) == (["equation exp on numpy", "equation mul on numpy"], [("f", "numpy")])
    x = T(3)
    with Timer() as timer, Heard() as heard:  # one that wants ops is enough
        g(x)
    assert timer.programs == [] and heard.kernels == ["exp", "mul"] == timer.kernels


def test_the_nan_finder_still_sees_every_op():
    f = pg.compile(lambda x: pg.log(x) * 0.0)
    f(T(2))
    with pytest.raises(NonFiniteError, match="log: NaN"), pg.find_nan():
        f(pg.asarray([1.0, -1.0], device="numpy"))
    with pytest.raises(NonFiniteError, match="log: NaN"), pg.profile(), pg.find_nan():
        f(pg.asarray([1.0, -1.0], device="numpy"))


def test_an_error_under_a_profile_is_the_same_and_leaves_nothing_behind():
    f = pg.compile(lambda x, i: pg.take(x, i) * 2.0)
    i, bad = pg.asarray([0, 1], device="numpy"), pg.asarray([0, 7], device="numpy")
    f(T(3), i)
    with pytest.raises(IndexError) as plain:
        f(T(3), bad)
    with pg.profile() as p, pytest.raises(IndexError) as profiled:
        f(T(3), bad)
    assert str(plain.value) == str(profiled.value) and not p._stack()
    assert f(T(3), i).tolist() == [2.0, 2.0]
