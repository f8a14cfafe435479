"""cond, while_loop and scan in graphs: one equation each, with every transformation before and after staging."""

import numpy as np
import pytest

import plugrad as pg
from plugrad import dispatch
from plugrad.errors import DTypeError, RecordingError, ShapeError, StateError
from plugrad.reference.backend import NumpyBackend
from plugrad.testing import check_derivatives

R = np.random.default_rng(11)
W, XS, H = R.normal(size=(3, 3)) * 0.6, R.normal(size=(5, 3)), R.normal(size=3)
DOUBLE = {"dtype": "float64"}


def names(staged):
    return [e.op.name for e in staged.graph.equations]


def close(found, wanted):
    for a, b in zip(pg.tree.leaves(found), pg.tree.leaves(wanted), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-10, atol=1e-11)


def rnn(w, xs, h):
    """Integers and unused results beside the state, captured weights, a branch and a bounded loop in the body."""

    def step(c, x):
        state, n = c
        state = pg.tanh(w @ state + x)
        state = pg.cond(n % 2 == 0, lambda s: s * w[0], lambda s: s + 1.0, state)
        state = pg.while_loop(lambda s: pg.sum(s * s) > 2.0, lambda s: s * 0.5, state, max_steps=6)
        return (state, n + 1), {"y": state * 2.0, "n": n, "unused": x}

    (end, n), ys = pg.scan(step, (h, pg.asarray(0)), xs, reverse=True)
    return pg.sum(end * ys["y"]) * n + pg.sum(ys["n"])


def unrolled(w, xs, h):
    state, ys = h, []
    for n, x in enumerate(reversed(list(xs))):
        state = pg.tanh(w @ state + x)
        state = state * w[0] if n % 2 == 0 else state + 1.0
        while pg.sum(state * state) > 2.0:
            state = state * 0.5
        ys.append(state * 2.0)
    return pg.sum(state * pg.stack(ys[::-1])) * 5 + 10


def vector(f):
    return lambda w, xs, h: pg.grad(f)(w, xs, h)[0]


def second(f):
    return lambda *a: pg.grad(lambda w: pg.sum(pg.grad(f)(w, *a[1:]) ** 2))(a[0])


ROADS = {
    "value": lambda f: f,
    "grad": lambda f: pg.grad(f, (0, 1, 2)),
    "jvp": lambda f: lambda *a: pg.jvp(f, a, a[::1]),
    "hessian": lambda f: pg.hessian(f, 2),
    "jacrev of grad": lambda f: pg.jacrev(vector(f), 2),
    "grad of grad": second,
    "grad of jvp": lambda f: pg.grad(lambda *a: pg.jvp(lambda w: f(w, *a[1:]), (a[0],), (a[0],))[1], (0, 1)),
    "checkpoint": lambda f: pg.grad(pg.checkpoint(f), (0, 1, 2)),
}


@pytest.mark.parametrize("road", ROADS)
def test_staging_and_transformations_in_both_orders(road):
    args = pg.asarray(W), pg.asarray(XS), pg.asarray(H)
    transform = ROADS[road]
    wanted = transform(unrolled)(*args)
    close(transform(rnn)(*args), wanted)
    inner, outer = pg.stage(rnn, *args), pg.stage(transform(rnn), *args)
    assert names(inner).count("scan") == 1 and not {"cond", "while", "tanh"} & set(names(inner))
    assert "scan" in names(outer) and "tanh" not in names(outer)
    close(transform(inner)(*args), wanted)
    close(outer(*args), wanted)
    close(pg.stage(transform(inner), *args)(*args), wanted)
    close(pg.compile(transform(pg.compile(rnn)))(*args), wanted)


