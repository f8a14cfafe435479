"""The block interpreter against NumPy: shapes, layouts, dtypes, literals, several results, reductions at the end."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from plugrad.program import Body, Eqn, Lit
from plugrad_cpu import view
from plugrad_cpu.fused import fused

F4, B1 = np.dtype("float32"), np.dtype("bool")


@pytest.fixture
def check(kit: Any) -> Any:
    """``check(body, *arrays)``: the group's results are those of its equations, and no operand was written."""

    def run(body: Body, *arrays: np.ndarray, ulps: float = 8) -> list[np.ndarray]:
        before = [a.tobytes() for a in arrays]
        found = fused(*map(view.over_array, arrays), body=body)
        assert found is not NotImplemented
        got = [np.asarray(x) for x in (found if isinstance(found, tuple) else (found,))]
        assert [a.tobytes() for a in arrays] == before
        env = kit.evaluate(body.eqns, dict(enumerate(arrays)))
        for v, x in zip(body.outputs, got, strict=True):
            wanted = env[v]
            assert x.shape == body.specs[v].shape and x.dtype == wanted.dtype and x.flags.c_contiguous
            if wanted.dtype.kind in "fc":
                eps = np.finfo(wanted.dtype).eps
                np.testing.assert_allclose(x, np.broadcast_to(wanted, x.shape), rtol=ulps * eps, atol=ulps * eps)
            else:
                np.testing.assert_array_equal(x, np.broadcast_to(wanted, x.shape))
        return got

    return run


def chain(kit: Any, *shapes: tuple[int, ...], dtype: Any = F4) -> Body:
    """tanh(a * b + c) * d"""
    w = kit.Writer(*[(s, dtype) for s in shapes])
    w("mul", w("tanh", w("add", w("mul", 0, 1), 2)), 3)
    return w.body(4, (7,), np.broadcast_shapes(*shapes))


SHAPES = [
    ((),) * 4,
    ((1,),) * 4,
    ((5,),) * 4,
    ((3000,),) * 4,
    ((1025,), (1,), (), (1025,)),
    ((3, 4), (4,), (3, 1), ()),
    ((300, 40), (40,), (300, 1), (1, 1)),
    ((40, 1500), (1500,), (40, 1), (40, 1500)),
    ((30, 7, 40), (7, 1), (30, 1, 1), (7, 40)),
    ((130, 2, 3), (2, 1), (130, 1, 3), (2, 3)),
    ((2, 3, 4, 5), (3, 1, 5), (2, 1, 4, 1), (5,)),
    ((700, 1), (1, 9), (700, 9), (9,)),
    ((3, 4, 1500), (3, 1, 1500), (4, 1), (1, 4, 1500)),
]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_shapes_and_layouts(shapes: Any, layout: str, check: Any, kit: Any, rng: Any) -> None:
    arrays = [kit.laid_out(rng.normal(size=s).astype("f4"), layout) for s in shapes]
    check(chain(kit, *shapes), *arrays)


def test_mixed_layouts(check: Any, kit: Any, rng: Any, floating: Any) -> None:
    for shape in ((50, 70), (6, 50, 7)):
        arrays = [kit.laid_out(rng.normal(size=shape).astype(floating), k) for k in kit.LAYOUTS[1:]]
        check(chain(kit, *[shape] * 4, dtype=floating), *arrays)


OPS = {
    "f": (
        ["add", "sub", "mul", "div", "maximum", "minimum", "equal", "less", "less_equal"],
        ["neg", "abs", "sign", "floor", "tanh", "exp", "cos"],
    ),
    "i": (
        ["add", "sub", "mul", "maximum", "minimum", "bitwise_and", "bitwise_xor", "equal", "less"],
        ["neg", "abs", "sign", "invert"],
    ),
    "u": (["add", "sub", "mul", "maximum", "minimum", "bitwise_or", "remainder", "floor_divide", "less"], ["invert"]),
    "b": (["add", "mul", "maximum", "bitwise_xor", "equal", "less"], ["invert"]),
    "c": (["add", "sub", "mul", "div", "equal"], ["neg", "conj", "real", "imag", "abs"]),
}


