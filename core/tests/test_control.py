"""cond, while_loop, scan and fori_loop outside graphs: Python's meaning under every transformation."""

from typing import NamedTuple

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import DTypeError, LeakedTracerError, ShapeError
from plugrad.testing import check_derivatives, check_vmap

R = np.random.default_rng(7)
W, XS, H = R.normal(size=(3, 3)) * 0.6, R.normal(size=(5, 3)), R.normal(size=3)


def close(found, wanted, **kw):
    kw = {"rtol": 1e-11, "atol": 1e-12, **kw}
    for a, b in zip(pg.tree.leaves(found), pg.tree.leaves(wanted), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), **kw)


def rnn(loop):
    """The loss of a small recurrent net, which captures its weights; ``loop`` is scan, or what it should equal."""

    def f(w, xs, h):
        end, ys = loop(lambda c, x: (pg.tanh(w @ c["h"] + x), c["n"] + 1), {"h": h, "n": 0}, xs)
        return pg.sum(end["h"] * ys) + pg.sum(ys * ys) * end["n"]

    return f


def unrolled(f, init, xs, reverse=False):
    c, ys = {"h": init["h"], "n": pg.asarray(init["n"])}, []
    rows = list(xs)
    for x in reversed(rows) if reverse else rows:
        h, n = f(c, x)
        c = {"h": h, "n": n}
        ys.append(h * 2.0)
    return c, pg.stack(ys[::-1] if reverse else ys)


def scanned(f, init, xs, reverse=False):
    def step(c, x):
        h, n = f(c, x)
        return {"h": h, "n": n}, h * 2.0

    return pg.scan(step, init, xs, reverse=reverse)


# -- scan


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_is_the_loop_under_every_transformation(reverse):
    args = pg.asarray(W), pg.asarray(XS), pg.asarray(H)
    f = rnn(lambda *a: scanned(*a, reverse=reverse))
    g = rnn(lambda *a: unrolled(*a, reverse=reverse))
    tangents = tuple([pg.asarray(R.normal(size=a.shape)) for a in args])
    close(f(*args), g(*args))
    close(pg.grad(f, (0, 1, 2))(*args), pg.grad(g, (0, 1, 2))(*args))
    close(pg.jvp(f, args, tangents), pg.jvp(g, args, tangents))
    close(pg.hessian(f)(*args), pg.hessian(g)(*args))
    close(pg.hessian(f, 1)(*args), pg.hessian(g, 1)(*args))
    many = pg.stack([args[1], args[1] * 0.5])
    close(
        pg.vmap(pg.grad(f), (None, 0, None))(args[0], many, args[2]),
        pg.vmap(pg.grad(g), (None, 0, None))(args[0], many, args[2]),
    )
    close(pg.grad(pg.checkpoint(f), (0, 1, 2))(*args), pg.grad(g, (0, 1, 2))(*args))
    check_derivatives(f, *args)
    check_vmap(f, *args)


def test_what_scan_gives():
    total, sums = pg.scan(lambda c, x: (c + x["a"] * x["b"], {"s": (c,)}), 0.0, {"a": pg.arange(3.0), "b": pg.ones(3)})
    assert total.item() == 3.0 and sums["s"][0].tolist() == [0.0, 0.0, 1.0]
    total, ys = pg.scan(lambda c, _: (c * 2, None), 1, length=5)
    assert total.item() == 32 and total.dtype == pg.int64 and ys is None
    _, ys = pg.scan(lambda c, x: (c, x), None, pg.arange(3), reverse=True)
    assert ys.tolist() == [0, 1, 2]


def test_a_scan_of_no_rows():
    total, ys = pg.scan(lambda c, x: (c + x, {"y": pg.stack([x, c])}), 5.0, pg.zeros(0))
    assert total.item() == 5.0 and ys["y"].shape == (0, 2)
    assert pg.grad(lambda c: pg.scan(lambda c, x: (c + x, x), c, pg.zeros(0))[0])(2.0).item() == 1.0


