"""Compiled programs against NumPy, equation by equation: every op, layouts of inputs, plans that reuse memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plugrad.backend import Spec
from plugrad.program import Eqn, Lit, Place, Plan, Program
from plugrad_cpu import view

F4, I8, B1 = np.dtype("float32"), np.dtype("int64"), np.dtype("bool")


@pytest.fixture
def check(backend: Any, kit: Any) -> Any:
    """``check(program, *arrays)``: outputs are right without a plan and with one, twice; inputs stay as they are."""

    def run(program: Program, *arrays: np.ndarray, ulps: float = 64, python: int | None = None) -> Any:
        wanted = kit.evaluate(program.eqns, dict(zip(program.inputs, arrays, strict=True)))
        for p in (program, kit.planned(program)):
            compiled = backend.compile(p, "0")
            if python is not None:
                assert len(compiled.python_steps) == python, [p.eqns[i].op for i in compiled.python_steps]
            before = [a.tobytes() for a in arrays]
            first = compiled(*map(view.over_array, arrays))
            other = compiled(*[view.from_array(a[..., ::-1] if a.ndim and a.dtype != I8 else a) for a in arrays])
            again = compiled(*map(view.over_array, arrays))
            assert [a.tobytes() for a in arrays] == before
            for values in (first, again):
                assert type(values) is tuple
                for v, x in zip(p.outputs, values, strict=True):
                    agree(np.asarray(x), wanted[v], p.specs[v], ulps, f"%{v} of\n{p}\n{p.plan}")
            for k, x in enumerate(first):
                assert not any(x.shares_memory(y) for y in (*first[:k], *again, *other))
        return first

    return run


def agree(x: np.ndarray, wanted: np.ndarray, spec: Spec, ulps: float, what: str = "") -> None:
    assert x.shape == spec.shape and x.dtype == spec.dtype
    if wanted.dtype.kind in "fc" and wanted.dtype.itemsize > 2:
        eps = np.finfo(wanted.dtype).eps
        np.testing.assert_allclose(x, wanted, rtol=ulps * eps, atol=ulps * eps, err_msg=what)
    else:
        np.testing.assert_array_equal(x, wanted)


def test_three_ops(check: Any, kit: Any, rng: Any, layout: str) -> None:
    w = kit.Writer(((30, 50), F4), ((50,), F4))
    w("neg", w("add", w("mul", 0, 1), Lit(2.0, F4)))
    check(
        kit.program(w, 2, (4,)),
        kit.laid_out(rng.normal(size=(30, 50)).astype("f4"), layout),
        rng.random(50).astype("f4"),
    )


@pytest.mark.parametrize("seed", range(60))
def test_random_programs(seed: int, check: Any, kit: Any) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = [(3, 4), (1, 5), (8, 8), (40, 60), (2, 1)][seed % 5]
    w = kit.Writer(((rows, columns), F4), ((columns,), F4), ((rows, 1), F4), ((), F4))
    values = [0, 1, 2, 3]
    for _ in range(int(rng.integers(3, 25))):
        x = values[int(rng.integers(len(values)))]
        shape = w.specs[x].shape
        fits = [v for v in values if _fits(shape, w.specs[v].shape) and len(w.specs[v].shape) <= len(shape)]
        y = fits[int(rng.integers(len(fits)))]
        axis = int(rng.integers(len(shape))) if shape else 0
        if rng.random() < 0.4:
            v = w(["add", "mul", "sub", "maximum"][int(rng.integers(4))], x, y)
        elif rng.random() < 0.25:
            v = w(["neg", "tanh", "abs"][int(rng.integers(3))], x)
        elif rng.random() < 0.15:
            v = w("where", w("less", x, y), x, Lit(0.5, F4))
        elif not shape:
            v = w("broadcast_to", x, shape=(rows, columns))
        else:
            v = _moved(w, rng, x, shape, axis)
        if np.prod(w.specs[v].shape) < 20_000:
            values.append(v)
    outputs = tuple(dict.fromkeys([values[-1], *[v for v in values[4:] if rng.random() < 0.2], int(rng.integers(4))]))
    arrays = [np.asarray(kit.sample(rng, s.shape, F4) / 9) for s in w.specs[:4]]
    arrays = [kit.laid_out(a, kit.LAYOUTS[int(rng.integers(5))]) for a in arrays]
    check(kit.program(w, 4, outputs), *arrays, ulps=3e4, python=0)


def _fits(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, other) == shape
    except ValueError:
        return False


def _moved(w: Any, rng: Any, x: int, shape: tuple[int, ...], axis: int) -> int:
    """One op that is not elementwise."""
    n = len(shape)
    pick = int(rng.integers(11))
    if pick == 0:
        return int(w("permute", x, axes=tuple(map(int, rng.permutation(n)))))
    if pick == 1:
        size = int(np.prod(shape))
        return int(w("reshape", x, shape=(size,) if rng.random() < 0.5 else (1, size, 1)))
    if pick == 2:
        step = tuple([1 if d < 2 else int(rng.choice([1, 2, -1])) for d in shape])
        size = tuple([(d + 1) // 2 for d in shape])
        start = tuple([d - 1 if k < 0 else 0 for d, k in zip(shape, step, strict=True)])
        return int(w("slice", x, start=start, size=size, step=step))
    if pick == 3:
        return int(w("sum", x, axis=(axis,), keepdims=True))
    if pick == 4:
        return int(w("max", x, axis=tuple(range(n)), keepdims=False))
    if pick == 5:
        some = tuple([int(rng.integers(3)) for _ in shape])
        return int(w("pad", x, low=some, high=some[::-1], interior=(0,) * (n - 1) + (1,)))
    if pick == 6:
        return int(w("concat", x, w("neg", x), x, axis=axis))
    if pick == 7:
        step = (1,) * n
        v = w("slice", x, start=(0,) * n, size=(1,) * n, step=step)
        return int(w("slice_update", w("abs", x), v, start=(0,) * n, size=shape, step=step))
    if pick == 8:
        return int(w("cumsum", x, axis=axis))
    if pick == 9:
        last = w("reshape", x, shape=(1, int(np.prod(shape))))
        return int(w("matmul", last, w("permute", last, axes=(1, 0))))
    return int(w("broadcast_to", x, shape=(2, *shape)))


@pytest.mark.parametrize("shapes", [((5, 7), (7, 3)), ((2, 5, 7), (7, 3)), ((4, 1, 5, 7), (3, 7, 2)), ((1, 9), (9, 1))])
def test_products(shapes: Any, check: Any, kit: Any, rng: Any) -> None:
    (a, b), n = shapes, 0
    w = kit.Writer((a, F4), (b, F4), ((*a[:-2], a[-1], a[-2]), F4), ((*b[:-2], b[-1], b[-2]), F4))
    swap = [tuple([*range(len(s) - 2), len(s) - 1, len(s) - 2]) for s in (a, b)]
    at, bt = w("permute", 2, axes=swap[0]), w("permute", 3, axes=swap[1])
    outs = tuple([w("matmul", x, y) for x in (0, at) for y in (1, bt)])
    arrays = [rng.normal(size=s.shape).astype("f4") for s in w.specs[:4]]
    check(kit.program(w, 4, outs), *arrays, python=n)


def test_products_of_nothing(check: Any, kit: Any) -> None:
    w = kit.Writer(((3, 0), F4), ((0, 4), F4), ((0, 3), F4))
    outs = w("matmul", 0, 1), w("matmul", 2, 0)
    check(kit.program(w, 3, outs), *[np.ones(s.shape, "f4") for s in w.specs[:3]], python=0)


def test_indexing(check: Any, kit: Any, rng: Any, number: Any) -> None:
    w = kit.Writer(((6, 5, 4), number), ((3, 2), I8), ((6, 2, 4), I8), ((3, 2, 5, 4), number), ((4,), number))
    outs = [w("gather", 0, 1, axis=k) for k in (0, 1, 2)]
    outs += [w("take_along", 0, 2, axis=1)]
    outs += [w("scatter_add", 0, 1, 3, axis=0), w("scatter_add", 0, 1, 4, axis=1)]
    arrays = [kit.sample(rng, s.shape, s.dtype, -3, 3) for s in w.specs[:5]]
    arrays[1], arrays[2] = rng.integers(-4, 4, (3, 2)), rng.integers(-5, 5, (6, 2, 4))
    check(kit.program(w, 5, tuple(outs)), *arrays, python=0)


def test_reductions(check: Any, kit: Any, rng: Any, computed: Any) -> None:
    w = kit.Writer(((6, 5, 4), computed))
    outs = [
        w(op, 0, axis=axis, keepdims=keep)
        for op in ("sum", "max", "min", "prod")
        for axis, keep in (((0, 2), True), ((1,), False))
    ]
    outs += [w("argmax", 0, axis=1, keepdims=False), w("argmax", 0, axis=0, keepdims=True), w("cumsum", 0, axis=1)]
    t = w("permute", 0, axes=(2, 0, 1))
    outs += [w("sum", t, axis=(0,), keepdims=False), w("argmax", t, axis=2, keepdims=False)]
    check(kit.program(w, 1, tuple(outs)), kit.sample(rng, (6, 5, 4), computed, 0, 3), python=0, ulps=1e3)


def test_casts_and_creation(check: Any, kit: Any, rng: Any, stored: Any) -> None:
    w = kit.Writer(((7, 3), stored))
    half = w("cast", 0, dtype=F4)
    back = w("cast", half, dtype=stored)
    ones = w("full", shape=(7, 3), dtype=F4, value=1.5)
    numbers = w("iota", size=3, dtype=F4)
    outs = back, w("add", half, numbers), w("add", ones, numbers), w("reshape", ones, shape=(21,)), numbers
    check(kit.program(w, 1, outs), kit.sample(rng, (7, 3), stored, 0, 5), python=0)


def test_empty_values(check: Any, kit: Any) -> None:
    w = kit.Writer(((0, 3), F4), ((2, 0), F4))
    outs = [w("neg", 0), w("sum", 0, axis=(0,), keepdims=False), w("prod", 1, axis=(1,), keepdims=True)]
    outs += [
        w("concat", 0, 0, axis=0),
        w("pad", 0, low=(1, 0), high=(0, 1), interior=(0, 0)),
        w("reshape", 0, shape=(3, 0)),
    ]
    check(kit.program(w, 2, tuple(outs)), np.ones((0, 3), "f4"), np.ones((2, 0), "f4"))


def test_inputs_constants_and_repeats_leave_as_copies(backend: Any, kit: Any, rng: Any) -> None:
    w = kit.Writer(((4, 5), F4), ((5,), F4))
    t = w("permute", 0, axes=(1, 0))
    s = w("add", 0, 1)
    a, b = rng.normal(size=(4, 5)).astype("f4"), rng.normal(size=5).astype("f4")
    const = view.from_array(b)
    program = Program(tuple(w.specs), (0,), {1: const}, tuple(w.eqns), (0, t, 1, s, s))
    for p in (program, kit.planned(program)):
        x = view.from_array(a)
        outs = backend.compile(p, "0")(x)
        for got, wanted in zip(outs, (a, a.T, b, a + b, a + b), strict=True):
            np.testing.assert_array_equal(np.asarray(got), wanted)
            assert not got.shares_memory(x) and not got.shares_memory(const) and not got.is_shared


def grouped(kit: Any, shape: tuple[int, ...]) -> Any:
    """(x * y + y, sum of it over axis 0) as one equation."""
    w = kit.Writer((shape, F4), (shape[-1:], F4))
    v = w("add", w("mul", 0, 1), 1)
    return w.body(2, (v, w("sum", v, axis=(0,))), shape)


def test_groups(check: Any, kit: Any, rng: Any, layout: str) -> None:
    for shape in ((3, 4), (300, 40), (20, 3000)):
        body = grouped(kit, shape)
        w = kit.Writer((shape, F4), (shape[-1:], F4))
        x = w("neg", 0)
        w.specs += [body.specs[v] for v in body.outputs]
        w.eqns.append(Eqn("fused", (x, 1), (x + 1, x + 2), (("body", body),)))
        z = w("mul", x + 1, x + 2)
        a = kit.laid_out(rng.normal(size=shape).astype("f4"), layout)
        check(kit.program(w, 2, (z, x + 2)), a, rng.normal(size=shape[-1:]).astype("f4"), ulps=1e3, python=0)


def test_a_group_over_its_own_operands(backend: Any, kit: Any, rng: Any) -> None:
    """A result in the memory of an operand that is read again behind it."""
    shape = (50, 60)
    g = kit.Writer((shape, F4), (shape, F4))
    a = g("add", 0, 1)
    b = g("mul", 0, a)
    body = g.body(2, (a, b), shape)
    specs = [Spec(shape, F4)] * 6
    eqns = (Eqn("neg", (0,), (2,)), Eqn("neg", (1,), (3,)), Eqn("fused", (2, 3), (4, 5), (("body", body),)))
    eqns = (*eqns, Eqn("copy", (4,), (6,)), Eqn("copy", (5,), (7,)))
    size = 64 * 200
    for first, second in ((0, size), (size, 0), (0, 2 * size), (2 * size, 0)):
        places = [Place("input", 0), Place("input", 1), Place("arena", 0), Place("arena", size)]
        places += [Place("arena", first), Place("arena", second), Place("output", 0), Place("output", 1)]
        program = Program((*specs, *specs[:2]), (0, 1), {}, eqns, (6, 7), plan=Plan(tuple(places), 3 * size))
        x, y = [rng.normal(size=shape).astype("f4") for _ in range(2)]
        got = backend.compile(program, "0")(view.from_array(x), view.from_array(y))
        np.testing.assert_allclose(np.asarray(got[0]), -x - y, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(np.asarray(got[1]), -x * (-x - y), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("op", ["matmul", "turned", "flipped", "pad", "gather"])
@pytest.mark.parametrize("where", ["arena", "donated"])
def test_a_result_placed_over_an_operand_that_cannot_be(op: str, where: str, backend: Any, kit: Any, rng: Any) -> None:
    """A plan may be careless; what is read must still be what was there."""
    shape = (40, 50) if op in ("flipped", "gather", "pad") else (40, 40)
    w = kit.Writer((shape, F4), ((39,), I8))
    x, views = (w("neg", 0) if where == "arena" else 0), []
    if op == "matmul":
        y = w("matmul", x, x)
    elif op == "turned":
        views = [w("permute", x, axes=(1, 0))]
        y = w("add", views[0], x)
    elif op == "flipped":
        views = [w("slice", x, start=(39, 49), size=shape, step=(-1, -1))]
        y = w("copy", views[0])
    elif op == "pad":
        views = [w("slice", x, start=(0, 0), size=(39, 50), step=(1, 1))]
        y = w("pad", views[0], low=(1, 0), high=(0, 0), interior=(0, 0))
    else:
        y = w("gather", x, 1, axis=0)
    out = w("copy", y) if where == "arena" else y
    places = [Place("arena", 0)] * len(w.specs)
    places[0], places[1], places[out] = Place("input", 0), Place("input", 1), Place("output", 0)
    for v in views:
        places[v] = Place("view", x)
    donated = ((0, 0),) if where == "donated" and op != "gather" else ()
    if donated:
        places[out] = Place("donated", 0)
    program = kit.program(w, 2, (out,)).replace(plan=Plan(tuple(places), 8000), donated=donated)
    a, i = rng.normal(size=shape).astype("f4"), np.arange(39)[::-1].copy()
    got = np.asarray(backend.compile(program, "0")(view.from_array(a), view.from_array(i))[0])
    np.testing.assert_allclose(got, kit.evaluate(program.eqns, {0: a, 1: i})[out], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("axes", [(1, 0, 2), (2, 0, 1), (2, 1, 0), (0, 2, 1)])
def test_results_lie_as_their_operands_do(axes: Any, check: Any, kit: Any, rng: Any) -> None:
    """Turned operands, alone and in groups, with results that stay inside, leave, or are reduced; mixed orders."""
    w = kit.Writer(((4, 5, 6), F4), ((4, 5, 6), F4), ((6,), F4))
    x, y = [w("permute", w("neg", k), axes=axes) for k in (0, 1)]
    odd = w("permute", w("reshape", 0, shape=w.specs[x].shape[::-1]), axes=(2, 1, 0))
    inner = w("add", x, y)
    outs = [w("mul", inner, x), w("sub", x, odd), w("add", w("sub", odd, x), inner), w("neg", inner)]
    outs += [w("where", w("less", x, y), inner, w("tanh", x)), w("reshape", inner, shape=(120,))]
    outs.append(w("add", w("mul", x, y), Lit(2.0, F4)))
    shape = w.specs[x].shape
    for axis in ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2)):
        g = kit.Writer((shape, F4), (shape, F4))
        v = g("mul", 0, 1)
        body = g.body(2, (v, g("sum", v, axis=axis)), shape)
        first = len(w.specs)
        w.specs += [body.specs[k] for k in body.outputs]
        w.eqns.append(Eqn("fused", (x, y), (first, first + 1), (("body", body),)))
        outs += [w("neg", first), w("neg", first + 1)]
    arrays = [rng.normal(size=s.shape).astype("f4") for s in w.specs[:3]]
    check(kit.program(w, 3, tuple(outs)), *arrays, python=0, ulps=1e3)