@pytest.mark.parametrize(
    ("road", "axes"),
    [("value", (None, 0, None)), ("grad", (0, 0, 0)), ("grad", (None, None, 0)), ("jvp", (0, None, None)),
     ("grad of grad", (None, 0, None))],
)  # fmt: skip
def test_staging_and_batching_in_both_orders(road, axes):
    args = pg.asarray(W), pg.asarray(XS), pg.asarray(H)
    many = tuple([a if n is None else pg.stack([a, a * 0.5, a * 2.0]) for a, n in zip(args, axes, strict=True)])
    row = lambda a, i: [v if n is None else v[i] for v, n in zip(a, axes, strict=True)]  # noqa: E731
    transform = ROADS[road]
    wanted = pg.tree.map(lambda *ts: pg.stack(ts), *[transform(unrolled)(*row(many, i)) for i in range(3)])
    mapped = lambda f: pg.vmap(transform(f), axes)  # noqa: E731
    close(mapped(rnn)(*many), wanted)
    close(mapped(pg.stage(rnn, *args))(*many), wanted)
    close(pg.stage(mapped(rnn), *many)(*many), wanted)
    total = lambda f: lambda *a: pg.sum(pg.vmap(f, axes)(*a))  # noqa: E731
    looped = lambda *a: sum(unrolled(*row(a, i)) for i in range(3))  # noqa: E731
    wanted = pg.grad(looped, (0, 1, 2))(*many)
    close(pg.grad(total(pg.stage(rnn, *args)), (0, 1, 2))(*many), wanted)
    close(pg.stage(pg.grad(total(rnn), (0, 1, 2)), *many)(*many), wanted)


def test_adjoint_and_tangent_of_a_staged_function():
    args = pg.asarray(W), pg.asarray(XS), pg.asarray(H)
    check_derivatives(pg.stage(rnn, *args), *args)
    check_derivatives(lambda *a: pg.stage(rnn, *args)(*a) + pg.stage(lambda h: rnn(*args[:2], h), args[2])(a[2]), *args)


def test_nothing_is_unrolled_and_nothing_is_computed():
    count = []

    def body(c, x):
        count.append(1)
        return c + x, c

    with pg.observe(lambda op, *_: count.append(op)):
        staged = pg.stage(lambda xs: pg.scan(body, pg.asarray(0.0), xs), pg.ones(1000))
    assert count == ["full", 1] and names(staged) == ["scan"]
    assert staged(pg.ones(1000))[0].item() == 1000.0


def test_the_text_form():
    def f(x):
        return pg.cond(
            x, lambda v: pg.sin(v), lambda v: v, pg.while_loop(lambda v: ~v, lambda v: ~v, x).astype("float32")
        )

    text = """graph(%0:bool[])
  %1:bool[] = while(%0, carries=1)
    cond: graph(%0:bool[])
      %1:bool[] = invert(%0)
      return %1
    body: graph(%0:bool[])
      %1:bool[] = invert(%0)
      return %1
  %2:float32[] = cast(%1, dtype=float32)
  %3:float32[] = cond(%0, %2)
    true: graph(%0:float32[])
      %1:float32[] = sin(%0)
      return %1
    false: graph(%0:float32[])
      return %0
  return %3"""
    assert str(pg.stage(f, pg.asarray(True))) == text


# -- while_loop


def test_a_loop_of_unknown_length():
    a = pg.asarray([2.0, 9.0, 400.0], **DOUBLE)

    def root(a):
        return pg.while_loop(lambda x: pg.abs(x * x - a) > 1e-10, lambda x: (x + a / x) * 0.5, a * 0.0 + 1.0)

    staged = pg.stage(root, a[0])
    assert names(staged)[-1] == "while"
    slope = lambda f: lambda a: pg.jvp(f, (a,), (a * 0 + 1,))[1]  # noqa: E731
    for transform in (lambda f: f, slope, lambda f: slope(slope(f))):
        wanted = pg.stack([transform(root)(v) for v in a])
        for found in (
            pg.stack([pg.stage(transform(root), a[0])(v) for v in a]),
            pg.vmap(transform(staged))(a),
            pg.stage(pg.vmap(transform(root)), a)(a),
            pg.stage(pg.vmap(transform(staged)), a)(a),
        ):
            close(found, wanted)
    close(pg.grad(staged)(a[2]), pg.grad(root)(a[2]))  # Python runs a graph's loop, so it is recorded
    close(pg.vmap(pg.grad(staged))(a), pg.stack([pg.grad(root)(v) for v in a]))


