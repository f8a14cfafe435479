"""explain: how often and why a function was staged, how it runs, what was fused, what not and why, and its memory."""

import os
import re

import numpy as np
import pytest

import plugrad as pg
from plugrad.backend import BACKENDS
from plugrad.compiler import passes
from plugrad.compiler.fuse import _groups
from plugrad.compiler.reasons import unfused
from plugrad.compiler.target import Target
from plugrad.errors import ArgumentError
from plugrad.program import short
from plugrad.testing.programs import RandomProgram

ELEMENTWISE = ("add", "sub", "mul", "div", "neg", "exp", "sin", "cos", "tanh", "abs", "maximum", "where", "less")
TAKES = frozenset({*ELEMENTWISE, "sum", "max", "matmul"})


def T(*shape):
    return pg.ones(shape, device="numpy")


@pytest.fixture
def fuses(monkeypatch):
    """The reference backend takes groups; the core runs them equation by equation."""
    monkeypatch.setattr(type(BACKENDS[0]), "fuses", TAKES)


def only(report):
    """The only program of the only graph of the only kind."""
    (kind,) = report.kinds
    (graph,) = kind.graphs
    (program,) = graph.programs()
    return program


def test_kinds_and_what_is_new_about_them():
    def f(x, net, n=2, *, flag=False):
        return x * net["w"][0] * float(n)

    g = pg.compile(f)
    w = {"w": [T(3)]}
    g(T(4, 3), w)
    g(T(8, 3), w)
    g(T(8, 3), {"w": [T(1)]})
    g(T(8, 3).astype("float64"), w)
    g(T(8, 3), w, 5)
    g(T(8, 3), w, 7)
    g(T(8, 3), w, flag=True)
    report = pg.explain(g)
    assert [kind.arguments for kind in report.kinds[:2]] == [
        ("x: float32 (4, 3) on numpy", "net['w'][0]: float32 (3,) on numpy"),
        ("x: float32 (8, 3) on numpy", "net['w'][0]: float32 (3,) on numpy"),
    ]
    assert [kind.reasons for kind in report.kinds] == [
        (),
        ("x: float32 (8, 3), was (4, 3)",),
        ("net['w'][0]: float32 (1,), was (3,)",),
        ("x: float64 (8, 3), was float32 (8, 3)",),
        ("n is new",),
        ("n: 7, was 5",),
        ("flag is new",),
    ]
    assert report.kinds[5].arguments[-1] == "n: 7" and report.kinds[6].arguments[-1] == "flag: True"
    assert all(kind.staged == 1 and kind.graphs[0].runs == "compiled" for kind in report.kinds)
    assert g.misses == [why for kind in report.kinds for why in kind.reasons]
    assert "staged once, because x: float32 (8, 3), was (4, 3)" in str(report)


def test_shared_and_shifted_tensors():
    class Pair(pg.Module):
        def __init__(self, tied):
            self.a = pg.Parameter([1.0], device="numpy")
            self.b = self.a if tied else pg.Parameter([1.0], device="numpy")

        def forward(self, x):
            return x * self.a * self.b

    f = pg.compile(lambda pair, x: pair(x).detach())
    for tied in (True, False, True):
        f(Pair(tied), T(1))
    assert [kind.reasons for kind in pg.explain(f).kinds] == [(), ("pair.b is no longer pair.a",)]
    h = pg.compile(lambda n, x: x * 2.0)
    h(None, T(3))
    h(T(1), T(3))
    assert pg.explain(h).kinds[1].reasons == ("n: float32 (1,), was None",)


def test_odd_static_parts_do_no_harm():
    class Odd:
        __hash__ = None

        def __eq__(self, other):
            return np.zeros(2) == 0

        def __repr__(self):
            raise RuntimeError

    f = pg.compile(lambda x, odd, *more: x * 2.0)
    f(T(2), Odd())
    assert f(T(3), Odd()).tolist() == [2.0] * 3
    assert f(T(3), [T(1)], 1).tolist() == [2.0] * 3
    kinds = pg.explain(f).kinds
    assert kinds[0].arguments[1] == "odd: a Odd"
    assert kinds[1].reasons == ("x: float32 (3,), was (2,); odd: a Odd, was a Odd",)
    assert "odd: a list, was a Odd" in kinds[2].reasons[0] and "more[0] is new" in kinds[2].reasons[0]


