"""Graphs within graphs: what an inner one reads and writes is read and written again at each call of the outer one."""

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import StateError


def counting():
    """State, and a function that reads and writes it."""
    total = pg.Buffer(pg.zeros(()))

    def f(x):
        total.assign(total + x)
        return x * total

    return total, f


def values(f, total):
    """What calls give and leave behind, the state being changed between them."""
    found = [(f(pg.asarray(2.0)).item(), total.item()) for _ in range(3)]
    total.assign(100.0)
    return [*found, (f(pg.asarray(2.0)).item(), total.item())]


ROADS = {
    "compile": lambda f, total: lambda x: f(x) + total,
    "compile of compile": lambda f, total: pg.compile(lambda x: f(x) + total),
    "a loop": lambda f, total: (
        lambda x: pg.scan(lambda c, v: (c + f(v), None), pg.zeros(()), x.reshape((1,)))[0] + total
    ),
    "a branch": lambda f, total: lambda x: pg.cond(x > 0, f, lambda v: v, x) + total,
    "a checkpoint": lambda f, total: lambda x: pg.checkpoint(f)(x) + total,
    "a gradient": lambda f, total: lambda x: pg.value_and_grad(f)(x)[0] + pg.compile(lambda: total * 1.0)(),
}


@pytest.mark.parametrize("inner", [pg.compile, lambda f: pg.stage(f, pg.ones(()))], ids=["compile", "stage"])
@pytest.mark.parametrize("road", ROADS.values(), ids=ROADS)
def test_state_of_an_inner_graph(road, inner):
    total, f = counting()
    wanted = values(lambda x: f(x) + total, total)
    total, f = counting()
    assert values(pg.compile(road(inner(f), total)), total) == wanted


def test_staging_inside_leaves_no_trace_of_its_writes():
    total, f = counting()

    def outer(x):
        pg.stage(f, x)
        return x + total

    staged = pg.stage(outer, pg.ones(()))
    total.assign(10.0)
    assert staged(pg.asarray(2.0)).item() == 12.0 and staged.graph.state == ()


def test_what_an_inner_graph_captured_is_read_again():
    w = pg.asarray(3.0)
    inner = pg.stage(lambda x: x * w, pg.ones(()))
    outer = pg.stage(lambda x: inner(x) + 1.0, pg.ones(()))
    w.assign(5.0)
    assert outer(pg.asarray(2.0)).item() == 11.0
    assert pg.grad(lambda v: outer(v))(1.0).item() == 5.0
    w.requires_grad_()
    outer(pg.asarray(2.0)).backward()
    assert w.grad.item() == 2.0


def test_what_the_outer_one_wrote_is_what_the_inner_one_reads():
    w = pg.asarray(3.0)
    inner = pg.stage(lambda x: x * w, pg.ones(()))

    def f(x):
        w.assign(w + 1.0)
        return inner(x) + w

    outer = pg.stage(f, pg.ones(()))
    assert [outer(pg.ones(())).item(), outer(pg.ones(())).item(), w.item()] == [8.0, 10.0, 5.0]


@pytest.mark.parametrize("draws", ["same", "different"])
def test_draws_staged_outside_a_vmap_are_refused_inside(draws):
    g = pg.random.Generator(1)
    loop = lambda x: pg.scan(lambda c, _: (c + pg.random.uniform(g.key()), None), x, length=2)[0]  # noqa: E731
    with pytest.raises(StateError, match="staged outside this vmap"):
        pg.vmap(pg.stage(loop, pg.ones(())))(pg.ones(2))
    staged = pg.stage(lambda x: x + pg.random.uniform(g.key()), pg.ones(()))
    with pytest.raises(StateError, match="stage: a generator's draws were staged outside this vmap, .*pass keys"):
        pg.vmap(staged)(pg.ones(2))
    if draws == "different":
        with pytest.raises(StateError, match="staged outside this vmap"):
            pg.vmap(staged, randomness=draws)(pg.ones(2))
    else:
        a, b = pg.vmap(staged, randomness=draws)(pg.ones(2)).tolist()
        assert a == b
    inside = pg.vmap(lambda x: pg.stage(lambda x: x + pg.random.uniform(g.key()), x)(x), randomness=draws)(pg.ones(2))
    assert (inside[0] == inside[1]).item() is (draws == "same")
    keys = pg.stage(lambda x, k: x + pg.random.uniform(k), pg.ones(()), g.key())
    assert pg.vmap(keys)(pg.ones(2), pg.random.split(g.key(), 2)).shape == (2,)


