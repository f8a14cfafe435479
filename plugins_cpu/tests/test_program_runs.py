"""Runs of compiled programs: donated inputs, errors, calls from Python, programs inside themselves, threads, memory."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from plugrad.backend import Spec
from plugrad.errors import ShapeError
from plugrad.program import Eqn, Lit, Program
from plugrad_cpu import memory, view

F4, I8 = np.dtype("float32"), np.dtype("int64")


def donating(kit: Any) -> Program:
    """p - 0.1 g, and the rows of g at positions."""
    w = kit.Writer(((20, 30), F4), ((20, 30), F4), ((4,), I8))
    rows = w("gather", 1, 2, axis=0)
    new = w("sub", 0, w("mul", 1, Lit(0.1, F4)))
    return kit.planned(kit.program(w, 3, (new, rows)), donated=((0, 0),))


def test_donation(backend: Any, kit: Any, rng: Any) -> None:
    run = backend.compile(donating(kit), "0")
    p, g = [rng.normal(size=(20, 30)).astype("f4") for _ in range(2)]
    x, y, i = view.from_array(p), view.from_array(g), view.from_array(np.array([0, 3, -1, 2]))
    new, rows = run(x, y, i)
    assert new is x
    np.testing.assert_allclose(np.asarray(new), p - np.float32(0.1) * g, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(rows), g[[0, 3, -1, 2]])
    turned = view.over_array(np.asfortranarray(p))
    new, _ = run(turned, y, i)
    np.testing.assert_allclose(np.asarray(new), p - np.float32(0.1) * g, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(turned), p)


def test_a_bad_position_raises_what_the_kernel_says_and_leaves_the_donated(backend: Any, kit: Any, rng: Any) -> None:
    run = backend.compile(donating(kit), "0")
    p = rng.normal(size=(20, 30)).astype("f4")
    x, y, i = view.from_array(p), view.from_array(p), view.from_array(np.array([0, 20, 1, 2]))
    with pytest.raises(IndexError) as kernel:
        backend.kernels["gather"].fn(y, i, axis=0)
    with pytest.raises(IndexError) as program:
        run(x, y, i)
    assert str(program.value) == str(kernel.value) and "gather" in str(kernel.value)
    np.testing.assert_array_equal(np.asarray(x), p)
    run(x, y, view.from_array(np.array([0, 19, 1, 2])))


@pytest.mark.parametrize("op", ["take_along", "scatter_add"])
def test_bad_positions(op: str, backend: Any, kit: Any) -> None:
    w = kit.Writer(((3, 4), F4), ((3, 4), I8) if op == "take_along" else ((2,), I8), ((4,), F4))
    v = w(op, 0, 1, axis=1) if op == "take_along" else w(op, 0, 1, 2, axis=0)
    run = backend.compile(kit.planned(kit.program(w, 3, (v,))), "0")
    x, one = view.from_array(np.ones((3, 4), "f4")), view.from_array(np.ones(4, "f4"))
    bad = view.from_array(np.full((3, 4) if op == "take_along" else (2,), -5))
    with pytest.raises(IndexError, match=f"{op}: index -5"):
        run(x, bad, one)


def test_wrong_inputs(backend: Any, kit: Any) -> None:
    w = kit.Writer(((3,), F4))
    run = backend.compile(kit.program(w, 1, (w("neg", 0),)), "0")
    x = view.from_array(np.ones(3, "f4"))
    for wrong in (np.ones(4, "f4"), np.ones(3, "i4")):
        with pytest.raises(ShapeError, match="input 0"):
            run(view.from_array(wrong))
    with pytest.raises(TypeError, match="takes 1 inputs, not 2"):
        run(x, x)
    with pytest.raises(TypeError):
        run(np.ones(3, "f4"))


def test_python_steps(backend: Any, kit: Any, rng: Any) -> None:
    """Calls between C steps: fresh results, views of operands, strided ones, outputs, several results."""
    w = kit.Writer(((6, 5), F4))
    x = w("neg", 0)
    w.specs += [Spec((5, 6), F4), Spec((5, 6), F4), Spec((5, 6), F4)]
    w.eqns += [Eqn("my.turn", (x,), (2,)), Eqn("my.pair", (2,), (3, 4))]
    y = w("add", 3, 4)
    neg, permute, add = [backend.kernels[k].fn for k in ("neg", "permute", "add")]
    turn = lambda v: permute(v, axes=(1, 0))  # noqa: E731
    pair = lambda v: (add(v, v), permute(permute(v, axes=(1, 0)), axes=(1, 0)))  # noqa: E731
    a = rng.normal(size=(6, 5)).astype("f4")
    for outputs in ((y,), (y, 2, 3, 4)):
        program = kit.program(w, 1, outputs).replace(calls=(neg, turn, pair, add))
        for p in (program, kit.planned(program)):
            run = backend.compile(p, "0")
            assert run.python_steps == (1, 2)
            for _ in range(3):
                got = [np.asarray(v) for v in run(view.over_array(a))]
                for v, wanted in zip(got, (-3 * a.T, -a.T, -2 * a.T, -a.T), strict=False):
                    np.testing.assert_allclose(v, wanted, rtol=1e-6)


def test_a_program_inside_itself(backend: Any, kit: Any) -> None:
    """A call that runs the same program again gets an arena of its own."""
    w = kit.Writer(((500,), F4))
    x = w("neg", 0)
    w.specs.append(Spec((500,), F4))
    w.eqns.append(Eqn("my.again", (x,), (2,)))
    y = w("add", x, 2)
    depth = [0]

    def again(v: Any) -> Any:
        depth[0] += 1
        return run(v)[0] if depth[0] < 4 else backend.kernels["copy"].fn(v)

    neg, add = backend.kernels["neg"].fn, backend.kernels["add"].fn
    run = backend.compile(kit.planned(kit.program(w, 1, (y,)).replace(calls=(neg, again, add))), "0")
    one = np.ones(500, "f4")
    np.testing.assert_array_equal(np.asarray(run(view.from_array(one))[0]), expected(one, 1))
    assert depth[0] == 4


def expected(x: np.ndarray, depth: int) -> np.ndarray:
    """-x and what the inner run makes of that; the innermost call copies."""
    return -x + (expected(-x, depth + 1) if depth < 4 else -x)


def test_an_error_of_a_call_leaves_nothing_behind(backend: Any, kit: Any) -> None:
    w = kit.Writer(((1000,), F4))
    x = w("neg", 0)
    w.specs.append(Spec((1000,), F4))
    w.eqns.append(Eqn("my.fault", (x,), (2,)))

    def fault(v: Any) -> Any:
        raise ZeroDivisionError("on purpose")

    run = backend.compile(kit.planned(kit.program(w, 1, (2,)).replace(calls=(backend.kernels["neg"].fn, fault))), "0")
    one = view.from_array(np.ones(1000, "f4"))
    with pytest.raises(ZeroDivisionError):
        run(one)
    before = memory.statistics()["live_bytes"]
    for _ in range(20):
        with pytest.raises(ZeroDivisionError):
            run(one)
    assert memory.statistics()["live_bytes"] == before


def test_wrong_results_of_a_call(backend: Any, kit: Any) -> None:
    w = kit.Writer(((3,), F4))
    w.specs.append(Spec((3,), F4))
    w.eqns.append(Eqn("my.odd", (0,), (1,)))
    one = view.from_array(np.ones(3, "f4"))
    short = view.from_array(np.ones(2, "f4"))
    for found, error in ((short, ShapeError), ((one, one), ValueError)):
        run = backend.compile(kit.program(w, 1, (1,)).replace(calls=(lambda v, found=found: found,)), "0")
        with pytest.raises(error, match="my.odd"):
            run(one)


def test_threads(backend: Any, kit: Any, rng: Any) -> None:
    """Eight at once, each with its own values."""
    w = kit.Writer(((200, 300), F4), ((300, 100), F4))
    x = w("tanh", w("matmul", w("mul", 0, 0), 1))
    y = w("sum", w("mul", x, x), axis=(0,), keepdims=False)
    program = kit.planned(kit.program(w, 2, (x, y)))
    run = backend.compile(program, "0")
    faults: list[str] = []

    def work(seed: int) -> None:
        own = np.random.default_rng(seed)
        a, b = own.random((200, 300)).astype("f4"), own.random((300, 100)).astype("f4") / 100
        wanted = [np.asarray(v).copy() for v in run(view.from_array(a), view.from_array(b))]
        exact = kit.evaluate(program.eqns, {0: a, 1: b})
        np.testing.assert_allclose(wanted[0], exact[x], rtol=1e-4)
        for _ in range(30):
            got = run(view.from_array(a), view.from_array(b))
            if any((np.asarray(g) != k).any() for g, k in zip(got, wanted, strict=True)):
                faults.append(f"thread {seed}")

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not faults


def test_a_steady_state_allocates_nothing(backend: Any, kit: Any, rng: Any) -> None:
    w = kit.Writer(((100, 200), F4), ((200, 50), F4))
    x = w("tanh", w("matmul", w("neg", 0), 1))
    run = backend.compile(kit.planned(kit.program(w, 2, (x,))), "0")
    a, b = view.from_array(rng.random((100, 200)).astype("f4")), view.from_array(rng.random((200, 50)).astype("f4"))
    for _ in range(3):
        run(a, b)
    before = memory.statistics()
    for _ in range(10):
        run(a, b)
    after = memory.statistics()
    assert after["misses"] == before["misses"] and after["live_blocks"] == before["live_blocks"]


def test_carve(backend: Any) -> None:
    block = backend.empty((256,), np.dtype("uint8"), "0")
    x = backend.carve(block, 64, (2, 3), F4)
    assert x.shape == (2, 3) and x.dtype == F4 and x.is_contiguous and x.shares_memory(block)
    assert x.address == block.address + 64
    backend.into["add"](x, view.from_array(np.ones((2, 3), "f4")), view.from_array(np.ones((2, 3), "f4")))
    np.testing.assert_array_equal(np.asarray(block)[64:88].view("f4"), np.full(6, 2))
    for offset, shape in ((192, (17,)), (-64, (1,)), (256, (1,))):
        with pytest.raises(ShapeError, match="carve"):
            backend.carve(block, offset, shape, F4)
