"""The core's samples on every backend that is here: values, gradients and batches equal the reference's."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import FallbackWarning

DEVICES = [d for d, o in pg.plugins.available_backends().items() if o.available and d != "numpy"]
PATH = Path(__file__).parents[1] / "core" / "tests" / "test_samples.py"


def load_samples():
    spec = importlib.util.spec_from_file_location("core_samples", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SAMPLES


SAMPLES = load_samples()


@pytest.fixture(autouse=True)
def quiet_fallbacks():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FallbackWarning)
        yield


def on(device, name, dtype, what):
    f, _, args = SAMPLES[name]
    with pg.device(device):
        xs = [pg.tensor(a.astype(dtype)) for a in args]
        if what == "value":
            found = [f(*xs)]
        elif what == "grad":
            found = pg.grad(lambda *xs: pg.sum(pg.sin(f(*xs))), tuple(range(len(xs))))(*xs)
        else:
            many = [pg.stack([x, x * 0.5, x + 0.25]) for x in xs]
            found = [pg.vmap(f)(*many)]
        assert all(t.device == device for t in found)
        return [t.detach().numpy() for t in found]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("what", ["value", "grad", "vmap"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SAMPLES)
def test_equal_to_the_reference(name, dtype, what, device):
    got, wanted = on(device, name, dtype, what), on("numpy", name, dtype, what)
    tolerance = 2e-5 if dtype == "float32" else 1e-12
    for a, b in zip(got, wanted, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "bool", "float16", "bfloat16"])
def test_other_dtypes(device, dtype):
    a = np.array([[1, 0, 3], [2, 5, 0]]).astype(pg.as_dtype(dtype))
    for f in (
        lambda x: x + x,
        lambda x: x * x,
        lambda x: pg.sum(x, axis=0),
        lambda x: pg.max(x, axis=1),
        lambda x: x == x.T.T,
        lambda x: x[:, ::-1],
        lambda x: x.astype("float32") * 2,
        lambda x: pg.where(x == x, x, x),
        lambda x: pg.concat([x, x]),
    ):
        try:
            wanted = f(pg.tensor(a, device="numpy"))
            x = pg.tensor(a, device=device)
        except pg.errors.DTypeError:
            continue
        got = f(x)
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got.numpy(), wanted.numpy())


@pytest.mark.parametrize("device", DEVICES)
def test_random_numbers_are_the_same(device):
    for n in (1, 5, 1000):
        keys = [pg.random.key(3, 4, device=d) for d in (device, "numpy")]
        for draw in (pg.random.bits, pg.random.uniform, lambda k, n: pg.random.randint(k, n, high=10)):
            np.testing.assert_array_equal(*[draw(k, (n,)).numpy() for k in keys])
        normals = [pg.random.normal(k, (n,)).numpy() for k in keys]
        np.testing.assert_allclose(*normals, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_keys_of_the_default_generator_meet_other_tensors(device):
    def noisy(x):
        return x + pg.random.uniform(pg.random.generator().key(), x.shape)

    found = []
    for where in ("numpy", device):
        with pg.device(where):
            x, ways = pg.zeros((2, 3)), (noisy, pg.compile(noisy), pg.vmap(noisy, randomness="different"))
            pg.manual_seed(5)
            found.append([f(x) for f in ways])
            assert pg.random.generator().key(device="numpy").tolist() == [5, 3]
    assert {y.device for y in found[1]} == {device} and pg.random.generator().key(device=device).device == device
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("device", DEVICES)
def test_writing_in_place(device):
    with pg.device(device):
        x = pg.zeros((3, 4))
        x[1] = 2.0
        y = x.detach()
        x[:, ::2] += 1.0
        assert y.tolist() == [[0.0] * 4, [2.0] * 4, [0.0] * 4]
        assert x.tolist() == [[1.0, 0.0, 1.0, 0.0], [3.0, 2.0, 3.0, 2.0], [1.0, 0.0, 1.0, 0.0]]
        row = x[0]
        with pytest.warns(UserWarning, match="views are values"):
            row[0] = 9.0
        assert x.tolist()[0][0] == 1.0

        def fill(w):
            z = pg.zeros((20, 3), dtype="float64")
            for i in range(20):
                z[i] = w * float(i)
            return pg.sum(z * z)

        g = pg.grad(fill)(pg.ones(3, dtype="float64"))
        np.testing.assert_allclose(g.numpy(), [2.0 * sum(i * i for i in range(20))] * 3)


@pytest.mark.parametrize("device", ["numpy", *DEVICES])
def test_a_profile_looks_into_compiled_functions_when_asked(device):
    with pg.device(device):
        w, x = pg.Parameter(np.ones((3, 2), np.float32)), pg.ones((4, 3))

        @pg.compile
        def step(x):
            w.grad = None
            loss = (pg.tanh(x @ w) ** 2).mean()
            loss.backward()
            return loss.detach()

        want = step(x).item()
        with pg.profile() as whole:
            step(x)
        with pg.profile(compiled=False) as p:
            got = step(x)
    assert "program step" in {row.op for row in whole.table()}
    rows = {row.op: row.calls for row in p.table()}
    assert {"matmul", "tanh", "sum"} <= set(rows) and rows["matmul"] == 2 and not any("program" in op for op in rows)
    np.testing.assert_allclose(got.item(), want, rtol=1e-6)