class Pair(NamedTuple):
    left: pg.Tensor
    right: pg.Tensor


def test_carries_of_any_structure():
    end, _ = pg.scan(
        lambda c, _: (Pair(c.right, c.left + c.right), None), Pair(pg.asarray(0), pg.asarray(1)), length=10
    )
    assert isinstance(end, Pair) and end.left.item() == 55


def test_the_backward_of_a_scan_is_linear():
    """One slice of the operand a step, and no cotangent of its full size."""

    def ops(n):
        ran = []
        with pg.observe(lambda op, *_: ran.append(op)):
            pg.grad(lambda xs: pg.sum(pg.scan(lambda c, x: (c * x, c), pg.ones(()), xs)[1]))(pg.ones(n))
        return ran

    few, many = ops(10), ops(20)
    assert "pad" not in many and "slice_update" not in many
    assert len(many) - len(few) == len(ops(30)) - len(many)


def test_deep_loops():
    n = 10_000
    x = pg.asarray(1.0, dtype="float64")
    c = pg.grad(lambda x: pg.scan(lambda c, _: (c * 0.999 + x, None), x, length=n)[0])(x)
    np.testing.assert_allclose(c.item(), 0.999**n + (1 - 0.999**n) / 0.001, rtol=1e-9)
    c = pg.grad(lambda x: pg.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] * 0.999 + x), (0, x))[1])(x)
    np.testing.assert_allclose(c.item(), 0.999**n + (1 - 0.999**n) / 0.001, rtol=1e-9)


