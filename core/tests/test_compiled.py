"""compile never gives a stale result: what a graph depends on is guarded, what may change is read again."""

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import ConcretizationError, LeakedTracerError


def counted(f):
    calls = []

    def g(*args):
        calls.append(1)
        return f(*args)

    return pg.compile(g), calls


def test_staged_once_for_each_kind_of_call():
    f, calls = counted(lambda x: pg.sin(x) * 2.0)
    for _ in range(3):
        np.testing.assert_allclose(f(pg.asarray([1.0, 2.0])).numpy(), 2 * np.sin([1.0, 2.0]), rtol=1e-6)
    assert len(calls) == 1
    f(pg.ones(3))
    f(pg.ones(2, dtype="float64"))
    assert len(calls) == 3
    assert f(1.0).shape == () and len(calls) == 4


def test_static_arguments_are_guarded():
    f, calls = counted(lambda x, n, names: x * float(n) if "a" in names else x)
    x = pg.ones(2)
    assert f(x, 2, ["a"]).tolist() == [2.0, 2.0]
    assert f(x, 3, ["a"]).tolist() == [3.0, 3.0]
    assert f(x, 3, ["b"]).tolist() == [1.0, 1.0]
    assert f(x, 2, ["a"]).tolist() == [2.0, 2.0] and len(calls) == 3


class Net(pg.Module):
    def __init__(self):
        self.w = pg.Parameter([1.0, 2.0])
        self.mean = pg.Buffer(np.zeros(2, np.float32), name="Net.mean")
        self.scale = 1.0

    def forward(self, x):
        h = x * self.w * self.scale
        if self.training:
            self.mean.assign(self.mean * 0.5 + h * 0.5)
            return h
        return h - self.mean


@pytest.mark.parametrize("captured", [True, False])
def test_modules_are_guarded_captured_or_given(captured):
    net, twin = Net(), Net()
    step = pg.compile((lambda x: net(x)) if captured else (lambda x, m: m(x)))
    x = pg.asarray([3.0, 4.0])

    def check():
        got = step(x) if captured else step(x, net)
        np.testing.assert_allclose(got.detach().numpy(), twin(x).detach().numpy())
        np.testing.assert_allclose(net.mean.numpy(), twin.mean.numpy())

    check()
    check()
    for m in (net, twin):
        m.w.assign([5.0, 6.0])
    check()
    for m in (net, twin):
        m.eval()
    check()
    for m in (net, twin):
        m.train()
        m.scale = 3.0
    check()


def test_a_compiled_training_step():
    net, twin = Net(), Net()

    def step(x):
        value, g = pg.value_and_grad(lambda m: pg.sum(m(x) ** 2))(net)
        net.w.assign(net.w - 0.01 * g.w)
        return value

    compiled = pg.compile(step)
    for i in range(5):
        x = pg.asarray([1.0 + i, 2.0])
        value, g = pg.value_and_grad(lambda m, x=x: pg.sum(m(x) ** 2))(twin)
        twin.w.assign(twin.w - 0.01 * g.w)
        np.testing.assert_allclose(compiled(x).item(), value.item(), rtol=1e-6)
    np.testing.assert_allclose(net.w.detach().numpy(), twin.w.detach().numpy(), rtol=1e-6)
    np.testing.assert_allclose(net.mean.numpy(), twin.mean.numpy(), rtol=1e-6)


def test_random_numbers_advance():
    g = pg.random.Generator(2, device="numpy")
    f = pg.compile(lambda x: x * pg.random.uniform(g.key(), (2,)))
    one, two = f(pg.ones(2)).numpy(), f(pg.ones(2)).numpy()
    h = pg.random.Generator(2, device="numpy")
    np.testing.assert_array_equal(one, pg.random.uniform(h.key(), (2,)).numpy())
    np.testing.assert_array_equal(two, pg.random.uniform(h.key(), (2,)).numpy())


def test_every_transformation_of_a_compiled_function():
    f = pg.compile(lambda x: pg.sum(pg.sin(x) * x))
    x = pg.asarray([0.3, 0.7], dtype="float64")
    plain = lambda x: pg.sum(pg.sin(x) * x)  # noqa: E731
    np.testing.assert_allclose(pg.hessian(f)(x).numpy(), pg.hessian(plain)(x).numpy(), rtol=1e-12)
    np.testing.assert_allclose(
        pg.vmap(pg.grad(f))(pg.stack([x, x * 2])).numpy()[0], pg.grad(plain)(x).numpy(), rtol=1e-12
    )
    np.testing.assert_allclose(pg.compile(pg.grad(f))(x).numpy(), pg.grad(plain)(x).numpy(), rtol=1e-12)
    leaf = x.detach().requires_grad_()
    f(leaf).backward()
    np.testing.assert_allclose(leaf.grad.numpy(), pg.grad(plain)(x).numpy(), rtol=1e-12)


def test_control_flow_on_values_raises():
    with pytest.raises(LeakedTracerError, match=r"use where\(\) or cond\(\).*called at .*test_compiled\.py:\d+"):
        pg.compile(lambda x: x if x > 0 else -x)(pg.asarray(1.0))


@pytest.mark.parametrize(
    "f",
    [
        lambda x, c: x[x > 0],
        lambda x, c: x[c > 0],
        lambda x, c: pg.nonzero(x),
        lambda x, c: pg.unique_values(x),
        lambda x, c: pg.repeat(x, x.astype("int64")),
        lambda x, c: pg.linspace(0.0, x[0], 3),
        lambda x, c: x[: int(x[0])],
        lambda x, c: x * c[0].item(),
        lambda x, c: x * float(x.numpy()[0]),
    ],
)
def test_what_depends_on_values_is_one_error_with_line_and_remedy(f):
    c = pg.asarray([1.0, 2.0])
    for outside in (pg.compile(lambda x: f(x, c)), pg.compile(lambda x: f(c, x))):
        with pytest.raises(ConcretizationError, match=r"; .*called at .*test_compiled\.py:\d+") as error:
            outside(pg.asarray([1.0, 2.0]))
        assert "Python argument" not in str(error.value)


def test_attributes_without_a_value_to_compare_are_guarded_by_identity():
    class Applied(pg.Module):
        def __init__(self):
            self.f, self.parts = pg.sin, [pg.cos]

        def forward(self, x):
            return self.f(x) + self.parts[0](x)

    net, x = Applied(), pg.asarray(0.0)
    step = pg.compile(lambda x: net(x))
    assert step(x).item() == 1.0
    net.f = pg.cos
    assert step(x).item() == 2.0
    net.parts[0] = pg.sin
    assert step(x).item() == 1.0 and step(x).item() == 1.0 and [len(v) for v in step.graphs.values()] == [3]


def test_static_arguments_need_not_be_hashable():
    f, calls = counted(lambda x, names: x * float(len(names)))
    x = pg.ones(1)
    assert [f(x, names).tolist() for names in ({"a"}, {"a", "b"}, {"a"})] == [[1.0], [2.0], [1.0]]
    assert len(calls) == 2