def test_the_gradient_of_a_loop_of_unknown_length_has_none_in_a_graph():
    def f(x, **options):
        return pg.while_loop(lambda v: v < 9.0, lambda v: v * v, x, **options)

    assert pg.stage(pg.grad(f), pg.ones(()))(pg.asarray(2.0)).item() == 32.0
    with pytest.raises(RecordingError, match=r"while_loop: .*has none; give max_steps=, use scan"):
        pg.stage(pg.grad(pg.grad(f)), pg.ones(()))
    g = pg.stage(pg.grad(lambda x: f(x, max_steps=5)), pg.ones(()))
    assert g(pg.asarray(2.0)).item() == 32.0


def test_a_counter_is_not_batched_with_the_rest():
    """So that a loop over a batch whose length is known selects nothing."""

    def f(x):
        return pg.while_loop(lambda c: c[0] < 4, lambda c: (c[0] + 1, c[1] * x), (0, x))[1]

    staged = pg.stage(pg.vmap(f), pg.ones(3))
    (loop,) = [e for e in staged.graph.equations if e.op.name == "while"]
    assert "where" not in [e.op.name for e in loop.attrs["body"].equations]
    assert staged(pg.asarray([1.0, 2.0, 3.0])).tolist() == [1.0, 32.0, 243.0]


def test_a_counter_of_a_loop_in_a_loop_is_not_batched_either():
    def inner(c):
        return pg.while_loop(lambda v: v[0] < 3, lambda v: (v[0] + 1, v[1] * c[1]), (c[0] * 0, c[1]))

    def f(x):
        step = lambda c, _: (inner(pg.cond(c[0] > 5, lambda: c, lambda: (c[0] + 1, c[1]))), c[0])  # noqa: E731
        return pg.scan(step, (pg.asarray(0), x), length=2)

    mapped = pg.vmap(f, out_axes=((None, 0), None))  # None: the same for every example
    x = pg.asarray([1.5, 2.0, -1.0])
    (count, ends), counts = pg.stage(mapped, x)(x)
    assert count.item() == 3 and counts.tolist() == [0, 3]
    close(ends, pg.stack([f(v)[0][1] for v in x]))


def test_a_counter_is_batched_by_the_predicate():
    """Of a branch, and of a loop, inside a loop: nothing else of theirs differs between examples."""

    def f(x):
        def step(c, _):
            n, m = c
            n = pg.cond(x > 1.0, lambda: n + 1, lambda: n)
            return (n, pg.while_loop(lambda k: k < x, lambda k: k + 1.0, m)), n

        return pg.scan(step, (pg.asarray(0), pg.asarray(0.0, **DOUBLE)), length=2)

    xs = pg.asarray([0.5, 3.5, 1.0], **DOUBLE)
    found = pg.stage(pg.vmap(f), xs)(xs)
    close(found, pg.vmap(f)(xs))
    assert found[0][0].tolist() == [0, 2, 0] and found[0][1].tolist() == [1.0, 4.0, 1.0]


@pytest.mark.parametrize("swap", [False, True])
def test_what_one_branch_only_batches(swap):
    w, xs = pg.asarray(3.0, **DOUBLE), pg.asarray([1.0, 2.0], **DOUBLE)

    def f(x):
        branches = (lambda: (w, w)), (lambda: (x * w, w + 1.0))
        return pg.cond(w > 2.0, *branches[:: -1 if swap else 1])

    staged = pg.stage(pg.vmap(f, out_axes=(0, None)), xs)
    for v in (3.0, 1.0):
        w.assign(v)
        close(staged(xs), pg.vmap(f, out_axes=(0, None))(xs))