def test_other_devices_parameters_and_surroundings_are_told():
    f = pg.compile(lambda x: x * 2.0)
    f(T(2))
    with pg.promotion("strict"):
        f(T(2))
    f(pg.Parameter([1.0, 2.0], device="numpy"))
    with pg.no_grad():
        f(T(2))
    reasons = [kind.reasons for kind in pg.explain(f).kinds[1:]]
    assert reasons[0] == ("promotion= changed",)
    assert reasons[1] == ("x: a Parameter, was a Tensor; x: now recorded by backward()",)
    assert reasons[2] == ("what records (no_grad, or a transformation around) changed",)


class Net(pg.Module):
    def __init__(self):
        self.w, self.scale = pg.Parameter([1.0, 2.0], device="numpy"), 1.0

    def forward(self, x):
        return x * self.w * self.scale


def test_guards_say_what_changed():
    net, c = Net(), T(2)
    f = pg.compile(lambda x: net(x) + c)
    with pg.no_grad():
        f(T(2))
        net.scale = 3.0
        f(T(2))
        c._become(T(2).astype("float64"))
        f(T(2))
    (kind,) = pg.explain(f).kinds
    assert kind.staged == 3 and len(kind.graphs) == 3
    first, second = kind.reasons
    assert first == "the module net.scale was 1.0, is 3.0"
    assert second.startswith("c, a captured float32 tensor of shape (2,)") and "is now a float64 tensor" in second
    assert any(line.startswith("net.w: ") for line in kind.graphs[0].captured)
    assert "staged 3 times, again because\n    the module net.scale was 1.0, is 3.0" in str(pg.explain(f))


def test_how_it_runs_and_why():
    f = pg.compile(lambda x: pg.sin(x).sum())
    assert "not run yet" not in str(pg.explain(f))
    pg.vmap(f)(T(3, 2))
    with pg.observe(lambda *heard: None):
        f(T(2))
    graphs = [graph for kind in pg.explain(f).kinds for graph in kind.graphs]
    assert sorted(pair for graph in graphs for pair in graph.replays) == [
        ("an observer hears of every op", 1),
        ("inside another transformation: vmap", 1),
    ]
    assert {graph.runs for graph in graphs} == {"op by op"}
    f(T(2))
    assert "compiled" in {graph.runs for kind in pg.explain(f).kinds for graph in kind.graphs}


def test_a_recorded_call_has_a_forward_and_a_backward():
    net = Net()
    f = pg.compile(lambda x: pg.exp(net(x)).sum())
    f(T(2)).backward()
    report = pg.explain(f)
    (graph,) = report.kinds[0].graphs
    ((forward, backward),) = graph.recorded
    assert graph.runs == "recorded" and graph.replays == () and graph.steps == ()
    assert forward[0].program.program.name.endswith(" forward") and backward[0].program.program.name.endswith(
        "backward"
    )
    assert [p.device for p in report.programs] == ["numpy", "numpy"]
    assert "recorded, its forward:" in str(report) and "recorded, its backward:" in str(report)
    assert "exp" in pg.to_dot(f) and report.memory().name.startswith("<lambda> ")
    g = pg.compile(lambda x: pg.sin(x).sum())
    pg.grad(g)(T(2))
    assert pg.explain(g).kinds[0].graphs[0].runs == "recorded"
    assert pg.explain(pg.compile(lambda x: net(x).sum()), T(2)).kinds[0].graphs[0].runs == "recorded"


