"""Tensors are pickled, copied, hashed by joblib, sent to other processes, and kept in safetensors files."""

from __future__ import annotations

import copy
import multiprocessing
import operator
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy

import plugrad as pg
from plugrad.interop.safetensors import load, load_file, save, save_file

DTYPES = ["bool", "int8", "uint64", "float16", "bfloat16", "float32", "float64", "complex64"]
WAYS: dict[str, Any] = {
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "cloudpickle": lambda x: pickle.loads(cloudpickle.dumps(x)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def sample(dtype: Any) -> np.ndarray:
    return np.array([[0, 1, 2], [3, 4, 5]]).astype(dtype)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", DTYPES)
def test_round_trips(name: str, way: str) -> None:
    x = pg.asarray(sample(pg.as_dtype(name)))[:, ::-1]
    y = WAYS[way](x)
    assert (type(y), y.dtype, y.device) == (pg.Tensor, x.dtype, x.device)
    np.testing.assert_array_equal(y.numpy(), x.numpy())
    y[0] = pg.zeros(3, dtype=x.dtype)
    assert x.numpy()[0, 0] == sample(x.dtype)[0, 2], "the copy is another tensor"


def test_joblib_hashes_contents() -> None:
    x = pg.asarray([1.0, 2.0])
    assert joblib.hash(x) == joblib.hash(pg.asarray([1.0, 2.0])) != joblib.hash(pg.asarray([1.0, 3.0]))


def test_joblib_memory(tmp_path: Path) -> None:
    calls: list[int] = []

    def doubled(x: pg.Tensor) -> pg.Tensor:
        calls.append(1)
        return x * 2

    cached = joblib.Memory(tmp_path, verbose=0).cache(doubled)
    for _ in range(2):
        assert cached(pg.asarray([1.0, 2.0])).tolist() == [2.0, 4.0]
    assert len(calls) == 1


@pytest.mark.parametrize("function", [operator.mul, pg.multiply])
def test_other_processes(function: Any) -> None:
    """A function of an installed module: the new process may not find this file. The executor, unlike a Pool, raises
    when its process is lost.
    """
    x = pg.asarray([2.0, 3.0])
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        found = executor.submit(function, x, x).result(timeout=60)
    assert (found.tolist(), found.dtype, found.device) == ([4.0, 9.0], x.dtype, x.device)


def test_joblib_in_other_processes() -> None:
    xs = [pg.asarray([float(i), 1.0]) for i in range(4)]
    found = joblib.Parallel(2, timeout=60)(joblib.delayed(operator.neg)(x) for x in xs)
    assert [x.tolist() for x in found] == [(-x).tolist() for x in xs]


FLOAT8 = ["float8_e4m3fn", "float8_e5m2"]


@pytest.mark.parametrize("name", [*DTYPES, *FLOAT8])
def test_safetensors(tmp_path: Path, name: str) -> None:
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    x = pg.asarray(sample(dtype))
    save_file({"x": x, "t": x.T}, tmp_path / "file.safetensors", {"step": "3"})
    found = load_file(tmp_path / "file.safetensors")
    assert found.keys() == {"x", "t"} and found["x"].dtype == dtype
    np.testing.assert_array_equal(found["x"].numpy().view(np.uint8), x.numpy().view(np.uint8))
    np.testing.assert_array_equal(found["t"].numpy().astype(np.complex128), x.numpy().T.astype(np.complex128))
    assert load(save({"x": x}))["x"].dtype == dtype


@pytest.mark.parametrize("name", [name for name in DTYPES if name not in ("bfloat16",)])
def test_safetensors_of_others(tmp_path: Path, name: str) -> None:
    path, x = tmp_path / "file.safetensors", sample(name)
    safetensors.numpy.save_file({"x": x}, path)
    assert load_file(path)["x"].dtype == x.dtype
    save_file({"x": pg.asarray(x)}, path)
    np.testing.assert_array_equal(safetensors.numpy.load_file(path)["x"], x)


def test_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    path.write_bytes(b"not a file of this kind")
    with pytest.raises(ValueError, match=r"load_file: .*file\.safetensors"):
        load_file(path)


def test_what_it_cannot_hold() -> None:
    with pytest.raises(pg.errors.DTypeError, match="save: 'x' is complex128"):
        save({"x": pg.zeros(2, dtype="complex128")})


def test_recorded_tensors_are_saved_by_value() -> None:
    w = pg.asarray([1.0]).requires_grad_()
    assert load(save({"w": w}))["w"].tolist() == [1.0]
    assert not load(save({"w": w}))["w"].requires_grad
