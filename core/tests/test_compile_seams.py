"""Where a compiled function meets what is around it: writes, aliases, failures, settings, tapes, levels."""

import dataclasses

import numpy as np
import pytest

import plugrad as pg
import plugrad.errors as errors


def A(*values):
    return pg.asarray(np.array(values, np.float32))


def test_a_result_is_what_was_there_before_a_write():
    w = A(1, 2)

    @pg.compile
    def f(x):
        old = w.detach()
        w.assign(x)
        return old

    for _ in range(2):
        w.assign([1, 2])
        assert f(A(5, 6)).tolist() == [1, 2] and w.tolist() == [5, 6]


def test_two_handles_exchange_their_values():
    a, b = A(1, 2), A(3, 4)

    @pg.compile
    def swap():
        t = a.detach()
        a.assign(b)
        b.assign(t)

    swap()
    assert (a.tolist(), b.tolist()) == ([3, 4], [1, 2])
    swap()
    assert (a.tolist(), b.tolist()) == ([1, 2], [3, 4])


def test_a_captured_tensor_that_is_written_cannot_be_an_argument():
    w = A(1, 2)

    @pg.compile
    def f(x):
        w.__iadd__(1.0)
        return x * 1.0

    f(A(5, 6))
    with pytest.raises(errors.StateError, match="written by the function, which captured it"):
        f(w)
    assert w.tolist() == [2, 3]


@pytest.mark.parametrize("how", ["scan", "cond", "device"])
def test_a_failure_in_a_later_step_leaves_no_half_of_one(how):
    w = A(1, 2)

    @pg.compile
    def f(x, i):
        w.__iadd__(x)
        z = x * 2
        if how == "scan":
            return pg.scan(lambda c, e: (c + pg.take(z, e), c), pg.asarray(0.0), i)[0]
        if how == "cond":
            return pg.cond(pg.sum(x) > 0, lambda z: pg.take(z, i), lambda z: z, z)
        return pg.take(z.to("numpy"), i.to("numpy"))

    f(A(1, 1), pg.asarray([0, 1]))
    f(A(1, 1), pg.asarray([0, 1]))
    with pytest.raises(IndexError):
        f(A(1, 1), pg.asarray([0, 9]))
    assert w.tolist() == [3, 4]


def test_gradients_through_what_is_written():
    def run(transform):
        p, h = A(2.0).requires_grad_(), A(1.0)

        def f(x):
            h.__imul__(p)
            return pg.sum(h * x)

        g = transform(f)
        first = g(A(1.0))
        (first + g(A(1.0)) + pg.sum(h * h)).backward()
        return p.grad.item()

    assert run(pg.compile) == run(lambda f: f) != 0


def test_a_gradient_that_is_differentiated():
    def run(transform):
        p = A(3.0).requires_grad_()

        def f(x):
            pg.sum(p * p * p * x).backward(create_graph=True)
            return x * 1

        transform(f)(A(1.0))
        g, p.grad = p.grad, None
        pg.sum(g * g).backward()
        return p.grad.item()

    assert run(pg.compile) == run(lambda f: f)


def test_results_off_the_tape_stay_off():
    p = A(2.0).requires_grad_()
    f = pg.compile(lambda x: (p * x, (p * x).detach(), x + 1))
    for _ in range(2):
        assert [t.requires_grad for t in f(A(1.0))] == [True, False, False]


