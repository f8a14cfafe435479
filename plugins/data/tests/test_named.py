"""Digits and MNIST: the real data where they are, and clear errors where they are not."""

from __future__ import annotations

import gzip
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from plugrad_data import DataFileError, MissingDataError, MissingExtraError, digits, mnist


def write_idx(path: Path, array: np.ndarray) -> None:
    head = (
        bytes([0, 0, {"uint8": 8, "int32": 12}[array.dtype.name], array.ndim]) + np.array(array.shape, ">u4").tobytes()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    body = head + array.astype(array.dtype.newbyteorder(">")).tobytes()
    path.write_bytes(gzip.compress(body) if path.suffix == ".gz" else body)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    write_idx(tmp_path / "mnist/t10k-images-idx3-ubyte.gz", rng.integers(0, 256, (5, 4, 3), dtype=np.uint8))
    write_idx(tmp_path / "mnist/t10k-labels-idx1-ubyte.gz", np.arange(5, dtype=np.uint8))
    return tmp_path


def test_digits_are_the_real_ones():
    load_digits = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed").load_digits
    data = digits()
    images, labels = data.arrays
    assert images.shape == (1797, 1, 8, 8) and images.dtype == np.float32 and labels.dtype == np.int64
    assert images.min() == 0.0 and images.max() == 1.0
    np.testing.assert_array_equal(images.reshape(1797, 64) * 16, load_digits().data)
    np.testing.assert_array_equal(labels, load_digits().target)


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtraError, match=r"^digits: scikit-learn .*'plugrad-data\[digits\]'"):
        digits()


@pytest.mark.parametrize("where", ["root", "inside", "variable", "variable inside"])
def test_mnist_is_found(folder, monkeypatch, where):
    place = folder / "mnist" if "inside" in where else folder
    monkeypatch.delenv("PLUGRAD_DATA", raising=False)
    if "variable" in where:
        monkeypatch.setenv("PLUGRAD_DATA", str(place))
    data = mnist(None if "variable" in where else place)
    images, labels = data.arrays
    assert images.shape == (5, 1, 4, 3) and images.dtype == np.float32
    np.testing.assert_array_equal(
        np.round(images[:, 0] * 255), np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    )
    assert labels.tolist() == [0, 1, 2, 3, 4] and labels.dtype == np.int64


def test_mnist_unpacked_and_training_part(tmp_path):
    write_idx(tmp_path / "train-images-idx3-ubyte", np.full((2, 3, 3), 255, np.uint8))
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.array([7, 8], np.uint8))
    images, labels = mnist(str(tmp_path), split="train")[np.array([0, 1])]
    assert labels.tolist() == [7, 8] and np.all(images == 1.0)


def test_mnist_absent(tmp_path, monkeypatch):
    monkeypatch.delenv("PLUGRAD_DATA", raising=False)
    with pytest.raises(MissingDataError, match=r"t10k-images-idx3-ubyte.gz; pass root=FOLDER, or set PLUGRAD_DATA"):
        mnist()
    with pytest.raises(MissingDataError, match=r"no file t10k-images-idx3-ubyte.gz; looked for .* point root at"):
        mnist(tmp_path)
    monkeypatch.setenv("PLUGRAD_DATA", str(tmp_path))
    with pytest.raises(MissingDataError, match=r"no file train-images.* point PLUGRAD_DATA at") as caught:
        mnist(split="train")
    assert str(tmp_path / "mnist" / "train-images-idx3-ubyte.gz") in str(caught.value)


def test_mnist_labels_absent(folder):
    (folder / "mnist/t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(MissingDataError, match=r"t10k-labels-idx1-ubyte.gz"):
        mnist(folder)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("images-idx3", np.zeros((5, 12), np.uint8), r"uint8 of shape \(5, 12\), expected uint8 \(n, rows, columns\)"),
        ("images-idx3", np.zeros((5, 4, 3), np.int32), "int32 of shape"),
        ("labels-idx1", np.zeros((5, 1), np.uint8), r"shape \(5, 1\), expected uint8 \(n,\)"),
        ("labels-idx1", np.zeros(5, np.int32), "int32 of shape"),
        ("labels-idx1", np.zeros(4, np.uint8), "5 images in .* but 4 labels in"),
    ],
)
def test_mnist_files_that_do_not_fit(folder, name, array, message):
    write_idx(folder / f"mnist/t10k-{name}-ubyte.gz", array)
    with pytest.raises(DataFileError, match=f"^mnist: .*{message}"):
        mnist(folder)


def test_unknown_split(folder):
    with pytest.raises(ValueError, match="split 'validation' is unknown; use 'train' or 'test'"):
        mnist(folder, split="validation")


def test_the_real_mnist():
    if not os.environ.get("PLUGRAD_DATA"):
        pytest.skip("PLUGRAD_DATA is not set: it names the folder that has mnist/t10k-images-idx3-ubyte.gz")
    try:
        data = mnist(split="test")
    except MissingDataError as error:
        pytest.skip(str(error))
    images, labels = data.arrays
    assert images.shape == (10000, 1, 28, 28) and images.max() == 1.0
    assert labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
