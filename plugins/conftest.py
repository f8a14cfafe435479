"""Every test that takes ``device`` runs on the reference backend, and on the CPU backend where that is installed. What
the tests of samples have in common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import BackendUnavailableError
from plugrad.testing import LayerSample, Operand, OpSample
from plugrad.testing.contract.subject import TOLERANCE

SHORT = {"float32": "f4", "float64": "f8"}


@pytest.fixture(params=["numpy", "cpu"])
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    try:
        pg.zeros((), device=request.param)
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    with pg.device(request.param):
        yield request.param


@pytest.fixture(autouse=True)
def _seeded() -> None:
    pg.manual_seed(0)


class Calls(pg.Observer):
    """The names of the ops that were called: a call whose operands do not fit is none."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def call(self, run: Callable[[], Any], op: Any, xs: Any, attrs: Any) -> Any:
        self.names.append(op.name)
        return run()


def arrays_of(operands: tuple[Any, ...], dtype: str) -> list[np.ndarray]:
    """Templates filled in, given arrays cast where they are floating."""
    made = []
    for i, given in enumerate(operands):
        if isinstance(given, Operand):
            made.append(given.array(np.dtype(dtype), seed=i))
        else:
            made.append(given.astype(dtype) if given.dtype.kind == "f" else given)
    return made


def wide(array: np.ndarray) -> np.ndarray:
    """What references compute with."""
    return array.astype(np.float64) if array.dtype.kind in "fV" else array


def assert_close(what: str, found: Any, wanted: Any, tolerance: Any) -> None:
    """The results are those of a reference, within units of the last place of the largest element, or of 1."""
    found = found if isinstance(found, tuple) else (found,)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    for got, expected in zip(found, wanted, strict=True):
        units = TOLERANCE[tolerance] if isinstance(tolerance, str) else tolerance.get(_short(got), tolerance.get(""))
        expected, got_dtype = np.asarray(expected), got.dtype
        assert got.shape == expected.shape, f"{what}: shape {got.shape}, the reference {expected.shape}"
        largest = np.abs(expected[np.isfinite(expected)]).max(initial=1.0)
        bound = units * float(pg.finfo(got_dtype).eps) * largest
        np.testing.assert_allclose(wide(got.detach().numpy()), expected, rtol=0, atol=bound, err_msg=what)


def _short(t: pg.Tensor) -> str:
    return SHORT.get(str(t.dtype), "")


def run_op(sample: OpSample, dtype: str, device: str) -> None:
    """One call: the reference's result, or the error before anything else is called."""
    arrays, op = arrays_of(sample.operands, dtype), pg.OPS[sample.op]
    tensors, what = [pg.asarray(a, device=device) for a in arrays], f"{sample} of {dtype} on {device}"
    if sample.raises is not None:
        with Calls() as calls, pytest.raises(sample.raises, match=rf"^{sample.op}: "):
            op(*tensors, **sample.attrs)
        assert calls.names == [], what
        return
    found = op(*tensors, **sample.attrs)
    if sample.reference is not None:
        assert_close(what, found, sample.reference(*map(wide, arrays), **sample.attrs), sample.tolerance)


def cast(layer: pg.Module, dtype: str) -> pg.Module:
    """A copy with arbitrary parameters and statistics of a floating dtype."""
    rng = np.random.default_rng(7)

    def arbitrary(t: pg.Tensor) -> pg.Tensor:
        return type(t)(pg.asarray(rng.uniform(0.5, 1.5, t.shape), dtype=dtype if t.dtype.kind == "f" else t.dtype))

    return pg.tree.map(arbitrary, layer)


def run_layer(sample: LayerSample, dtype: str) -> None:
    """One call of a layer in training and in evaluation: the shape, and the reference's result."""
    arrays, what = arrays_of(sample.inputs, dtype), f"{sample} of {dtype}"
    layer = sample.make() if sample.make else pg.create(sample.kind, sample.name, **sample.config)
    inputs = [pg.asarray(a) for a in arrays]
    if sample.raises is not None:
        with pytest.raises(sample.raises):
            cast(layer, dtype)(*inputs)
        return
    trained, evaluated = cast(layer, dtype)(*inputs), cast(layer.eval(), dtype)
    found = evaluated(*inputs)
    assert str(found.dtype) == dtype, what
    assert found.shape == trained.shape == (found.shape if sample.output is None else sample.output), what
    assert bool(pg.any(found != trained)) or not sample.random, what
    if sample.reference is not None:
        state = {k: wide(t.numpy()) for k, t in evaluated.state_dict().items()}
        assert_close(what, found, sample.reference(state, *map(wide, arrays)), sample.tolerance)


@pytest.fixture
def run_sample(device: str) -> Callable[[Any, str], None]:
    """Runs a sample of an op, a layer or a loss, with operands of a dtype."""

    def run(sample: OpSample | LayerSample, dtype: str) -> None:
        if isinstance(sample, OpSample):
            run_op(sample, dtype, device)
        else:
            run_layer(sample, dtype)

    return run
