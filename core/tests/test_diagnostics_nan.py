"""find_nan: the op, the operands, and the line of the first NaN, forward and backward, under every transformation."""

import inspect
import threading

import numpy as np
import pytest

import plugrad as pg
from plugrad import state
from plugrad.errors import NonFiniteError, PlugradError


def line(below=0):
    """So many lines below the caller, as find_nan writes it."""
    frame = inspect.currentframe().f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno + below}"


def T(a):
    return pg.asarray(np.asarray(a, np.float32))


def caught(f, *args, **options):
    with pytest.raises(NonFiniteError) as found, pg.find_nan(**options):
        f(*args)
    assert state.WATCHING[0] == () and isinstance(found.value, (PlugradError, FloatingPointError))
    return str(found.value)


def test_forward():
    here = []

    def f(x):
        here.append(line(1))
        return pg.log(x)

    text = caught(f, T([[1.0, 2.0], [3.0, -4.0]]))
    assert text.startswith("log: NaN (1 of 4 elements, the first at (1, 1)) from operands without: float32 tensor of")
    assert "shape (2, 2) on numpy" in text and f"called at {here[0]}" in text and "safe_where" in text


def test_attributes_are_named():
    x = T([[np.inf, -np.inf]])
    assert "sum: NaN" in (text := caught(lambda: x.sum(axis=1))) and "axis=(1,)" in text


def test_what_had_a_nan_is_not_to_blame():
    x = T([np.nan, 1.0])
    with pg.find_nan(inf=True):
        y = pg.exp(x) + 1.0
        pg.full((2,), np.nan)
        pg.full((2,), np.inf)
        pg.zeros((2,)) / 1.0
    assert np.isnan(y.numpy()[0])


def test_infinities_if_asked():
    with pg.find_nan():
        assert pg.exp(T([1000.0])).tolist() == [np.inf]
    assert "exp: infinity (1 of 1 elements" in caught(lambda: pg.exp(T([1000.0])), inf=True)
    assert "sub: NaN" in caught(lambda: T([np.inf]) - T([np.inf]), inf=True)
    with pg.find_nan(inf=True):
        assert (T([np.inf]) + 1.0).tolist() == [np.inf]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "complex64"])
def test_dtypes(dtype):
    x = pg.asarray([np.inf], dtype=getattr(pg, dtype))
    assert "sub: NaN" in caught(lambda: x - x)


@pytest.mark.parametrize(("dtype", "flaw"), [("float8_e4m3fn", "NaN"), ("float8_e5m2", "infinity")])
def test_what_does_not_fit_a_stored_dtype(dtype, flaw):
    assert f"cast: {flaw} (1 of 2 elements" in caught(lambda: T([1.0, 1e30]).astype(dtype), inf=True)


def test_a_part_that_is_masked_is_no_fault_and_one_that_is_not_is_named():
    hidden = pg.Op("test.hidden", elementwise=True, dtypes="float", decompose=lambda x: pg.where(x > 0, pg.log(x), 0.0))
    shown = pg.Op("test.shown", elementwise=True, dtypes="float", decompose=lambda x: pg.log(x) + 1.0)
    x = T([-1.0])
    with pg.find_nan():
        assert hidden(x).tolist() == [0.0]
    text = caught(shown, x)
    assert text.startswith("test.shown: NaN") and "the first in its part log" in text
    assert "part" not in caught(lambda: pg.log(hidden(x) - 1.0))


def test_backward_names_the_line_of_the_forward_call():
    x, here = T([4.0, 0.0]).requires_grad_(), []

    def f():
        here.append(line(1))
        y = pg.sqrt(x)
        z = y * 0.0
        z.sum().backward()

    text = caught(f)
    assert text.startswith("sqrt: its backward gives NaN (1 of 2 elements, the first at (1,)) from a cotangent without")
    assert f"called at {here[0]}" in text
    assert "infinity" in caught(lambda: pg.sqrt(T([0.0]).requires_grad_()).sum().backward(), inf=True)


def test_backward_of_what_a_backward_recorded_names_the_forward_call_too():
    here = []

    def f(x):
        here.append(line(1))
        return (x**1.5).sum()

    text = caught(pg.grad(lambda x: pg.grad(f)(x).sum() * 0.0), T([0.0]))
    assert text.startswith("pow: its backward gives NaN") and f"called at {here[0]}" in text


def test_backward_of_what_was_recorded_before():
    y = (pg.sqrt(T([0.0]).requires_grad_()) * 0.0).sum()
    assert "called at a line outside this block" in caught(y.backward)


def root(x):
    return (pg.sqrt(x) * 0.0).sum()