def test_batches_of_any_size():
    f = pg.compile(lambda x: pg.sum(x * 2.0, axis=0) / x.shape[0], batched=0)
    for n in (4, 6, 9, 12):
        f(T(n, 3))
    (kind,) = pg.explain(f).kinds
    assert kind.arguments == ("x: float32 (any, 3) on numpy",) and kind.reasons == (
        "a batch of 6 rows",
        "a batch of 9 rows",
    )
    assert kind.staged == 3 and [graph.batch for graph in kind.graphs] == [4, 6, 9, 12]
    assert [graph.seconds[0] > 0 for graph in kind.graphs] == [True, True, True, False]
    assert "a batch of 12; 3 equations; written down from those of other batch sizes" in str(pg.explain(f))
    g = pg.compile(lambda x: x * 2.0 if x.shape[0] > 3 else x, batched=0)
    g(T(4, 3))
    (graph,) = pg.explain(g).kinds[0].graphs
    assert len(graph.decided) == 1 and "no graph for batches of any size, because of" in str(pg.explain(g))


def test_arguments_compile_and_do_not_run():
    ran, state = [], pg.Buffer(pg.zeros((), device="numpy"))

    def f(x):
        ran.append(1)
        state.assign(state + x.sum())
        return x * 2.0

    g = pg.compile(f)
    assert pg.explain(g).kinds == () and "not called yet" in str(pg.explain(g))
    report = pg.explain(g, T(2, 3))
    assert only(report).device == "numpy" and state.item() == 0.0 and len(ran) == 1
    g(T(2, 3))
    assert state.item() == 6.0 and len(ran) == 1
    assert report.kinds[0].graphs[0].written and "writes state" in str(report)
    with pytest.raises(ArgumentError, match="explain: got an? .*which is not compiled"):
        pg.explain(f)
    with pytest.raises(ArgumentError, match="was not compiled; call it"):
        pg.memory_plan(pg.compile(f))


def test_a_method_is_explained():
    class Owner:
        @pg.compile
        def double(self, x):
            return x * 2.0

    owner = Owner()
    owner.double(T(3))
    assert pg.explain(owner.double, T(3)).name == "double"


def test_fused_groups_and_the_lines_that_made_them(fuses):
    def f(x):
        y = pg.exp(x) * 2.0
        return pg.sum(pg.sin(y), axis=0)

    report = pg.explain(pg.compile(f), T(8, 4))
    program = only(report)
    (fused,) = program.fused
    assert fused.ops == ("exp", "mul", "sin", "sum") and fused.shape == (8, 4)
    assert [re.sub(r".*:", "", line) for line in fused.lines] == [str(f.__code__.co_firstlineno + k) for k in (1, 2)]
    assert (program.before, program.after, program.unfused, program.fuses) == (4, 1, (), True)
    assert "fused [8,4]: exp mul sin sum" in str(report) and max(map(len, str(report).split("\n"))) <= 120


def reasons(f, *args, device="numpy"):
    return {(u.maker, u.reader): u.why for u in only(pg.explain(pg.compile(f), *args)).unfused}


def test_why_not_fused(fuses):
    why = reasons(lambda x: pg.exp(pg.floor(pg.sin(x))), T(3))
    assert why == {("sin", "floor"): "numpy does not fuse floor", ("floor", "exp"): "numpy does not fuse floor"}
    why = reasons(lambda x, y: pg.exp(x) + pg.sin(y), T(3), T(8, 3))
    assert why == {("exp", "add"): "shapes differ: (3,) and (8, 3)"}
    why = reasons(lambda x: pg.exp(pg.sum(pg.sin(x), axis=0)), T(8, 3))
    assert why == {("sum", "exp"): "the reduction sum ends its group"}
    assert reasons(lambda x: pg.reshape(pg.exp(x), (3, 1)), T(3)) == {("", "exp"): "alone between an input and reshape"}


def test_a_group_that_was_read_from_outside_first(fuses):
    def f(x, w):
        y = pg.exp(x)
        return y + pg.sin(y @ w)

    why = reasons(f, T(4, 4), T(4, 4))
    assert why == {("exp", "add"): "matmul outside its group read it first"}


