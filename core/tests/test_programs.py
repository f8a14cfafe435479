"""Random programs with writes, views and reductions: every road to a derivative gives the same."""

import numpy as np
import pytest

import plugrad as pg

UNARY = [
    pg.sin,
    pg.tanh,
    lambda x: pg.sqrt(x * x + 1.0),
    lambda x: -x,
    lambda x: x[::-1],
    lambda x: pg.exp(-(x * x)),
    lambda x: x + 0.0,
]
BINARY = [
    lambda a, b: a + b,
    lambda a, b: pg.tanh(a) * b,
    lambda a, b: pg.maximum(a, b),
    lambda a, b: pg.where(a > b, a, b * 2.0),
    lambda a, b: a / (b * b + 1.0),
    lambda a, b: pg.sum(pg.tanh(a) * pg.tanh(b)) + a,
    lambda a, b: pg.matmul(pg.outer(a, pg.sin(b)), pg.cos(b)) * 0.2,
]
N = 4


def write_row(a, b, i):
    a = a * 1.0
    a[i % N] = pg.sum(b) * 0.3
    return a


def write_slice(a, b, i):
    a = a + 0.0
    a[i % 2 :: 2] = b[i % 2 :: 2] * 2.0
    return a


def augmented(a, b, i):
    a = a * 1.5
    a += b
    a *= 0.5
    return a


WRITES = [write_row, write_slice, augmented]


def program(seed):
    """A function of two vectors, made of a dozen steps, each on two of the values so far."""
    rng = np.random.default_rng(seed)
    steps = [
        (rng.integers(3), int(rng.integers(1000)), int(rng.integers(1000)), int(rng.integers(1000))) for _ in range(12)
    ]

    def f(x, y):
        values = [x, y]
        for kind, which, i, j in steps:
            a, b = values[-1 - i % min(3, len(values))], values[j % len(values)]
            if kind == 0:
                values.append(UNARY[which % len(UNARY)](a))
            elif kind == 1:
                values.append(BINARY[which % len(BINARY)](a, b))
            else:
                values.append(WRITES[which % len(WRITES)](a, b, i))
        return pg.sum(pg.tanh(values[-1]) * values[len(values) // 2]) + pg.sum(pg.sin(values[-2]))

    return f, [pg.asarray(rng.normal(size=N)) for _ in range(2)], [pg.asarray(rng.normal(size=N)) for _ in range(2)]


def dot(a, b):
    return sum(float(np.sum(x.detach().numpy() * y.numpy())) for x, y in zip(a, b, strict=True))


def check(seed):
    f, xs, ts = program(seed)
    before = [x.numpy().copy() for x in xs]
    g = pg.grad(f, (0, 1))
    gradient = g(*xs)
    slope = pg.jvp(f, tuple(xs), tuple(ts))[1].item()
    step = 1e-6
    ends = [f(*[x + t * s for x, t in zip(xs, ts, strict=True)]).item() for s in (step, -step)]
    scale = max(1.0, abs(slope))
    rough = 1e-5 if scale < 100 else 1e-2  # steep functions curve within the step
    assert abs((ends[0] - ends[1]) / (2 * step) - slope) < rough * scale, seed
    assert abs(dot(gradient, ts) - slope) < 1e-9 * scale, seed
    leaves = [x.detach().requires_grad_() for x in xs]
    f(*leaves).backward()
    many = [pg.stack([x, t]) for x, t in zip(xs, ts, strict=True)]
    roads = {
        "backward": [t.grad if t.grad is not None else t.zeros_like() for t in leaves],
        "checkpoint": pg.grad(pg.checkpoint(f), (0, 1))(*xs),
        "compile": pg.compile(g)(*xs),
        "grad of compile": pg.grad(pg.compile(f), (0, 1))(*xs),
        "vmap of grad": [t[0] for t in pg.vmap(g)(*many)],
        "grad of vmap": [t[0] for t in pg.grad(lambda *m: pg.sum(pg.vmap(f)(*m)), (0, 1))(*many)],
    }
    for road, found in roads.items():
        for a, b in zip(found, gradient, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-9 * scale, err_msg=f"{seed} {road}")
    second = pg.hvp(f, tuple(xs), tuple(ts))
    again = pg.grad(lambda *v: sum(pg.sum(p * t) for p, t in zip(g(*v), ts, strict=True)), (0, 1))(*xs)
    for a, b in zip(second, again, strict=True):
        bound = 1e-8 * max(1.0, float(np.abs(a.numpy()).max()))
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-8, atol=bound, err_msg=f"{seed} second order")
    for x, old in zip(xs, before, strict=True):
        np.testing.assert_array_equal(x.numpy(), old)


@pytest.mark.parametrize("seed", range(25))
def test_random_programs(seed):
    check(seed)


@pytest.mark.slow
def test_ten_thousand_random_programs():
    for seed in range(1000, 11_000):
        check(seed)