@pytest.mark.parametrize("seed", range(40))
def test_random_bodies(seed: int, check: Any, kit: Any) -> None:
    rng = np.random.default_rng(seed)
    shape = [(37,), (1300,), (5, 7), (33, 65), (4, 3, 50), (2, 2, 2, 2)][seed % 6]
    dtypes = [np.dtype(t) for t in ("f4", "f4", "f8", "i4", "i8", "u1", "i2", "?", "c8", "u4")]
    operands = []
    for _ in range(int(rng.integers(1, 6))):
        s = [1 if rng.random() < 0.25 else n for n in shape][int(rng.integers(0, 2)) * (rng.random() < 0.4) :]
        operands.append((tuple(s), dtypes[int(rng.integers(len(dtypes)))]))
    w = kit.Writer(*operands)
    values = list(range(len(operands)))
    made = []
    for _ in range(int(rng.integers(2, 14))):
        x = values[int(rng.integers(len(values)))]
        dtype = w.specs[x].dtype
        binary, unary = OPS[dtype.kind]
        peers = [v for v in values if w.specs[v].dtype == dtype]
        y = peers[int(rng.integers(len(peers)))]
        pick = rng.random()
        if pick < 0.4:
            v = w(binary[int(rng.integers(len(binary)))], x, y)
        elif pick < 0.6:
            v = w(unary[int(rng.integers(len(unary)))], x)
        elif pick < 0.75:
            lit = Lit({"f": 1.5, "i": 3, "u": 2, "b": True, "c": 1 + 2j}[dtype.kind], dtype)
            v = w(binary[int(rng.integers(len(binary)))], *((x, lit) if rng.random() < 0.5 else (lit, x)))
        elif pick < 0.88:
            v = w("cast", x, dtype=B1 if dtype.kind == "c" else np.dtype(["f4", "f8"][int(rng.integers(2))]))
        else:
            c = next((v for v in values if w.specs[v].dtype == B1), None)
            c = w("equal", x, y) if c is None else c
            values.append(c)
            v = w("where", c, x, y)
        values.append(v)
        made.append(v)
    outputs = tuple(sorted({made[-1], *[v for v in made if rng.random() < 0.3]}))
    arrays = [kit.laid_out(kit.sample(rng, s, d, -3, 4), kit.LAYOUTS[int(rng.integers(5))]) for s, d in operands]
    with np.errstate(all="ignore"):
        check(w.body(len(operands), outputs, shape), *arrays, ulps=200)


def test_operands_and_repeated_values_as_results(check: Any, kit: Any, rng: Any) -> None:
    w = kit.Writer(((40, 50), F4), ((50,), F4))
    v = w("add", 0, 1)
    a, b = rng.normal(size=(40, 50)).astype("f4"), rng.normal(size=50).astype("f4")
    check(w.body(2, (v, 0, v), (40, 50)), a, b)
    assert fused(*map(view.over_array, (a, b)), body=w.body(2, (v, 1), (40, 50))) is NotImplemented


def test_where_of_scalars(check: Any, kit: Any, rng: Any) -> None:
    w = kit.Writer(((3000,), F4), ((), B1))
    c = w("less", 0, Lit(0.0, F4))
    v = w("where", c, Lit(2.0, F4), Lit(-3.0, F4))
    u = w("where", 1, 0, v)
    check(w.body(2, (v, u), (3000,)), rng.normal(size=3000).astype("f4"), np.array(True))


AXES = [
    (shape, axis)
    for shape in (
        (5,),
        (3000,),
        (6, 5),
        (70, 30),
        (3, 1500),
        (1500, 3),
        (4, 3, 5),
        (40, 9, 20),
        (1, 7, 1),
        (5, 2, 3, 4),
    )
    for r in range(len(shape) + 1)
    for axis in itertools.combinations(range(len(shape)), r)
]


@pytest.mark.parametrize(("shape", "axis"), AXES, ids=str)
def test_reductions_over_every_set_of_axes(shape: Any, axis: Any, check: Any, kit: Any, rng: Any) -> None:
    w = kit.Writer((shape, F4), (shape[-1:], F4))
    v = w("mul", 0, 1)
    ends = [w(op, v, axis=axis, keepdims=keep) for op, keep in (("sum", False), ("max", True), ("min", False))]
    a, b = rng.normal(size=shape).astype("f4"), rng.normal(size=shape[-1:]).astype("f4")
    got = check(w.body(2, (v, *ends), shape), a, b, ulps=1e4)
    exact = (got[0].astype("f8")).sum(axis)
    size = np.abs(got[0].astype("f8")).sum(axis)
    assert (np.abs(got[1] - exact) <= 4 * np.finfo("f4").eps * size).all()