def test_a_tangent_does_not_run_the_loop_twice():
    def f(x):
        return pg.while_loop(lambda v: v < 9.0, lambda v: v * v, x)

    staged = pg.stage(lambda x: pg.jvp(f, (x,), (x,)), pg.ones(()))
    assert names(staged).count("while") == 1
    staged = pg.stage(
        lambda x: pg.jvp(lambda v: pg.scan(lambda c, _: (c * v, c), v, length=3), (x,), (x,)), pg.ones(())
    )
    assert names(staged).count("scan") == 1


# -- effects and captured tensors


def test_captured_tensors_are_read_again():
    w = pg.asarray([1.0, 2.0])
    staged = pg.stage(lambda xs: pg.scan(lambda c, x: (c * w + x, None), pg.zeros(2), xs)[0], pg.zeros((2, 2)))
    xs = pg.ones((2, 2))
    assert staged(xs).tolist() == [2.0, 3.0]
    w[0] = 10.0
    assert staged(xs).tolist() == [11.0, 3.0]
    w = pg.asarray([1.0, 2.0]).requires_grad_()
    staged = pg.stage(lambda xs: pg.scan(lambda c, x: (c * w + x, None), pg.zeros(2), xs)[0], xs)
    pg.sum(staged(xs)).backward()
    assert w.grad.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("loop", ["scan", "while_loop"])
