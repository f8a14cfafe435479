"""What a call leaves on the tape where several levels, or several results, have to do with it."""

import itertools

import pytest

import plugrad as pg


def number(x):
    return pg.asarray(x, dtype="float64")


def tangent(f):
    return lambda x: pg.jvp(f, (x,), (pg.ones_like(x),))[1]


def of_each(d):
    """The derivative of two examples, which are the same."""
    return lambda f: lambda x: pg.mean(pg.vmap(d(f))(pg.stack([x, x])))


DERIVATIVES = {
    "grad": pg.grad,
    "jvp": tangent,
    "vmap of grad": of_each(pg.grad),
    "vmap of jvp": of_each(tangent),
    "grad of vmap": lambda f: lambda x: pg.grad(lambda v: pg.mean(pg.vmap(f)(pg.stack([v, v]))))(x),
    "grad of checkpoint": lambda f: pg.grad(pg.checkpoint(f)),
    "compile of grad": lambda f: lambda x: pg.compile(pg.grad(f))(x),
    "backward": lambda f: lambda x: pg.vjp(f, x * 1.0)[1](pg.ones_like(x))[0],
}
FORMS = {
    "plain": lambda a, b, c: (a * b) * (b * c) * (c * a) + (a * b * c) ** 2,
    "checkpoint": lambda a, b, c: (
        pg.checkpoint(lambda a, b: (a * b) * (b * c) * (c * a))(a, b) + pg.checkpoint(lambda c: (a * b * c) ** 2)(c)
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("outer", DERIVATIVES)
def test_derivatives_of_functions_that_use_what_an_outer_derivative_moves(outer, form):
    """A product of three captured numbers, whose levels all meet in every product."""
    f, (a, b, c) = FORMS[form], map(number, (1.3, 0.7, -1.1))
    wanted = pytest.approx(16 * 1.3 * 0.7 * -1.1, rel=1e-12)
    names = itertools.product(DERIVATIVES, repeat=2)
    for middle, inner in names if form == "plain" else itertools.islice(names, 0, None, 3):
        d = DERIVATIVES[middle], DERIVATIVES[inner]
        along = lambda a, d=d: d[0](lambda b: d[1](lambda c: f(a, b, c))(c))(b)  # noqa: E731
        assert DERIVATIVES[outer](along)(a).item() == wanted, (outer, middle, inner)


def test_the_gradient_of_a_penalty_on_the_gradients_of_examples():
    def penalty(w, each):
        slopes = lambda x: pg.grad(lambda x: pg.sum(pg.tanh(w @ x)))(x)  # noqa: E731
        return pg.sum(pg.stack([slopes(x) for x in xs]) ** 2) if each else pg.sum(pg.vmap(slopes)(xs) ** 2)

    xs, w = pg.asarray([[1.0, 2.0], [0.5, -1.0], [0.0, 0.3]]), pg.asarray([[0.2, -0.4], [0.7, 0.1]])
    wanted = pg.grad(penalty)(w, True).numpy()
    assert pg.grad(penalty)(w, False).numpy() == pytest.approx(wanted, rel=1e-5)
    w.requires_grad_()
    penalty(w, False).backward()
    assert w.grad.numpy() == pytest.approx(wanted, rel=1e-5)


@pg.custom_vjp
def two(a, b):
    """Results of one operand each: a tangent of one gives none of the other."""
    return a * 2.0, b * b


two.defvjp(lambda a, b: ((a * 2.0, b * b), b), lambda b, g: (g[0] * 2.0, g[1] * 2.0 * b))


def along(f):
    """The derivative of ``f`` at 2."""
    return pg.jvp(f, (number(2.0),), (number(1.0),))[1]


@pytest.mark.parametrize("power", [1, 2])
def test_a_result_without_a_tangent_stays_on_the_tape_of_both_levels(power):
    """The inner grad records within the jvp, the outer one below it."""

    def outer(b):
        return along(lambda s: pg.grad(lambda z: two(s, b * z)[1] ** power * s)(number(1.5)))

    # d/dz of (b z) ** 2 power is 2 power b ** 2 power z ** (2 power - 1)
    for b in (number(3.0), number(-0.5)):
        wanted = 2 * power * 1.5 ** (2 * power - 1) * 2 * power * b ** (2 * power - 1)
        assert pg.grad(outer)(b).item() == pytest.approx(wanted.item(), rel=1e-12)
    curved = 2 * power * 1.5 ** (2 * power - 1) * 2 * power * (2 * power - 1) * 3.0 ** (2 * power - 2)
    assert pg.grad(pg.grad(outer))(number(3.0)).item() == pytest.approx(curved, rel=1e-12)
    many = pg.stack([number(3.0), number(-0.5)])
    assert pg.vmap(pg.grad(outer))(many).tolist() == pytest.approx([pg.grad(outer)(b).item() for b in many])


def test_a_result_that_is_the_same_for_every_example_stays_on_both_tapes():
    """A scan in a graph, whose second carry is not batched: the inner grad records within the vmap."""

    def run(x, w, z):
        return pg.scan(lambda c, _: ((c[0] * x, c[1] * (w * z)), None), (x, w * 1.0), length=2)[0]

    def outer(w, xs):
        return pg.sum(pg.vmap(lambda x: pg.grad(lambda z: run(x, w, z)[1] * x)(number(1.5)))(xs))

    w, xs = number(3.0), pg.stack([number(1.0), number(2.0)])  # w ** 3 z ** 2 x: 2 w ** 3 z x
    wanted = 3 * 3.0**2 * 2 * 1.5 * 3.0
    assert pg.grad(outer)(w, xs).item() == pytest.approx(wanted)
    assert pg.compile(pg.grad(outer))(w, xs).item() == pytest.approx(wanted)
    staged = pg.stage(run, w, w + 1.0, w + 2.0)
    again = lambda w, xs: pg.sum(pg.vmap(lambda x: pg.grad(lambda z: staged(x, w, z)[1] * x)(number(1.5)))(xs))  # noqa: E731
    assert pg.grad(again)(w, xs).item() == pytest.approx(wanted)


def test_one_handle_returned_twice_is_two_results():
    @pg.custom_vjp
    def twice(x):
        y = x * 1.0
        return y, y

    def forward(x):
        y = x * 1.0
        return (y, y), None

    twice.defvjp(forward, lambda _, g: (g[0] * 2.0 + g[1] * 10.0,))
    assert [pg.grad(lambda x, i=i: twice(x)[i])(1.0).item() for i in range(2)] == [2.0, 10.0]
    x = pg.ones(()).requires_grad_()
    y, z = twice(x)
    (y * 3.0 + z).backward()
    assert x.grad.item() == 16.0
