"""One graph for batches of any size, and none where a size is decided upon."""

import itertools
import json
import math
import operator

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import ArgumentError, ShapeError


def counted(f, **options):
    calls = []

    def g(*args):
        calls.append(args[0].shape)
        return f(*args)

    return pg.compile(g, **options), calls


def batch(n, *shape):
    return pg.asarray(np.arange(n * int(np.prod(shape)), dtype=np.float32).reshape(n, *shape) / 7)


def test_three_sizes_are_enough():
    w = pg.asarray(np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3))
    plain = lambda x: ((x @ w).tanh().sum(axis=1) / x.shape[0]).mean() + 1.0 / x.shape[0]  # noqa: E731
    f, calls = counted(plain, batched=0)
    for n in (4, 6, 5, 7, 32, 6, 4):
        np.testing.assert_allclose(f(batch(n, 4)).item(), plain(batch(n, 4)).item(), rtol=1e-6)
    assert len(calls) == 3  # two, and a third that agrees
    for n in (1, 1):
        np.testing.assert_allclose(f(batch(n, 4)).shape, ())
    assert len(calls) == 4  # one row broadcasts: a case of its own


def test_a_training_step_with_dropout_and_a_smaller_last_batch():
    def run(transform):
        pg.manual_seed(3)
        w = pg.Parameter(np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3))
        calls = []

        def step(x, y):
            calls.append(1)

            def loss(w):
                h = x @ w
                kept = pg.random.bernoulli(pg.random.generator().key(), h.shape)
                return ((h * kept - y) ** 2).mean()

            value, g = pg.value_and_grad(loss)(w)
            w.assign(w - 0.1 * g)
            return value

        f = transform(step)
        return [f(batch(n, 4), batch(n, 3)).item() for n in (8, 6, 3, 8, 5, 7)], w, calls

    got, w, calls = run(lambda f: pg.compile(f, batched=(0, 1)))
    wanted, v, _ = run(lambda f: f)
    np.testing.assert_allclose(got, wanted, rtol=1e-6)
    np.testing.assert_allclose(w.detach().numpy(), v.detach().numpy(), rtol=1e-6)
    assert len(calls) == 3


DECIDING = {
    "a common divisor": lambda x: x * math.gcd(x.shape[0], 6),
    "combinations": lambda x: x * float(math.comb(x.shape[0], 2) % 5),
    "an index": lambda x: x * (operator.index(x.shape[0]) // 2),
    "a range": lambda x: x * len(range(0, x.shape[0], 2)),
    "a hash": lambda x: x * (hash(x.shape[0]) // 2),
    "a dict": lambda x: x * {4: 2.0, 6: 3.0, 5: 2.5, 7: 11.0}.get(x.shape[0], 1.0),
    "a set": lambda x: x * (2.0 if x.shape[0] in {7, 8} else 3.0),
    "a shape in a dict": lambda x: x * {(7, 4): 2.0}.get(x.shape, 3.0),
    "text": lambda x: x * len(f"{x.shape[0]:>3}".strip()),
    "binary": lambda x: x * x.shape[0].bit_length(),
    "a sign before it": lambda x: x * ((+x.shape[0]) // 2),
    "a quotient that is compared": lambda x: x * (2.0 if 1.0 / x.shape[0] > 0.15 else 3.0),
    "a quotient that is rounded": lambda x: x * round(3.0 / x.shape[0]),
    "a factor that is cut": lambda x: x * int(x.shape[0] * 0.3),
    "NumPy": lambda x: x * int(np.gcd(x.shape[0], 6)),
    "NumPy in Python": lambda x: x * float(np.prod(x.shape) % 5),
    "JSON": lambda x: x * (json.loads(json.dumps(x.shape[0])) // 2),
    "islice": lambda x: x * sum(itertools.islice([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 99.0], x.shape[0])),
    "compares": lambda x: x * 2 if x.shape[0] > 5 else x * 3,
    "rounds": lambda x: x[: x.shape[0] // 2],
    "remainder": lambda x: x * float(x.shape[0] % 3),
    "length": lambda x: x * (2.0 if len(x) > 5 else 3.0),
    "elements": lambda x: x * 2 if x.size > 20 else x * 3,
    "later value": lambda x: x.T * 2 if (x @ pg.ones((4, 3))).shape[0] > 5 else x.T * 3,
    "loops": lambda x: sum(x[i] for i in range(x.shape[0])),
    "roots": lambda x: x * float(np.sqrt(x.shape[0])),
    "at most": lambda x: x[:6],
    "every second": lambda x: x[::2],
    "the last ones": lambda x: x[-5:],
    "a part": lambda x: x[: int(x.shape[0] * 0.5)],
    "rounded up": lambda x: x * math.ceil(x.shape[0] / 4),
    "absolute": lambda x: x * abs(x.shape[0] - 6),
    "bits": lambda x: x * x.shape[0].bit_length(),
    "a position": lambda x: x * x[3 if x.shape[0] > 3 else 0],
    "arithmetic": lambda x: x * 2 if 2 * x.shape[0] + 1 > 11 else x * 3,
}


@pytest.mark.parametrize("name", DECIDING)
def test_a_decision_upon_the_size_is_seen(name):
    f, calls = counted(DECIDING[name], batched=0)
    for n in (4, 7, 9, 12, 5, 6):
        np.testing.assert_allclose(f(batch(n, 4)).numpy(), DECIDING[name](batch(n, 4)).numpy(), rtol=1e-6)
    assert len(calls) >= 6
    assert any("size" in why or "batches" in why or "batch of" in why for why in f.misses), f.misses


def test_numbers_in_attributes_and_constants():
    def g(x):
        n = x.shape[0]
        rows = pg.arange(n, device=x.device)
        mask = rows[:, None] >= rows[None, :]
        return pg.where(mask, pg.reshape(x, (1, n * 4))[:, :n], 0.0) + pg.zeros((n, n), device=x.device)

    f, calls = counted(g, batched=0)
    for n in (3, 5, 8, 2, 6):
        np.testing.assert_array_equal(f(batch(n, 4)).numpy(), g(batch(n, 4)).numpy())
    assert len(calls) == 3


def test_a_changed_setting_is_seen_behind_the_template():
    settings = {"rate": 1.0}
    f = pg.compile(lambda x: x * settings["rate"], batched=0)
    for n in (2, 3, 4, 5):
        assert f(batch(n, 1)).numpy()[1, 0] == np.float32(1 / 7)
    settings["rate"] = 7.0
    for n in (4, 5, 6):
        assert f(batch(n, 1)).numpy()[1, 0] == np.float32(1.0)


def test_sizes_that_do_not_agree():
    f = pg.compile(lambda x, y: x.sum() + y.sum(), batched=(0, 1))
    with pytest.raises(ShapeError, match=r"\[2, 3\] rows"):
        f(batch(2, 1), batch(3, 1))
    with pytest.raises(ArgumentError, match="batched names argument 5"):
        pg.compile(lambda x: x, batched=5)(batch(2, 1))


def test_shapes_are_plain_afterwards():
    f = pg.compile(lambda x: x * float(x.shape[0]), batched=0)
    f(batch(3, 1))
    assert type(batch(3, 1).shape[0]) is int and type(batch(3, 1).size) is int and len(batch(3, 1)) == 3
    assert type(f(batch(4, 1)).shape[0]) is int