def test_groups_have_a_largest_size(fuses):
    def many(x):
        for _ in range(70):
            x = pg.sin(x)
        return x

    assert reasons(many, T(4)) == {("sin", "sin"): "the group would have more than 64 equations"}


def test_a_group_that_would_wait_and_keep_memory_alive(monkeypatch):
    monkeypatch.setattr(type(BACKENDS[0]), "fuses", TAKES - {"matmul"})
    why = reasons(lambda x, y, z, w: (x @ w) * (y @ w) + z @ w, *[T(64, 64)] * 4)
    assert why[("mul", "add")] == "its group would wait, and keep more memory alive"
    assert why[("matmul", "add")] == why[("matmul", "mul")] == "numpy does not fuse matmul"


def test_a_part_of_a_group_that_frees_memory_early(monkeypatch):
    monkeypatch.setattr(type(BACKENDS[0]), "fuses", TAKES - {"matmul"})

    def f(x, w):
        y = pg.exp(x)
        total = pg.sum(pg.max(y, axis=1, keepdims=True) @ w)
        return pg.sum(pg.where(y[1::2] > 1.0, total, 0.0))

    why = reasons(f, T(64, 64), T(1, 600))
    assert why[("less", "where")] == "ahead of the group it frees memory before the peak"


def test_the_reasons_tell_of_the_groups_that_the_pass_makes(fuses):
    """Every pair of neighbours that could be fused is in one group, or told of."""
    target, pairs = Target(0, "0"), 0
    fusible = {*ELEMENTWISE, "sum", "max", "matmul"}
    for seed in range(60):
        program = RandomProgram(seed, 30).program
        early = passes.apply(program, target, [p for p in passes.BUILTIN if p.order < 50])
        groups = {i: k for k, members in enumerate(_groups(early, TAKES)) for i in members}
        makers = {v: i for i, e in enumerate(early.eqns) for v in e.outs}
        apart = sorted(
            (early.eqns[m].op, e.op)
            for i, e in enumerate(early.eqns)
            if e.op in fusible and e.op != "matmul"
            for m in {makers[v] for v in e.values if v in makers}
            if early.eqns[m].op in fusible and groups[m] != groups[i]
        )
        told = unfused(program, target, list(passes.BUILTIN))
        assert sorted((u.maker, u.reader) for u in told if u.maker and {u.maker, u.reader} <= fusible) == apart
        assert "the pass `fuse` put them into two groups" not in {u.why for u in told}
        pairs += len(apart)
    assert pairs > 50


def test_without_groups_there_are_no_reasons():
    report = pg.explain(pg.compile(lambda x: pg.exp(x) * 2.0), T(3))
    assert only(report).unfused == () and not only(report).fuses
    assert "nothing is fused: the backend of numpy lists no ops in `fuses`" in str(report)


def test_control_flow_stands_apart():
    def f(x):
        y = pg.fori_loop(0, 3, lambda i, h: pg.sin(h), pg.exp(x))
        return y * 2.0

    report = pg.explain(pg.compile(f), T(3))
    steps = report.kinds[0].graphs[0].steps
    assert [step.kind for step in steps] == ["program", "apart", "program"]
    assert steps[1].title == "scan" and steps[1].why == "control flow: its graphs are compiled by themselves"
    assert [e.op for e in steps[1].inner[0][0].program.program.eqns] == ["sin"]
    assert len(report.programs) == 3 and "its graph 1:" in str(report)


def test_memory_donation_and_copies():
    total = pg.Buffer(pg.zeros((64,), device="numpy"))

    def f(x):
        total.assign(total + x)
        return pg.reshape(pg.sum(pg.exp(x) * pg.sin(pg.exp(x)), axis=0), ()), x, pg.reshape(total, (8, 8))

    g = pg.compile(f)
    report = pg.explain(g, T(64))
    program = only(report)
    assert program.donated == ("output 2, float32[64], in the memory of input 0",)
    assert program.copied == ("output 1, float32[8,8], from reshape, a view or another output",)
    assert (program.arena, program.values, program.peak) == (512, 768, 512)
    text = str(report)
    assert "arena 512 B; all values in it 768 B, alive at once 512 B" in text
    assert "in given-up memory: output 2" in text and "copied: output 1" in text