def test_backward_under_transformations():
    zero, here = T([0.0]), f"{inspect.getsourcefile(root)}:{root.__code__.co_firstlineno + 1}"
    for text in (
        caught(pg.grad(root), zero),
        caught(pg.grad(pg.checkpoint(root)), zero),
        caught(pg.grad(pg.grad(lambda x: x.sum() * root(x))), T(0.0)),
        caught(pg.jacrev(root), zero),
        caught(pg.vmap(pg.grad(root)), T([[1.0], [0.0]])),
    ):
        assert text.startswith("sqrt: its backward gives NaN") and f"called at {here}" in text, text
    assert "of example 1 of vmap" in text


def test_forward_mode():
    text = caught(lambda: pg.jvp(pg.sqrt, (T([0.0]),), (T([0.0]),)))
    assert text.startswith("sqrt: NaN (in its tangent, 1 of 1 elements") and "test_diagnostics_nan.py" in text
    hessian = pg.hessian(lambda x: (pg.sqrt(x) * 0.0).sum())
    assert caught(hessian, T([0.0])).startswith("mul: NaN (in its tangent")
    assert caught(hessian, T([0.0]), inf=True).startswith("sqrt: infinity (in its tangent")


def test_forward_mode_by_a_backward_rule_blames_the_op():
    def vjp(g, y, xs, need):
        return (pg.where(xs[0] > 0, g / xs[0], 0.0),)

    op = pg.Op("test.by_vjp", dtypes="float", spec=pg.OPS["exp"].spec, vjp=vjp, decompose=None, run=lambda x: x)
    text = caught(lambda: pg.jvp(op, (T([0.0]),), (T([1.0]),)))
    assert text.startswith("test.by_vjp: NaN (in its tangent") and "the first in its part div" in text


def test_batching_says_which_example():
    text = caught(pg.vmap(lambda x: pg.log(x)), T([[1.0, 1.0], [2.0, -1.0], [3.0, 1.0]]))
    assert "log: NaN (1 of 6 elements, the first at (1,) of example 1 of vmap)" in text
    nested = pg.vmap(pg.vmap(lambda x: pg.log(x)))
    assert "the first at () of example 1, 0 of vmap" in caught(nested, T([[1.0, 1.0], [-2.0, 1.0]]))


def test_branches_and_loops():
    def branch(x):
        return pg.cond(x > 0, lambda: pg.sqrt(x), lambda: pg.log(x))

    text = caught(pg.vmap(branch), T([-1.0, 1.0]))
    assert text.startswith("cond: NaN (1 of 2 elements, the first at () of example 0 of vmap)") and "\n" not in text
    assert "the first in its part log" in text
    assert caught(branch, T(-1.0)).startswith("log: NaN")
    with pg.find_nan():  # each example sees the branch that it takes only
        assert pg.vmap(lambda x: pg.cond(x > 0, lambda: pg.sqrt(x), lambda: x + 1.0))(T([-1.0, 4.0])).tolist() == [0, 2]

    def loop(x):
        return pg.scan(lambda c, _: (c - 1.0, pg.log(c)), x, length=4)[1]

    for f in (loop, pg.stage(loop, T(2.5)), pg.compile(loop)):
        assert caught(f, T(2.5)).startswith("log: NaN (1 of 1 elements")
        assert caught(pg.vmap(f), T([9.0, 2.5])).startswith("log: NaN (1 of 2 elements, the first at () of example 1")


def test_a_compiled_function_when_it_is_replayed():
    f = pg.compile(lambda x: pg.log(x) * 2.0)
    with pg.find_nan():
        f(T([1.0]))  # staging computes nothing
    assert caught(f, T([-1.0])).startswith("log: NaN")
    assert caught(pg.grad(pg.compile(root)), T([0.0])).startswith("sqrt: its backward")


def test_a_derivative_of_ones_own():
    @pg.custom_vjp
    def f(x):
        return x * 1.0

    f.defvjp(lambda x: (x * 1.0, None), lambda _, g: (g / 0.0 * 0.0,))
    assert caught(lambda: pg.grad(lambda x: f(x).sum())(T([1.0]))).startswith("f: its backward gives NaN")


def test_writes_in_place_are_seen():
    def f():
        x = T([np.inf]) * 1.0
        x -= T([np.inf])

    assert "sub: NaN" in caught(f)


def test_other_threads_and_the_end_of_the_block():
    found = []

    def work():
        try:
            pg.log(pg.asarray([-1.0], device="numpy"))
        except NonFiniteError as error:
            found.append(error)

    with pg.find_nan():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(found) == 1
    assert np.isnan(pg.log(T([-1.0])).numpy()).all() and state.ACTIVE[0] == 0


def test_it_keeps_no_graph_alive():
    finder = pg.find_nan()
    with finder:
        y = pg.exp(T([1.0]).requires_grad_())
        assert len(finder._lines) == 1
        del y
        assert len(finder._lines) == 0
