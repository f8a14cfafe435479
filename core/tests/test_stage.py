"""Staging: what is captured, what is simplified away, how a graph reads."""

import numpy as np
import pytest

import plugrad as pg


def names(staged):
    return [e.op.name for e in staged.graph.equations]


def test_common_subexpressions_and_dead_code():
    def f(x):
        pg.exp(x)  # unused
        return pg.sin(x) * pg.sin(x) + pg.sum(x, axis=0) + pg.sum(x, axis=0)

    staged = pg.stage(f, pg.ones((2, 3)))
    assert names(staged) == ["sin", "mul", "sum", "add", "add"]
    x = pg.asarray(np.random.default_rng(0).normal(size=(2, 3)))
    np.testing.assert_allclose(pg.stage(f, x)(x).numpy(), f(x).numpy())


def test_attributes_are_not_confused():
    staged = pg.stage(lambda x: pg.sum(x, axis=0, keepdims=True) * pg.sum(x, axis=1, keepdims=True), pg.ones((2, 2)))
    assert names(staged) == ["sum", "sum", "mul"]


def test_nothing_is_computed():
    ran = []
    with pg.observe(lambda op, *_: ran.append(op)):
        pg.stage(lambda x: pg.exp(x) * pg.zeros(3) + pg.asarray([1.0, 2.0, 3.0]), pg.ones(3))
    assert ran == ["full"]  # the argument


def test_creation_and_random_bits_are_part_of_the_graph():
    g = pg.random.Generator(3, device="numpy")
    staged = pg.stage(lambda x: x + pg.random.uniform(g.key(), (2,)) + pg.ones(2), pg.zeros(2))
    one, two = staged(pg.zeros(2)).numpy(), staged(pg.zeros(2)).numpy()
    h = pg.random.Generator(3, device="numpy")
    np.testing.assert_array_equal(one, pg.random.uniform(h.key(), (2,)).numpy() + 1)
    np.testing.assert_array_equal(two, pg.random.uniform(h.key(), (2,)).numpy() + 1)
    assert g.state.tolist() == [3, 2]


def test_captured_handles_are_read_again():
    w = pg.asarray([1.0, 2.0])
    staged = pg.stage(lambda x: x * w, pg.ones(2))
    w[0] = 10.0
    assert staged(pg.ones(2)).tolist() == [10.0, 2.0]


def test_writes_to_outside_handles_are_outputs():
    total = pg.zeros(2)

    def f(x):
        total[0] = x[1]
        return total * 2.0

    staged = pg.stage(f, pg.ones(2))
    assert total.tolist() == [0.0, 0.0]
    assert staged(pg.asarray([3.0, 4.0])).tolist() == [8.0, 0.0]
    assert total.tolist() == [4.0, 0.0]


def test_writes_to_inside_handles_are_not():
    def f(x):
        y = x * 1.0
        y[0] = 5.0
        return y

    staged = pg.stage(f, pg.ones(2))
    assert staged.graph.state == () and staged(pg.asarray([1.0, 2.0])).tolist() == [5.0, 2.0]


def test_an_exception_while_staging_leaves_no_trace():
    total = pg.zeros(2)

    def f(x):
        total[0] = x[1]
        raise RuntimeError("user")

    with pytest.raises(RuntimeError, match="user"):
        pg.stage(f, pg.ones(2))
    assert total.tolist() == [0.0, 0.0]
    assert (total + 1).tolist() == [1.0, 1.0]


def test_structures_and_constants():
    staged = pg.stage(lambda d: {"y": d["x"] * 2.0, "k": d["n"]}, {"x": pg.ones(2), "n": 3})
    out = staged({"x": pg.asarray([1.0, 2.0]), "n": 3})
    assert out["y"].tolist() == [2.0, 4.0] and out["k"] == 3
    with pytest.raises(ValueError, match="another structure"):
        staged({"x": pg.ones(2), "n": 4})


def test_detached_values_stay_constants_in_the_graph():
    x = pg.asarray([3.0])
    for cut in (lambda v: v.detach(), pg.stop_gradient):
        staged = pg.stage(lambda v, cut=cut: pg.sum(v * cut(v)), x)
        assert pg.grad(staged)(x).tolist() == [3.0]
        assert pg.jvp(lambda v, cut=cut: v * cut(v), (x,), (pg.ones(1),))[1].tolist() == [3.0]


def test_assigned_values_are_not_recorded_by_a_replay():
    total = pg.zeros(2)
    staged = pg.stage(lambda x: total.assign(x * 2.0) * 1.0, pg.ones(2))
    staged(pg.ones(2).requires_grad_())
    assert total.tolist() == [2.0, 2.0] and not total.requires_grad


def test_the_text_form():
    text = str(pg.stage(lambda x: pg.sum(x, axis=0) * 2.0, pg.ones((2, 3))))
    assert (
        "sum(%0, axis=(0,), keepdims=False)" in text
        and "float32[3]" in text
        and text.strip().splitlines()[-1].startswith("  return")
    )


def test_stages_nest():
    x = pg.asarray([1.0, 2.0])

    def f(x):
        inner = pg.stage(lambda v: v * 3.0, x)
        return inner(x) + 1.0

    assert pg.stage(f, x)(x).tolist() == [4.0, 7.0]


def test_one_tensor_as_two_arguments_is_two_inputs():
    x, z = pg.asarray([1.0, 2.0]), pg.asarray([3.0, 5.0])
    assert pg.stage(lambda a, b: a - b, x, x)(x, z).tolist() == [-2.0, -3.0]
    assert pg.stage(lambda a, b: a - b, x, z)(x, x).tolist() == [0.0, 0.0]
    f = pg.compile(lambda a, b: a - b)
    assert (f(x, x).tolist(), f(x, z).tolist(), len(f.graphs)) == ([0.0, 0.0], [-2.0, -3.0], 1)