CHANGES = {
    "a number beside a tensor": lambda s: s.__setitem__("power", 3),
    "a tensor in a dict": lambda s: s.__setitem__("w", A(0, 0)),
    "a nested dict": lambda s: s["deep"].__setitem__("scale", 5.0),
    "a longer list": lambda s: s["list"].append(A(10, 10)),
    "a tensor in a list": lambda s: s["list"].__setitem__(0, A(7, 7)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_settings_among_other_things(change):
    s = {"power": 2, "w": A(2, 3), "deep": {"scale": 2.0}, "list": [A(1, 1)]}

    def f(x):
        return x ** s["power"] * s["deep"]["scale"] + s["w"] + sum(s["list"], x * 0)

    g, x = pg.compile(f), A(2, 2)
    assert g(x).tolist() == f(x).tolist()
    change(s)
    assert g(x).tolist() == f(x).tolist()


@dataclasses.dataclass
class Config:
    scale: float


def test_objects_that_are_given():
    class Scaler:
        def __init__(self):
            self.scale = 2.0

        @pg.compile
        def apply(self, x):
            return x * self.scale

    scaler, config = Scaler(), Config(2.0)
    f = pg.compile(lambda x, c, names=frozenset(): x * c.scale + float(len(names)))
    names = {"a"}
    assert (scaler.apply(A(1)).item(), f(A(1), config).item(), f(A(1), config, names).item()) == (2.0, 2.0, 3.0)
    scaler.scale = config.scale = 5.0
    names.add("b")
    assert (scaler.apply(A(1)).item(), f(A(1), config).item(), f(A(1), config, names=names).item()) == (5.0, 5.0, 7.0)


def test_a_plain_object_of_a_module():
    class Net(pg.Module):
        def __init__(self):
            self.config = Config(2.0)

        def forward(self, x):
            return x * self.config.scale

    net = Net()
    f = pg.compile(lambda x: net(x))
    assert f(A(1)).item() == 2.0
    net.config.scale = 3.0
    assert f(A(1)).item() == 3.0


def test_what_inner_functions_depend_on():
    s = [2.0]
    inner = pg.compile(lambda x: x * s[0])
    outer = pg.compile(lambda x: inner(x) + 1)
    assert outer(A(1)).item() == 3.0
    s[0] = 5.0
    assert outer(A(1)).item() == 6.0


@pytest.mark.parametrize("zeros", [(0.0, -0.0), (-0.0, 0.0)])
def test_the_sign_of_zero(zeros):
    def signs(*values):
        return [np.signbit(v.numpy()).all() for v in values]

    wanted = [np.signbit(z) for z in zeros]
    assert signs(*pg.compile(lambda x: tuple([pg.full((3,), z) + x[:0].sum() * 0 for z in zeros]))(A(1)))[0] is not None
    assert signs(*pg.compile(lambda: tuple([pg.full((3,), z) for z in zeros]))()) == wanted
    f = pg.compile(lambda c: pg.where(c, *zeros))
    assert signs(f(pg.asarray(True)), f(pg.asarray(False))) == wanted
    g = pg.compile(lambda x, k: x * k)
    assert signs(*[g(A(1), z) for z in zeros]) == wanted


def test_randomness_of_a_vmap_around():
    f = pg.compile(lambda x: x * pg.random.uniform(pg.random.generator().key(), (3,)))
    h, x = pg.vmap(f, randomness="different"), pg.ones((2, 3), device="numpy")
    with pg.device("numpy"):
        first, second = h(x).numpy(), h(x).numpy()
    assert first.shape == second.shape == (2, 3) and not np.array_equal(first, second)


def test_options_above_a_definition():
    @pg.compile(donate=0)
    def double(x):
        return x * 2.0

    x = A(1, 2)
    assert double(x).tolist() == [2, 4] and double.__name__ == "double"
    with pytest.raises(errors.DonatedError):
        x.numpy()
    assert pg.compile()(lambda x: x + 1.0)(A(1)).tolist() == [2]

    class Owner:
        @pg.compile(passes=())
        def half(self, x):
            return x * 0.5

    assert Owner().half(A(4)).tolist() == [2] and not Owner.half.passes
    for wrong in (3, "x"):
        with pytest.raises(errors.ArgumentError, match="compile: "):
            pg.compile(wrong)
        with pytest.raises(errors.ArgumentError, match="compile: "):
            pg.compile(donate=0)(wrong)