def test_reductions_of_all_dtypes(check: Any, kit: Any, rng: Any, computed: Any) -> None:
    for shape, axis in (((70, 60), (0,)), ((70, 60), (1,)), ((70, 60), (0, 1)), ((9, 70, 6), (0, 2))):
        w = kit.Writer((shape, computed), (shape[-1:], computed))
        v = w("maximum", 0, 1)
        ends = tuple([w(op, v, axis=axis) for op in ("sum", "prod", "max", "min")])
        arrays = [kit.sample(rng, s, computed, 0, 2) for s in (shape, shape[-1:])]
        if computed.kind == "f":
            arrays = [(a * 0.01 + 1).astype(computed) for a in arrays]
        check(w.body(2, ends, shape), *arrays, ulps=1e4)


def test_reduction_of_operands(check: Any, kit: Any, rng: Any, layout: str) -> None:
    for axis in ((0,), (1,), (0, 1)):
        w = kit.Writer(((70, 60), F4))
        ends = w("sum", 0, axis=axis), w("max", 0, axis=axis)
        check(w.body(1, ends, (70, 60)), kit.laid_out(rng.normal(size=(70, 60)).astype("f4"), layout), ulps=1e3)


def test_reduction_of_a_stretched_operand(kit: Any) -> None:
    w = kit.Writer(((70, 1), F4), ((), F4))
    specs = [(70, 60), (70, 60)]
    body = Body(
        2,
        (*w.specs, w.specs[0]._replace(shape=(60,)), w.specs[0]._replace(shape=(70,))),
        (Eqn("sum", (0,), (2,), (("axis", (0,)),)), Eqn("sum", (1,), (3,), (("axis", (1,)),))),
        (2, 3),
        specs[0],
    )
    x = np.arange(70, dtype="f4")[:, None]
    got = fused(view.over_array(x), view.over_array(np.array(3, "f4")), body=body)
    np.testing.assert_array_equal(np.asarray(got[0]), np.full(60, x.sum()))
    np.testing.assert_array_equal(np.asarray(got[1]), np.full(70, 180))


def test_long_sums_keep_their_accuracy(rng: Any, kit: Any) -> None:
    for n, m in ((3_000_000, 1), (60_000, 50)):
        w = kit.Writer(((n, m), F4))
        v = w("sum", w("mul", 0, 0), axis=(0,))
        x = rng.random((n, m)).astype("f4")
        got = np.asarray(fused(view.over_array(x), body=w.body(1, (v,), (n, m))))
        exact = (x * x).astype("f8").sum(0)
        assert (np.abs(got - exact) <= 2 * np.finfo("f4").eps * exact).all()


def test_sums_of_infinities_and_nan(kit: Any) -> None:
    for values, wanted in (
        ((np.inf, 1), np.inf),
        ((-np.inf, 1), -np.inf),
        ((np.inf, -np.inf), np.nan),
        ((np.nan, 1), np.nan),
    ):
        x = np.ones(10_000, "f4")
        x[100], x[9000] = values
        w = kit.Writer((x.shape, F4))
        v = w("sum", w("mul", 0, Lit(1.0, F4)), axis=(0,))
        np.testing.assert_array_equal(np.asarray(fused(view.over_array(x), body=w.body(1, (v,), x.shape))), wanted)


def test_many_values_stay_few_buffers(check: Any, kit: Any, rng: Any) -> None:
    w = kit.Writer(((2000,), F4), ((2000,), F4))
    v = 0
    for k in range(200):
        v = w("add" if k % 2 else "mul", v, 1)
    check(w.body(2, (v,), (2000,)), rng.normal(size=2000).astype("f4"), rng.random(2000).astype("f4") / 2, ulps=400)


def test_declined(kit: Any) -> None:
    x = view.over_array(np.ones(3, "f4"))
    w = kit.Writer(((3,), F4))
    body = w.body(1, (1,), (3,))
    odd = body._replace(eqns=(Eqn("nothing.like.it", (0,), (1,)),), specs=(*body.specs, body.specs[0]))
    assert fused(x, body=odd) is NotImplemented
    empty = kit.Writer(((0, 3), F4))
    v = empty("neg", 0)
    assert fused(view.over_array(np.ones((0, 3), "f4")), body=empty.body(1, (v,), (0, 3))) is NotImplemented


def test_groups_are_told_apart_by_layout(check: Any, kit: Any, rng: Any) -> None:
    body = chain(kit, *[(60, 60)] * 4)
    arrays = [rng.normal(size=(60, 60)).astype("f4") for _ in range(4)]
    for layout in (*kit.LAYOUTS, *kit.LAYOUTS):
        check(body, *[kit.laid_out(a, layout) for a in arrays])
    assert math.prod(body.shape) == 3600