@pytest.mark.parametrize(
    ("step", "init", "xs", "error", "text"),
    [
        (lambda c, x: ({"h": c["h"].astype("float64")}, x), {"h": np.ones(3, "f4")}, [np.ones(2)], DTypeError,
         r"carry\['h'\] enters as float32 \(3,\), leaves as float64 \(3,\)"),
        (lambda c, x: ((c[0], pg.ones(2)), x), (1.0, 2.0), [np.ones(2)], ShapeError,
         r"carry\[1\] enters as float32 \(\), leaves as float32 \(2,\)"),
        (lambda c, x: ([c], x), 1.0, [np.ones(2)], ShapeError, r"carry enters with carry, leaves with carry\[0\]"),
        (lambda c, x: (None, x), None, None, ShapeError, "neither xs nor length"),
        (lambda c, x: c, 1.0, [np.ones(2)], ShapeError, "must return a pair"),
        (lambda c, x: (c, x), 1.0, {"a": np.ones(2), "b": np.ones(3)}, ShapeError,
         r"xs\['a'\] of shape \(2,\) and xs\['b'\] of shape \(3,\)"),
        (lambda c, x: (c, x), 1.0, [np.ones(2), 1.0], ShapeError, r"xs\[1\] is a scalar"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("staged", [False, True])
def test_errors_of_scan(step, init, xs, error, text, staged):
    def f(_):
        return pg.scan(step, init, xs)

    with pytest.raises(error, match=f"scan: .*{text}"):
        pg.stage(f, pg.ones(1)) if staged else f(None)


def test_ys_of_changing_structure():
    kinds = iter([1.0, (1.0,)])
    with pytest.raises(ShapeError, match=r"scan: y begins with y, goes on with y\[0\]"):
        pg.scan(lambda c, _: (c, next(kinds)), 0.0, length=2)


def test_functions_may_write_to_what_they_get():
    x, xs = pg.asarray([1.0, 2.0]), pg.zeros((3, 2))

    def step(c, x):
        c += 1.0
        return c, c

    assert pg.scan(step, x, xs)[0].tolist() == [4.0, 5.0]
    assert pg.while_loop(lambda c: c[0] < 5, lambda c: step(c, None)[0], x).tolist() == [5.0, 6.0]
    assert pg.cond(x[0] > 0, lambda v: step(v, None)[0], lambda v: v, x).tolist() == [2.0, 3.0]
    assert x.tolist() == [1.0, 2.0]


def test_draws_are_fresh_at_each_step():
    pg.manual_seed(3)
    draw = pg.random.generator()
    _, ys = pg.scan(lambda c, _: (c, pg.random.uniform(draw.key(), (2,))), 0.0, length=4)
    pg.manual_seed(3)
    assert ys.tolist() == [pg.random.uniform(draw.key(), (2,)).tolist() for _ in range(4)]
    assert len({tuple(y) for y in ys.tolist()}) == 4


def test_a_net_trained_by_scan_is_that_of_the_loop():
    xs, h = pg.asarray(XS), pg.asarray(H)
    results = []
    for loop in (scanned, unrolled):
        w = pg.asarray(W)
        step = pg.compile(pg.value_and_grad(rnn(loop)))
        for _ in range(20):
            loss, g = step(w, xs, h)
            w = w - 0.01 * g
        results.append((w, loss))
    close(results[0], results[1], rtol=1e-9)
    assert results[0][1].item() < rnn(unrolled)(pg.asarray(W), xs, h).item()


# -- cond


def test_only_the_taken_branch_runs():
    ran = []

    def branch(name):
        return lambda x: ran.append(name) or x * 2

    x = pg.asarray([1.0, 2.0])
    pg.cond(x[0] > 0, branch("yes"), branch("no"), x)
    pg.vmap(lambda v: pg.cond(x[0] < 0, branch("yes"), branch("no"), v))(x)
    pg.grad(lambda v: pg.sum(pg.cond(v[0] < 0, branch("yes"), branch("no"), v)))(x)
    pg.cond(True, branch("yes"), branch("no"), x)
    assert ran == ["yes", "no", "no", "yes"]


def piecewise(x, w):
    """A function with three pieces, some of whose operands are captured."""
    inner = lambda v: pg.cond(v > 2.0, lambda a: {"y": a**3}, lambda a: {"y": w * pg.sqrt(a)}, v)  # noqa: E731
    return pg.cond(x > 0.0, inner, lambda v: {"y": pg.sin(v) * w}, x)["y"]


def pieces(x, w):
    x = float(x)
    return x**3 if x > 2 else w * np.sqrt(x) if x > 0 else np.sin(x) * w


POINTS = pg.asarray([-1.5, 0.7, 3.0, 1.1, -0.2], dtype="float64", device="numpy")


def test_cond_over_a_batch():
    w = pg.asarray(1.3, dtype="float64")
    np.testing.assert_allclose(
        pg.vmap(piecewise, (0, None))(POINTS, w).numpy(), [pieces(x, 1.3) for x in POINTS.tolist()]
    )
    for f in (pg.grad(piecewise), pg.grad(pg.grad(piecewise)), pg.grad(piecewise, 1)):
        close(pg.vmap(f, (0, None))(POINTS, w), pg.stack([f(x, w) for x in POINTS]))
    total = lambda xs, w: pg.sum(pg.vmap(piecewise, (0, None))(xs, w))  # noqa: E731
    looped = lambda xs, w: sum(piecewise(x, w) for x in xs)  # noqa: E731
    close(pg.grad(total, (0, 1))(POINTS, w), pg.grad(looped, (0, 1))(POINTS, w))
    close(pg.hessian(total)(POINTS, w), pg.hessian(looped)(POINTS, w))
    check_derivatives(total, POINTS, w)
    grid = pg.stack([POINTS, POINTS[::-1]])
    nested = pg.vmap(pg.vmap(piecewise, (0, None)), (0, None))
    close(nested(grid, w), pg.stack([pg.vmap(piecewise, (0, None))(row, w) for row in grid]))
    loop = lambda g, w: pg.stack([pg.stack([piecewise(x, w) for x in row]) for row in g])  # noqa: E731
    close(pg.jvp(nested, (grid, w), (grid, w)), pg.jvp(loop, (grid, w), (grid, w)))


@pytest.mark.parametrize("captured", [False, True])
def test_the_other_branch_lets_no_nan_through(captured):
    """The square root of a negative number, its infinite slope at zero, and a weight that both kinds of example use."""

    def f(x, w):
        if captured:
            return pg.cond(x > 0, lambda: w * pg.sqrt(x), lambda: w * 2.0)
        return pg.cond(x > 0, lambda x, w: w * pg.sqrt(x), lambda x, w: w * 2.0, x, w)

    w = pg.asarray(3.0)
    for xs, slopes, slope in (([4.0, -1.0, 0.0], [0.75, 0.0, 0.0], 6.0), ([-1.0, 0.0], [0.0, 0.0], 4.0)):
        xs = pg.asarray(xs)
        g = pg.grad(lambda xs, w: pg.sum(pg.vmap(f, (0, None))(xs, w)), (0, 1))(xs, w)
        assert g[0].tolist() == slopes and g[1].item() == slope
        assert pg.vmap(pg.grad(f), (0, None))(xs, w).tolist() == slopes
        ones = pg.ones_like(xs), pg.zeros_like(w)
        assert pg.jvp(pg.vmap(f, (0, None)), (xs, w), ones)[1].tolist() == slopes


def test_writes_in_a_branch_of_some_examples():
    def f(x):
        y = pg.zeros(2)
        row = y * x

        def write():
            row[0] = x
            return x

        return pg.cond(x > 0, write, lambda: x * 0.0), row

    ys, rows = pg.vmap(f)(pg.asarray([1.0, -2.0, 3.0]))
    assert ys.tolist() == [1.0, 0.0, 3.0] and rows[:, 0].tolist() == [1.0, 0.0, 3.0]


def test_errors_of_cond():
    with pytest.raises(ShapeError, match=r"cond: the predicate has shape \(2,\).*\.any\(\)"):
        pg.cond(pg.ones(2) > 0, lambda: 1.0, lambda: 2.0)

    def f(x):
        return pg.cond(x > 0, lambda: {"a": x}, lambda: {"a": x.astype("float64")})

    with pytest.raises(
        DTypeError, match=r"cond: result\['a'\] comes from true_fn as float32 \(\), from false_fn as float64"
    ):
        pg.vmap(f)(pg.ones(2))
    leaked = []
    pg.vmap(lambda x: leaked.append(x > 0) or x)(pg.ones(2))
    with pytest.raises(LeakedTracerError):
        pg.cond(leaked[0], lambda: 1.0, lambda: 2.0)


# -- while_loop


def newton(a, steps=None):
    """A square root: as many steps as it takes. The number of them is counted beside it."""

    def step(c):
        x, n = c
        return (x + a / x) * 0.5, n + 1

    return pg.while_loop(lambda c: pg.abs(c[0] * c[0] - a) > 1e-9, step, (pg.ones_like(a), 0), max_steps=steps)


@pytest.mark.parametrize("steps", [None, 30])
def test_while_over_a_batch(steps):
    a = pg.asarray([1.0, 2.0, 50.0, 1e4], dtype="float64")
    f = lambda a: newton(a, steps)[0]  # noqa: E731
    roots, counts = pg.vmap(lambda a: newton(a, steps))(a)
    np.testing.assert_allclose(roots.numpy(), np.sqrt(a.numpy()), rtol=1e-8)
    assert counts.tolist() == [newton(v, steps)[1].item() for v in a] and counts.tolist()[0] == 0
    for g in (pg.grad(f), pg.grad(pg.grad(f)), lambda v: pg.jvp(f, (v,), (v,))[1]):
        close(pg.vmap(g)(a), pg.stack([g(v) for v in a]), rtol=1e-9)
    close(pg.grad(lambda a: pg.sum(pg.vmap(f)(a)))(a), pg.stack([pg.grad(f)(v) for v in a]), rtol=1e-9)
    close(pg.vmap(pg.vmap(f))(pg.reshape(a, (2, 2))), pg.reshape(roots, (2, 2)))


def test_an_example_that_is_done_lets_no_nan_through():
    def f(x):
        return pg.while_loop(lambda c: c[0] > 0, lambda c: (c[0] - 1.0, c[1] + pg.sqrt(c[0])), (x, x * 0.0))[1]

    xs = pg.asarray([3.0, 1.0, 2.0], dtype="float64")
    close(pg.grad(lambda xs: pg.sum(pg.vmap(f)(xs)))(xs), pg.stack([pg.grad(f)(x) for x in xs]))
    close(pg.vmap(pg.grad(f))(xs), pg.stack([pg.grad(f)(x) for x in xs]))


def test_an_example_that_never_starts_lets_no_nan_through():
    """The weight that all use would get the NaN of the body at a place for which it is not defined."""

    def f(x, w):
        step = lambda c: (c[0] - 1.0, c[1] + w * pg.sqrt(c[0]))  # noqa: E731
        return pg.while_loop(lambda c: c[0] > 0, step, (x, x * 0.0))[1]

    w, xs = pg.asarray(2.0, dtype="float64"), pg.asarray([[3.0, -1.0], [-2.0, -1.0]], dtype="float64")
    total = lambda w, f: pg.sum(f(xs, w))  # noqa: E731
    twice = pg.vmap(pg.vmap(f, (0, None)), (0, None))
    wanted = np.sqrt(3.0) + np.sqrt(2.0) + 1.0
    assert pg.grad(total)(w, twice).item() == pytest.approx(wanted)
    assert pg.grad(lambda w: total(w, twice) ** 2)(w).item() == pytest.approx(2 * 2.0 * wanted**2)
    assert pg.jvp(lambda w: total(w, twice), (w,), (w,))[1].item() == pytest.approx(2.0 * wanted)
    flat = lambda xs, w: pg.sum(pg.vmap(f, (0, None))(xs, w))  # noqa: E731
    close(pg.vmap(pg.grad(flat, 1), (0, None))(xs, w), [pg.asarray([wanted, 0.0], dtype="float64")], rtol=1e-9)


def test_max_steps_ends_the_loop():
    double = lambda c: c * 2  # noqa: E731
    assert pg.while_loop(lambda c: c < 1000, double, 1, max_steps=3).item() == 8
    assert pg.while_loop(lambda c: c < 6, double, 1, max_steps=30).item() == 8


def test_errors_of_while():
    with pytest.raises(ShapeError, match=r"while_loop: carry enters as int64 \(\), leaves as int64 \(1,\)"):
        pg.while_loop(lambda c: c < 3, lambda c: pg.ones(1, dtype="int64"), 0)
    with pytest.raises(ShapeError, match="while_loop: the predicate has shape"):
        pg.while_loop(lambda c: c < 3, lambda c: c, pg.zeros(2))
    with pytest.raises(ShapeError, match="while_loop: init holds no tensor"):
        pg.while_loop(lambda c: True, lambda c: c, None)


def test_structures_that_differ_in_what_is_no_tensor():
    def f(x):
        return pg.cond(x > 0, lambda: {"a": x, "name": "yes"}, lambda: {"a": x, "name": "no"})

    with pytest.raises(
        ShapeError, match=r"with result\['a'\]; structures must agree, containers and what is no tensor"
    ):
        pg.stage(f, pg.ones(()))
    with pytest.raises(DTypeError, match=r"carry enters as float32 \(\), leaves as float64 \(\); .*\.astype\(\)"):
        pg.scan(lambda c, x: (c + x, None), pg.asarray(0.0), pg.asarray([1.0], dtype="float64"))


def test_fori_loop():
    x = pg.asarray([1.0, 2.0], dtype="float64")
    f = lambda x, n: pg.fori_loop(1, n, lambda i, c: c * x + i, x)  # noqa: E731

    def looped(x, n):
        c = x
        for i in range(1, n):
            c = c * x + i
        return c

    for n in (0, 1, 4):
        close(f(x, n), looped(x, n))
        close(f(x, pg.asarray(n)), looped(x, n))
        close(pg.jacrev(f)(x, n), pg.jacrev(looped)(x, n))


# -- handles


class Affine(pg.Module):
    def __init__(self):
        self.w = pg.Parameter(pg.asarray(3.0))
        self.seen = pg.Buffer(pg.zeros(()))

    def forward(self, x):
        self.seen.assign(self.seen + x)
        return x * self.w


@pytest.mark.parametrize("staged", [False, True])
def test_modules_as_operands_and_carries(staged):
    model, xs = Affine(), pg.asarray([1.0, 2.0])

    def loss(model, xs):
        y = pg.cond(xs[0] > 0, lambda m, x: m(x), lambda m, x: -x, model, xs[1])
        (end, total), _ = pg.scan(lambda c, x: ((c[0], c[1] + c[0](x)), None), (model, y), xs)
        return total + end(xs[0])

    step = pg.value_and_grad(loss)
    value, grads = (pg.stage(step, model, xs) if staged else step)(model, xs)
    assert value.item() == 18.0 and grads.w.item() == 6.0 and model.seen.item() == 6.0


def test_results_are_handles_of_their_own():
    x = pg.asarray([1.0, 2.0])
    for y in (
        pg.cond(x[0] > 0, lambda: x, lambda: -x),
        pg.cond(True, lambda v: v, lambda v: -v, x),
        pg.while_loop(lambda v: v[0] > 9, lambda v: v, x),
        pg.scan(lambda c, _: (c, None), x, length=0)[0],
        pg.scan(lambda c, _: (x, None), x, length=2)[0],
    ):
        y[0] = 7.0
    assert x.tolist() == [1.0, 2.0]
    staged = pg.stage(lambda v: pg.cond(True, lambda: x, lambda: v), x)
    x[0] = 5.0
    assert staged(x).tolist() == [5.0, 2.0]


def test_what_no_grad_hides_stays_hidden():
    def f(w, xs):
        def step(c, x):
            with pg.no_grad():
                scale = w * 2.0
            return c * scale + x * w, None

        return pg.scan(step, pg.ones(()), xs)[0]

    w, xs = pg.asarray(0.5), pg.asarray([1.0, 2.0])
    wanted = w.detach().requires_grad_()
    f(wanted, xs).backward()
    given = w.detach().requires_grad_()
    pg.stage(f, w, xs)(given, xs).backward()
    assert given.grad.item() == wanted.grad.item() == 3.0


def test_complex_numbers():
    w, xs = [pg.asarray(R.normal(size=s) + 1j * R.normal(size=s)) for s in ((2, 2), (3, 2))]

    def f(w, xs):
        def step(c, x):
            return pg.cond(pg.real(x[0]) > 0, lambda c: w @ c * c, lambda c: c * x, c), c

        return pg.scan(step, xs[0], xs)

    check_derivatives(f, w, xs)
    check_derivatives(pg.stage(f, w, xs), w, xs)
    close(pg.stage(pg.jacrev(lambda w: f(w, xs)[0]), w)(w), pg.jacrev(lambda w: f(w, xs)[0])(w))


@pytest.mark.parametrize("order", [1, -1])
def test_an_example_that_is_done_at_once_spoils_no_gradient(order):
    """Wherever it stands in the batch, the body, which would be NaN for it, gets the values of one that goes on."""
    xs, w = pg.asarray([0.5, 5.0, 9.0][::order], dtype="float64"), pg.asarray(1.0, dtype="float64")

    def f(w, x):
        return pg.while_loop(lambda c: c > 1.0, lambda c: pg.sqrt(w * c - 1.0), x)

    wanted = sum(pg.grad(f)(w, x).item() for x in xs)
    assert np.isfinite(wanted)
    whole = lambda w: pg.sum(pg.vmap(f, (None, 0))(w, xs))  # noqa: E731
    assert pg.grad(whole)(w).item() == pytest.approx(wanted, rel=1e-12)
    assert pg.jvp(whole, (w,), (pg.ones_like(w),))[1].item() == pytest.approx(wanted, rel=1e-12)
