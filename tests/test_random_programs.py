"""Random programs over every public function: the same values eager, staged, compiled, batched and differentiated, bit
for bit where the same kernels run, and on every backend within the tolerance of the single step.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import random_programs as programs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import plugrad as pg
from plugrad.dtypes import KIND, parse
from plugrad.errors import FallbackWarning

ASKED = os.environ.get("PLUGRAD_TEST_BACKENDS", "numpy,cpu").split(",")
DEVICES = [d for d, o in pg.plugins.available_backends().items() if o.available and d in ASKED]
STORED = {
    device: [
        d for d in programs.DTYPES if parse(d) <= parse(pg.backend.BACKENDS[pg.plugins.backend_index(device)].dtypes)
    ]
    for device in DEVICES
}
number = st.integers(0, 2**16)
CODES = st.lists(st.tuples(number, number, number, number), min_size=3, max_size=12)
INPUTS = st.lists(st.tuples(number, number, st.integers(0, programs.LAYOUTS - 1), number), min_size=2, max_size=3)
TOLERANCE = {
    "float64": 1e-11,
    "complex128": 1e-11,
    "float32": 3e-5,
    "complex64": 3e-5,
    "float16": 1e-2,
    "bfloat16": 1e-1,
}
REORDERED = ("sum", "prod", "mean", "var", "std", "matmul", "tensordot", "a @ a.T", "cumulative_sum", "einsum")
FUNCTIONS = "exp expm1 log log1p log2 log10 sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh pow"
REORDERED += (*FUNCTIONS.split(), "logaddexp", "hypot", "a ** b")
FAMILIES_REORDERED = "fft.", "linalg."
"""Steps whose additions a batch, another layout or another backend may do in another order; and functions that NumPy
computes by other instructions, to another last bit, where elements do not lie one after the other.
"""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FallbackWarning)
        yield


def host(t: Any) -> np.ndarray:
    return t.detach().numpy()


def alike(found: Any, wanted: Any, what: str) -> None:
    """Equal in shape and dtype: what rounding makes of the values of a whole program has no bound."""
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape), (
        f"{what}: {found.describe()} for {wanted.describe()}"
    )


def same(found: Any, wanted: Any, what: str) -> None:
    """Equal bit for bit, but for the sign and payload of NaN."""
    alike(found, wanted, what)
    a, b = host(found), host(wanted)
    if a.tobytes() != b.tobytes():
        wide = a.dtype if a.dtype.kind in "biuc" else np.float64
        np.testing.assert_array_equal(a.astype(wide), b.astype(wide), err_msg=what)


def close(found: Any, wanted: Any, xs: list[Any], what: str) -> None:
    """Equal up to rounding, in proportion to what the step was given; infinite together, or nearly so."""
    alike(found, wanted, what)
    a, b = host(found), host(wanted)
    if a.dtype.name not in TOLERANCE:
        return np.testing.assert_array_equal(a, b, err_msg=what)
    wide = np.complex128 if a.dtype.kind == "c" else np.float64
    a, b = a.astype(wide), b.astype(wide)
    given = [np.abs(host(x).astype(np.complex128)) for x in xs]
    largest = max([1.0, *[float(g.max()) for g in given if g.size]])
    tolerance = max(TOLERANCE.get(t.dtype.name, 0) for t in [found, *xs])
    if not np.isfinite(largest) or largest > 1e15:
        return None  # overflow comes at another point of the sum
    with np.errstate(all="ignore"):
        bad = np.abs(a - b) > tolerance * (np.abs(b) + largest**2)
    assert not bad.any(), f"{what}: {a[bad][:3]} for {b[bad][:3]} of {[x.describe() for x in xs]}"
    finite = np.isfinite(a) == np.isfinite(b)
    assert finite.all() or np.abs(b[~finite]).max() > 1e4, f"{what}: {a[~finite][:3]} for {b[~finite][:3]}"
    return None


def put(rows: list[Any], device: str) -> list[Any]:
    """Tensors on borrowed memory where there is such; of an even seed lent, which a recording does not copy."""
    borrows = pg.backend.BACKENDS[pg.plugins.backend_index(device)].borrow(np.zeros(1), "0") is not NotImplemented
    arrays = [programs.array(*row, dtypes=STORED[device]) for row in rows]
    return [
        pg.asarray(a, device=device, copy=None if row[3] % 2 or not borrows else False)
        for a, row in zip(arrays, rows, strict=True)
    ]


def check(rows: list[Any], codes: list[programs.Code], device: str) -> None:
    with pg.device(device):
        xs = put(rows, device)
        before = [host(x).copy() for x in xs]
        said: programs.Said = []
        eager = programs.run(codes, xs, said)

        def f(*xs: Any) -> Any:
            return programs.run(codes, list(xs))

        tangents = tuple([x.ones_like() if KIND[x.dt] in "fc" else None for x in xs])
        roads = {
            "stage": pg.stage(f, *xs)(*xs),
            "compile": pg.compile(f)(*xs),
            "vjp": pg.vjp(f, *xs)[0],
            "checkpoint": pg.checkpoint(f)(*xs),
            "backward": f(*[x.detach().requires_grad_() if KIND[x.dt] in "fc" else x for x in xs]),
        }
        if any(t is not None for t in tangents):
            roads["jvp"] = pg.jvp(f, tuple(xs), tangents)[0]
        exact = not any(name in REORDERED or name.startswith(FAMILIES_REORDERED) for name, *_ in said)
        lent = all(row[3] % 2 == 0 for row in rows)
        for road, found in roads.items():
            assert len(found) == len(eager), f"{road}: {len(found)} values, eager {len(eager)}"
            # contiguous, so summed in another order; in forward mode by the parts of what a kernel does at once; and
            # compiled, as passes leave layouts and groups
            other = road in ("jvp", "compile") or (not lent and road in ("vjp", "checkpoint", "backward"))
            for a, b in zip(found, eager, strict=True):
                (alike if other and not exact else same)(a, b, road)
        batched = pg.vmap(f)(*[pg.expand_dims(x, 0) for x in xs])
        assert len(batched) == len(eager), f"vmap: {len(batched)} values, eager {len(eager)}"
        for a, b in zip(batched, eager, strict=True):
            (same if exact else alike)(a[0], b, f"vmap on {device}")
        for name, given, results, call in said:
            step_by_step(name, given, results, call, device)
        for x, old in zip(xs, before, strict=True):
            np.testing.assert_array_equal(host(x), old, err_msg="an operand was written")


def step_by_step(name: str, given: list[Any], results: list[Any], call: Any, device: str) -> None:
    """One step of the program again, on the values that it had: as a batch of two, and on the reference."""
    rows = pg.vmap(lambda *xs: call(list(xs)))(*[pg.stack([x, x]) for x in given])
    for a, b in zip(rows if isinstance(rows, (list, tuple)) else [rows], results, strict=True):
        for row in a:
            close(row, b, given, f"vmap({name}) on {device}")
    if device != "numpy":
        with pg.device("numpy"):
            found = call([x.detach().to("numpy") for x in given])
        for a, b in zip(results, found if isinstance(found, (list, tuple)) else [found], strict=True):
            close(a, b, given, f"{name} on {device}")


def searched(examples: int) -> Any:
    """The search of hypothesis, the same in every run."""
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
    return settings(max_examples=examples, derandomize=True, deadline=None, database=None, suppress_health_check=quiet)


@pytest.mark.parametrize("device", DEVICES)
@searched(300)
@given(rows=INPUTS, codes=CODES)
def test_random_programs(device: str, rows: list[Any], codes: list[programs.Code]) -> None:
    check(rows, codes, device)


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@searched(10_000)
@given(rows=INPUTS, codes=CODES)
def test_ten_thousand_random_programs(device: str, rows: list[Any], codes: list[programs.Code]) -> None:
    check(rows, codes, device)


def test_every_function_is_drawn() -> None:
    """Those whose arguments are not known here, and those whose result's shape depends on values, are few."""
    public, drawn = set(programs.public()), {name for name, *_ in programs.STEPS}
    assert public - drawn == {"nonzero", "unique_all", "unique_counts", "unique_inverse", "unique_values"}
    assert len(drawn) > 150


def test_every_kernel_of_the_families_runs() -> None:
    """Each function, on operands that suit it, runs kernels; together they run those that the reference has."""
    heard: set[str] = set()
    pool = programs.samples()
    with pg.device("numpy"), pg.observe(lambda op, backend, how: heard.add(op)):
        for seed in range(6000):
            code = seed, seed * 7 + seed // 11, seed // 3, seed
            programs.run([code], pool[seed % 5 :])
    from_families = set()
    for family in ("elementwise", "reduction", "movement", "sorting", "fft", "windows"):
        module = getattr(__import__("plugrad.reference", fromlist=[family]), family)
        from_families |= set(module.KERNELS)
    missing = {name for name in from_families & set(pg.OPS) if name not in heard}
    assert len(missing) < 0.1 * len(from_families), sorted(missing)
