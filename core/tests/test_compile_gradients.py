"""Gradients that have several names: after a compiled call they are who they are after the same call uncompiled."""

import numpy as np
import pytest

import plugrad as pg
import plugrad.errors as errors


def A(*values):
    return pg.asarray(np.array(values, np.float32))


class Scene:
    """Two leaves, and two tensors that may be their gradients."""

    def __init__(self):
        self.a, self.b = A(1, 2).requires_grad_(), A(3, 4).requires_grad_()
        self.mine, self.other, self.box = A(1, 1), A(7, 7), []
        self.box.append(self.mine)

    def settings(self):
        m, o = self.mine, self.other
        yield from [(None, None), (m, m), (m, o), (o, m), (None, o), (A(2, 2), A(3, 3)), (o, o)]

    def seen(self):
        names = [self.a.grad, self.b.grad, self.mine, self.other]
        return [None if t is None else (t.tolist(), [t is u for u in names]) for t in names]


def backward(s):
    def f(x):
        pg.sum(s.a * s.b * x).backward()

    return f


def in_place(s):
    def f(x):
        for p in (s.a, s.b):
            if p.grad is not None:
                p.grad *= 2.0
                p.grad[0] = 5.0

    return f


def by_another_name(s):
    a, mine = s.a, s.mine

    def f(x):
        if a.grad is not None:
            a.grad *= 2.0
        return mine * x

    return f


def written_by_another_name(s):
    a, box = s.a, s.box

    def f(x):
        box[0] += 1.0
        r = x if a.grad is None else a.grad * x
        box[0] *= 2.0
        return r

    return f


def given_to_a_leaf(s):
    a, mine = s.a, s.mine

    def f(x):
        a.grad = mine
        a.grad += x

    return f


def one_for_two(s):
    def f(x):
        pg.sum(s.a * x).backward()
        s.a.grad *= 0.5
        s.b.grad = s.a.grad

    return f


def zeroed_and_summed(s):
    def f(x):
        for p in (s.a, s.b):
            if p.grad is not None:
                p.grad.assign(p.grad * 0)
        pg.sum(s.a * s.b * x).backward()

    return f


def exchanged(s):
    def f(x):
        s.a.grad, s.b.grad = s.b.grad, s.a.grad

    return f


def cleared(s):
    def f(x):
        if s.a.grad is not None:
            g = s.a.grad
            g += x
        s.a.grad = None

    return f


def asked_who_it_is(s):
    def f(x):
        return x * 2 if s.a.grad is not None and s.a.grad is s.b.grad else x

    return f


def in_a_branch(s):
    a = s.a
    return lambda x: pg.cond(pg.sum(x) > 0, lambda v: v * (2 if a.grad is None else a.grad), lambda v: v, x)


STEPS = [
    backward, in_place, by_another_name, written_by_another_name, given_to_a_leaf, one_for_two, zeroed_and_summed,
    exchanged, cleared, asked_who_it_is, in_a_branch,
]  # fmt: skip


@pytest.mark.parametrize("step", STEPS, ids=lambda f: f.__name__)
def test_names_and_values(step):
    def run(transform):
        s = Scene()
        f = transform(step(s))
        for first, second in s.settings():
            s.a.grad, s.b.grad = first, second
            for _ in range(2):
                r = f(A(1, 2))
                yield s.seen(), None if r is None else r.tolist()

    assert list(run(pg.compile)) == list(run(lambda f: f))


def test_a_shared_gradient_is_one_input():
    s = Scene()
    s.a.grad = s.b.grad = s.mine
    f = pg.compile(lambda x: s.a.grad * x + s.b.grad)
    assert f(A(2, 3)).tolist() == [3, 4]
    s.b.grad = A(5, 5)
    assert f(A(2, 3)).tolist() == [7, 8]
    assert "another name" in f.misses[-1]


def test_a_gradient_read_under_vmap_is_read_again():
    p = A(1, 2).requires_grad_()
    p.grad = A(1, 1)
    f = pg.compile(lambda x: x * p.grad)
    rows = pg.ones((3, 2))
    assert pg.vmap(f)(rows).tolist() == [[1, 1]] * 3
    p.grad = A(4, 5)
    assert pg.vmap(f)(rows).tolist() == [[4, 5]] * 3 and f(A(1, 1)).tolist() == [4, 5]


def test_a_gradient_that_is_written_cannot_be_an_argument():
    p = A(1, 2).requires_grad_()
    p.grad = A(1, 1)

    @pg.compile
    def f(x):
        p.grad *= 2.0
        return x * 1.0

    assert f(A(1, 1)).tolist() == [1, 1] and p.grad.tolist() == [2, 2]
    with pytest.raises(errors.StateError, match="written by the function, which captured it"):
        f(p.grad)
    assert p.grad.tolist() == [2, 2]


def test_staged_gradients_that_are_no_longer_one():
    s = Scene()
    s.a.grad = s.b.grad = s.mine
    f = pg.stage(lambda x: s.a.grad * x + s.b.grad, A(1, 1))
    assert f(A(2, 3)).tolist() == [3, 4]
    s.b.grad = A(5, 5)
    with pytest.raises(errors.StateError, match="stage it again"):
        f(A(2, 3))
