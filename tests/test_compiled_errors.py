"""What eager code raises for values a compiled function raises too: positions, labels, singular matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as pg
import plugrad_nn as nn
from plugrad_optim import SGD

DEVICES = [d for d, o in pg.plugins.available_backends().items() if d in ("numpy", "cpu") and o.available]
X = np.arange(6, dtype=np.float32).reshape(2, 3)
PAST, BEFORE = np.array([0, 7]), np.array([-9, 0])
SINGULAR, INDEFINITE = np.array([[1.0, 2.0], [2.0, 4.0]]), np.array([[1.0, 2.0], [2.0, -4.0]])
MISSING = np.array([[np.nan, 2.0], [2.0, 1.0]])


def written(x: Any, i: Any) -> Any:
    x = x * 1.0
    x[i] = 0.0
    return x


def tangent(z: Any, labels: Any) -> Any:
    return pg.jvp(lambda z: nn.cross_entropy(z, labels), (z,), (z,))[1]


CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "x[i]": (lambda x, i: x[i], (X, PAST)),
    "x[i], negative": (lambda x, i: x[i], (X, BEFORE)),
    "x[:, i]": (lambda x, i: x[:, i], (X, PAST)),
    "x[i, i]": (lambda x, i: x[i, i], (X, PAST)),
    "x[i] = v": (written, (X, PAST)),
    "x.at[i].set": (lambda x, i: x.at[i].set(0.0), (X, PAST)),
    "x.at[i].add": (lambda x, i: x.at[i].add(1.0), (X, PAST)),
    "x.at[i].max": (lambda x, i: x.at[i].max(1.0), (X, PAST)),
    "take": (lambda x, i: pg.take(x, i, axis=0), (X, PAST)),
    "grad of take": (lambda x, i: pg.grad(lambda x: pg.take(x, i, axis=0).sum())(x), (X, PAST)),
    "take_along_axis": (lambda x, i: pg.take_along_axis(x, i[:, None], axis=1), (X, PAST)),
    "vmap of x[i]": (lambda x, i: pg.vmap(lambda row, k: row[k])(x, i), (X, PAST)),
    "in cond": (lambda x, i: pg.cond(x.sum() > 0, lambda: x[i], lambda: x), (X, PAST)),
    "in scan": (lambda x, i: pg.scan(lambda c, k: (c + x[k], c), x[0] * 0.0, i)[0], (X, PAST)),
    "embedding": (nn.Embedding(3, 4), (PAST,)),
    "cross_entropy": (nn.cross_entropy, (X, PAST)),
    "cross_entropy, negative": (nn.cross_entropy, (X, BEFORE)),
    "cross_entropy, uint8": (nn.cross_entropy, (X, PAST.astype("uint8"))),
    "grad of cross_entropy": (pg.grad(nn.cross_entropy), (X, PAST)),
    "jvp of cross_entropy": (tangent, (X, PAST)),
    "vmap of cross_entropy": (lambda z, y: pg.vmap(nn.cross_entropy)(z[None], y[None]), (X, PAST)),
    "CrossEntropyLoss": (nn.CrossEntropyLoss(), (X, PAST)),
    "a negative integer power": (lambda a, b: a**b, (np.array([2, 3]), np.array([-1, 2]))),
    "inv": (pg.linalg.inv, (SINGULAR,)),
    "solve": (lambda a: pg.linalg.solve(a, a), (SINGULAR,)),
    "matrix_power": (lambda a: pg.linalg.matrix_power(a, -1), (SINGULAR,)),
    "cholesky": (pg.linalg.cholesky, (INDEFINITE,)),
    "grad of slogdet": (pg.grad(lambda a: pg.linalg.slogdet(a)[1]), (SINGULAR,)),
    "svd of a NaN": (lambda a: pg.linalg.svd(a)[1], (MISSING,)),
    "pinv of a NaN": (pg.linalg.pinv, (MISSING,)),
}


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> Any:
    with pg.device(request.param):
        yield request.param


@pytest.mark.filterwarnings("ignore::plugrad.errors.FallbackWarning")
@pytest.mark.parametrize("name", CASES)
def test_a_compiled_function_raises_what_eager_code_raises(name: str, device: str) -> None:
    f, arrays = CASES[name]
    if isinstance(f, pg.Module):
        f.to(device)
    xs = [pg.asarray(a) for a in arrays]
    with pytest.raises(Exception) as eager:  # whichever it is, the other must be that
        f(*xs)
    for compiled in (pg.compile(f), pg.compile(lambda *xs: f(*xs))):
        with pytest.raises(type(eager.value)) as raised:
            compiled(*xs)
        assert type(raised.value) is type(eager.value)


@pytest.mark.parametrize("label", [7, -1])
@pytest.mark.parametrize("make", [lambda f: f, pg.grad, lambda f: lambda z, y: pg.vmap(f)(z[None], y[None])])
def test_a_wrong_label_is_told_in_the_same_words(make: Any, label: int, device: str) -> None:
    f = make(nn.cross_entropy)
    z, y = pg.asarray(X), pg.asarray([0, label])
    with pytest.raises(IndexError) as eager:
        f(z, y)
    assert f"label {label} is not in 0 to 2" in str(eager.value)
    compiled = pg.compile(f)
    with pytest.raises(IndexError) as raised:
        compiled(z, y)
    assert str(raised.value) == str(eager.value)
    compiled(z, pg.asarray([0, 2]))


def test_a_wrong_label_leaves_no_half_of_a_step(device: str) -> None:
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 3)).to(device)
    optimizer = SGD(net.parameters(), learning_rate=0.1, momentum=0.9)

    @pg.compile
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    x, good = pg.asarray(X), pg.asarray([0, 2])
    for _ in range(2):
        step(x, good)
    before = {k: v.numpy().copy() for k, v in net.state_dict().items()}
    with pytest.raises(IndexError, match="label 3 is not in 0 to 2"):
        step(x, pg.asarray([0, 3]))
    for k, v in net.state_dict().items():
        np.testing.assert_array_equal(v.numpy(), before[k])
    assert np.isfinite(step(x, good).item())
    (kind,) = pg.explain(step).kinds
    assert kind.staged == 1
    *_, program = kind.graphs[0].programs()
    assert len(program.donated) >= 4  # the check costs no copy of the weights