def custom(f):
    """``f``, whose gradient is said to be twice the cotangent."""
    made = pg.custom_vjp(f)
    made.defvjp(lambda x: (f(x), None), lambda _, g: (g * 2.0,))
    return made


def test_a_custom_function_in_a_graph_may_not_hide_state():
    total, f = counting()
    with pytest.raises(StateError, match=r"f: it writes to a float32 tensor of shape \(\).*the new value as a result"):
        pg.stage(lambda x: custom(f)(x) + total, pg.ones(()))
    assert total.item() == 0.0

    def reads(x):
        total.assign(total + 1.0)
        return custom(lambda v: v * total)(x)

    with pytest.raises(StateError, match="it uses a float32 tensor of shape .* which a graph does not see; give that"):
        pg.stage(reads, pg.ones(()))
    with pytest.raises(StateError, match="it uses a float32 tensor"):
        pg.stage(lambda x: custom(lambda v: v * x)(x + 1.0), pg.ones(()))
    w = pg.asarray(3.0)
    staged = pg.stage(lambda x: custom(lambda v: v * w)(x), pg.ones(()))
    w.assign(4.0)
    assert staged(pg.asarray(2.0)).item() == 8.0 and pg.grad(staged)(2.0).item() == 2.0
    assert reads(pg.asarray(2.0)).item() == 2.0


# -- draws in the bodies of control flow


def drawing(g):
    """Draws in a loop in a loop, and in a branch."""

    def inner(c, _):
        return c + pg.random.uniform(g.key()), pg.random.uniform(g.key(), (2,))

    def outer(c, n):
        c, ys = pg.scan(inner, c, length=3)
        c = c + pg.cond(n > 0, lambda: pg.random.uniform(g.key()), lambda: pg.asarray(0.5))
        step = lambda v: (v[0] + 1, v[1] + pg.random.uniform(g.key()))  # noqa: E731
        return pg.while_loop(lambda v: v[0] < 2, step, (0, c), max_steps=3)[1], ys

    return lambda x: pg.scan(outer, x, pg.arange(2))


@pytest.mark.parametrize("outer", ["same", "different", None])
@pytest.mark.parametrize("inner", ["same", "different"])
def test_draws_in_bodies_are_those_of_python_under_vmap(inner, outer):
    def mapped(g):
        f = pg.vmap(lambda v: drawing(g)(v)[0] * v, randomness=inner)
        return pg.vmap(f, randomness=outer) if outer else f

    x = pg.asarray([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]] if outer else [1.0, 2.0])
    for transform in (lambda f: f, lambda f: pg.grad(lambda v: pg.sum(f(v)))):
        g = pg.random.Generator(7)
        wanted, states = transform(mapped(g))(x), [g.state.tolist()]
        for wrap in (pg.compile, lambda f: pg.stage(f, x)):
            g = pg.random.Generator(7)
            np.testing.assert_allclose(wrap(transform(mapped(g)))(x).numpy(), wanted.numpy(), rtol=1e-6)
            states.append(g.state.tolist())
        assert states[0][1] > 0 and states[1:] == states[:1] * 2
    g = pg.random.Generator(7)
    rows = pg.vmap(lambda v: drawing(g)(v)[1], randomness=inner)(pg.ones(3))
    assert len({str(row) for row in rows.tolist()}) == (3 if inner == "different" else 1)
    with pytest.raises(StateError, match="vmap: a draw from a generator"):
        pg.stage(pg.vmap(drawing(g)), pg.ones(2))


def test_draws_that_differ_in_number_are_refused():
    g = pg.random.Generator(7)
    f = lambda x: pg.cond(x > 1, lambda: pg.random.uniform(g.key()), lambda: pg.asarray(0.5))  # noqa: E731
    for wrap in (lambda f: f, pg.compile):
        with pytest.raises(StateError, match="vmap: a random generator would get a different value for each example"):
            wrap(pg.vmap(f, randomness="different"))(pg.asarray([1.0, 2.0]))