def test_copies_of_the_users_own_are_not_told(fuses):
    f = pg.compile(lambda x: (x.copy(), pg.exp(x)), passes=["dead"])
    assert only(pg.explain(f, T(4))).copied == ()
    g = pg.compile(lambda x: (pg.exp(x)[::2], pg.sin(x)))
    assert only(pg.explain(g, T(4))).copied == ("output 0, float32[2], from slice, a view or another output",)


def test_state_is_named():
    generator = pg.random.Generator(0, device="numpy")
    hidden = [pg.Buffer(pg.zeros((), device="numpy"), name="the total")]

    def f(x):
        hidden[0].assign(hidden[0] + x.sum())
        return x + pg.random.uniform(generator.key(), (3,))

    report = pg.explain(pg.compile(f), T(3))
    assert sorted(line.partition(":")[0] for line in report.kinds[0].graphs[0].written) == [
        "generator.state",
        "the total",
    ]


def test_lines_are_short():
    assert short(f"{os.getcwd()}/a/b/net.py:3") == "a/b/net.py:3"
    assert short("/elsewhere/a/b/net.py:3 and others") == "b/net.py:3 and others" and short("") == ""


def test_seconds_are_given_by_phase():
    report = pg.explain(pg.compile(lambda x: pg.exp(x) * 2.0), T(3))
    graph = report.kinds[0].graphs[0]
    assert len(graph.seconds) == 2 and all(s > 0 for s in graph.seconds)
    assert only(report).seconds._fields == ("passes", "plan", "backend") and min(only(report).seconds) > 0


def test_the_text_of_the_programs():
    def f(x):
        return pg.reshape(pg.exp(x) * 2.0, (6,))

    text = pg.explain(pg.compile(f), T(2, 3)).text(places=True)
    line = f.__code__.co_firstlineno + 1
    file = re.search(r"# (\S+):", text.split("\n", 2)[2]).group(1)
    assert not file.startswith("/") and file.endswith("test_explain.py")
    assert text == "\n".join([
        "# on numpy",
        "program f(%0:float32[2,3])",
        f"  %1:float32[2,3]@0 = exp(%0)  # {file}:{line}",
        f"  %2:float32[2,3]@0 = mul(%1, 2.0)  # {file}:{line}",
        f"  %3:float32[6]@%2 = view reshape(%2, shape=(6,))  # {file}:{line}",
        "  %4:float32[6]@output = copy(%3)",
        "  return %4",
    ])  # fmt: skip


def test_fused_bodies_are_indented(fuses):
    text = pg.explain(pg.compile(lambda x: pg.exp(x) * 2.0), T(2, 3)).text()
    lines = [line.partition("  #")[0] for line in text.split("\n")]
    assert lines[2:] == [
        "  %1:float32[2,3] = fused(%0)",
        "    %a:float32[2,3] = exp(%0)",
        "    %1:float32[2,3] = mul(%a, 2.0)",
        "  return %1",
    ]


def test_a_report_changes_no_results(fuses):
    rng = np.random.default_rng(0)
    x = pg.asarray(rng.standard_normal((4, 3)).astype(np.float32), device="numpy")
    f = pg.compile(lambda x: pg.sum(pg.exp(x) * pg.sin(x), axis=0))
    expected = np.sum(np.exp(x.numpy()) * np.sin(x.numpy()), axis=0)
    pg.explain(f, x)
    np.testing.assert_allclose(f(x).numpy(), expected, rtol=1e-5)
    str(pg.explain(f))
    np.testing.assert_allclose(f(x).numpy(), expected, rtol=1e-5)
