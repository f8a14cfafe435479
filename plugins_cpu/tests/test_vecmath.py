"""exp, log and tanh over the whole range of both float dtypes, in units of the last place against long double."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

LIMIT = 4.0
TANH_F4 = 6.0
FUNCTIONS = {"exp": np.exp, "log": np.log, "tanh": np.tanh}


def arguments(rng: np.random.Generator, dtype: np.dtype) -> np.ndarray:
    """Any bit pattern, all magnitudes, the neighbourhood of 1, and the edges of overflow and underflow."""
    bits = np.dtype(f"i{dtype.itemsize}")
    info = np.finfo(dtype)
    anything = rng.integers(np.iinfo(bits).min, np.iinfo(bits).max, 100_000, dtype=bits).view(dtype)
    usual = np.concatenate([rng.normal(size=20_000) * scale for scale in (1e-4, 0.03, 0.3, 1, 10, 100, 700)])
    near_one = 1 + rng.normal(size=20_000) * 0.01
    top, bottom = np.log(np.float64(info.max)), np.log(np.float64(info.tiny))
    edges = np.concatenate([rng.uniform(top - 1, top + 1, 5000), rng.uniform(bottom - 40, bottom + 2, 20_000)])
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, info.tiny, info.smallest_subnormal, info.max, -info.max, 1.0]
    with np.errstate(over="ignore"):
        return np.concatenate([anything, *[np.asarray(a).astype(dtype) for a in (usual, near_one, edges, special)]])


@pytest.mark.parametrize("op", FUNCTIONS)
def test_error_in_units_of_the_last_place(op: str, call: Any, rng: Any, floating: Any) -> None:
    assert np.finfo(np.longdouble).eps < np.finfo(np.float64).eps or floating == np.float32, (
        "no wider float to compare with"
    )
    x = arguments(rng, floating)
    with np.errstate(all="ignore"):
        exact = FUNCTIONS[op](x.astype(np.longdouble))
        rounded = exact.astype(floating)
        unit = np.spacing(np.maximum(np.abs(rounded), np.finfo(floating).tiny)).astype(np.longdouble)
        got = call(op, x)
        error = np.abs(got.astype(np.longdouble) - exact) / unit
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(got[~finite], rounded[~finite])
    worst = int(np.argmax(np.where(finite, error, 0)))
    limit = TANH_F4 if op == "tanh" and floating == np.float32 else LIMIT
    assert error[worst] <= limit, f"{op}({x[worst]!r}) = {got[worst]!r} is {error[worst]} units from {exact[worst]!r}"


def test_exact_points(call: Any, floating: Any) -> None:
    assert call("exp", np.array([0.0, -0.0, -np.inf], floating)).tolist() == [1.0, 1.0, 0.0]
    assert call("log", np.array([1.0, 0.0, np.inf], floating)).tolist() == [0.0, -np.inf, np.inf]
    assert call("tanh", np.array([np.inf, -np.inf, 0.0], floating)).tolist() == [1.0, -1.0, 0.0]
    assert (
        np.isnan(call("tanh", np.array([np.nan], floating))).all()
        and np.isnan(call("exp", np.array([np.nan], floating))).all()
    )
    assert np.abs(call("tanh", np.linspace(-30, 30, 100_001).astype(floating))).max() == 1
    assert np.isnan(call("log", np.array([-1.0, -np.inf, np.nan], floating))).all()


def test_scalar_and_vector_roads_agree(call: Any, rng: Any, floating: Any) -> None:
    """Strided and contiguous loops are compiled differently; a value may not depend on where it lies."""
    x = rng.normal(size=501).astype(floating)
    for op in FUNCTIONS:
        a = call(op, np.abs(x))
        b = call(op, np.abs(np.repeat(x, 2))[::2])
        np.testing.assert_allclose(a, b, rtol=4 * np.finfo(floating).eps)


def test_erf_of_floats(call: Any, rng: Any) -> None:
    x = np.concatenate([rng.normal(size=20_000) * s for s in (1e-6, 0.01, 0.3, 1, 3)]).astype("f4")
    exact = np.vectorize(math.erf)(x.astype("f8"))
    got = call("erf", x)
    assert (np.abs(got - exact) <= 6 * np.spacing(np.abs(exact).astype("f4"))).all()
    assert np.abs(call("erf", np.linspace(-30, 30, 100_001).astype("f4"))).max() == 1
    edges = call("erf", np.array([0.0, -0.0, np.inf, -np.inf, np.nan], "f4"))
    np.testing.assert_array_equal(edges, np.array([0.0, -0.0, 1, -1, np.nan]))
    assert np.signbit(edges).tolist()[:2] == [False, True]