def test_writes_to_tensors_from_outside(loop):
    total = pg.zeros(2)

    def f(xs):
        local = pg.zeros(())

        def step(c, x):
            total[0] = total[0] + pg.sum(x)
            local.assign(local + 1.0)
            return c + local, c

        if loop == "scan":
            return pg.scan(step, pg.zeros(()), xs)[0] + local
        return pg.while_loop(lambda c: c < 5.0, lambda c: step(c, xs)[0], pg.zeros(())) + local

    xs = pg.asarray([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    wanted = f(xs).item(), total.tolist()
    assert wanted[0] == 9.0 and wanted[1][0] > 20.0
    total[:] = 0.0
    staged = pg.stage(f, xs)
    assert total.tolist() == [0.0, 0.0]
    assert (staged(xs).item(), total.tolist()) == wanted
    assert pg.compile(f)(xs).item() == wanted[0] and total[0].item() == 2 * wanted[1][0]


def test_writes_in_a_branch():
    total, other = pg.zeros(2), pg.zeros(())

    def f(x):
        def yes(v):
            total[0] = v
            return v

        def no(v):
            other.assign(other - v)
            return v * 2.0

        return pg.cond(x > 0, yes, no, x) + total[0]

    staged = pg.stage(f, pg.ones(()))
    assert [staged(pg.asarray(v)).item() for v in (3.0, -1.0)] == [6.0, 1.0]
    assert total.tolist() == [3.0, 0.0] and other.item() == 1.0


def test_writes_that_a_graph_cannot_express():
    total = pg.zeros(2)

    def widened(c, x):
        nonlocal total
        total.rebind(pg.ones(3))
        return c, x

    with pytest.raises(StateError, match=r"scan: a float32 tensor of shape \(2,\).* is written as float32 \(3,\)"):
        pg.stage(lambda xs: pg.scan(widened, pg.zeros(()), xs)[0], pg.ones(3))

    def test(c):
        total.assign(total + 1.0)
        return c < 3.0

    with pytest.raises(StateError, match="while_loop: the condition writes"):
        pg.stage(lambda x: pg.while_loop(test, lambda c: c + 1.0, x), pg.zeros(()))
    assert total.tolist() == [0.0, 0.0]


def test_draws_are_those_of_the_loop():
    draw = pg.random.generator()

    def f(x):
        return pg.scan(lambda c, _: (c, pg.random.uniform(draw.key(), (2,))), x, length=4)[1]

    pg.manual_seed(5)
    wanted = [f(pg.ones(())).tolist() for _ in range(2)]
    pg.manual_seed(5)
    staged = pg.stage(f, pg.ones(()))
    assert [staged(pg.ones(())).tolist() for _ in range(2)] == wanted
    with pytest.raises(StateError, match="vmap: .*pass keys"):
        pg.stage(pg.vmap(f), pg.ones(2))


def test_running_statistics_in_a_body():
    class Norm(pg.Module):
        def __init__(self):
            self.mean = pg.Buffer(pg.zeros(()))
            self.scale = pg.Parameter(pg.asarray(2.0))

        def forward(self, x):
            if self.training:
                self.mean.assign(self.mean * 0.5 + x)
            return x * self.scale - self.mean

    def loss(model, xs):
        return pg.scan(lambda c, x: (c + model(x), None), pg.zeros(()), xs)[0]

    xs, results = pg.asarray([1.0, 2.0, 3.0]), []
    for wrap in (lambda f: f, pg.compile):
        model = Norm()
        step = wrap(pg.value_and_grad(loss))
        value, grads = step(model, xs)
        model.eval()
        results.append((value.item(), grads.scale.item(), model.mean.item(), step(model, xs)[0].item()))
        assert not model.mean.requires_grad
    assert results[0] == results[1]


def test_a_module_called_in_a_body_guards_the_graph():
    class Scale(pg.Module):
        def __init__(self):
            self.factor = 2.0

        def forward(self, x):
            return x * self.factor

    def stepping(model):
        return lambda c, _: (model(c), None)

    model = Scale()
    step = stepping(model)  # compile does not see the module, only that it is called
    f = pg.compile(lambda x: pg.scan(step, x, length=2)[0])
    assert f(pg.ones(())).item() == 4.0
    model.factor = 3.0
    assert f(pg.ones(())).item() == 9.0


# -- errors


def test_branches_must_agree():
    for other, error, text in (
        (lambda x: {"a": x.astype("float64")}, DTypeError, r"result\['a'\] comes from true_fn as float32"),
        (lambda x: {"a": pg.stack([x, x])}, ShapeError, r"as float32 \(\), from false_fn as float32 \(2,\)"),
        (lambda x: x, ShapeError, r"result comes from true_fn with result\['a'\], from false_fn with result"),
    ):
        with pytest.raises(error, match=text):
            pg.stage(lambda x, other=other: pg.cond(x > 0, lambda x: {"a": x}, other, x), pg.ones(()))


def test_empty_scans():
    staged = pg.stage(lambda xs: pg.scan(lambda c, x: (c + x, {"y": pg.stack([x, c])}), pg.ones(()), xs), pg.zeros(0))
    total, ys = staged(pg.zeros(0))
    assert total.item() == 1.0 and ys["y"].shape == (0, 2)
    staged = pg.stage(lambda x: pg.scan(lambda c, _: (None, pg.ones(2)), None, length=3)[1] * x, pg.ones(()))
    assert staged(pg.ones(())).shape == (3, 2)


def test_operands_on_several_devices():
    class Beside(NumpyBackend):
        name = "beside"

    dispatch.add_backend(Beside())
    key = pg.random.Generator(4, device="numpy")

    def f(x):
        def step(c, _):
            return c + pg.random.uniform(key.key(), (2,)).to("beside"), key.state[1]

        return pg.scan(step, x, length=3)

    x = pg.zeros(2, device="beside")
    wanted = f(x)
    key.seed(4)
    found = pg.stage(f, x)(x)
    assert [t.device for t in found] == ["beside", "numpy"]
    assert found[0].tolist() == wanted[0].tolist() and found[1].tolist() == [1, 2, 3]
    slopes = pg.stage(pg.grad(lambda x: pg.sum(f(x)[0] ** 2)), x)(x)
    assert slopes.device == "beside"
