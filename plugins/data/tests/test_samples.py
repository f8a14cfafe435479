"""Every dataset has a sample; where its data are, it is as long and has such examples as the sample says."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

import plugrad as pg
from plugrad.plugins import loader
from plugrad.testing import DatasetSample
from plugrad_data.samples import samples

SAMPLES = list(samples())
MNIST = [s for s in SAMPLES if s.name == "mnist"]


def described(sample: DatasetSample) -> str:
    return " ".join([sample.name, *sample.config.values()])


def check(sample: DatasetSample) -> None:
    data = pg.create("dataset", sample.name, **sample.config)
    assert sample.length is None or len(data) == sample.length
    for example in (data[0], data[len(data) - 1]):
        found = [(np.shape(part), str(np.asarray(part).dtype)) for part in example]
        assert found == list(sample.example)


def write(folder: Path, split: str, count: int) -> None:
    stem = {"test": "t10k", "train": "train"}[split]
    for name, shape in ((f"{stem}-images-idx3-ubyte.gz", (count, 28, 28)), (f"{stem}-labels-idx1-ubyte.gz", (count,))):
        head = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
        (folder / name).write_bytes(gzip.compress(head + np.ones(shape, np.uint8).tobytes()))


def test_every_dataset_has_a_sample():
    own = {
        e.name for e in loader.registry().select("component", "dataset").values() if e.provider.entry_point == "data"
    }
    assert own and {s.name for s in SAMPLES} == own


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.name != "mnist"], ids=described)
def test_what_needs_no_files(sample: DatasetSample):
    answer = sample.available() if sample.available else True
    if answer is not True:
        pytest.skip(str(answer))
    check(sample)


def test_digits_without_scikit_learn(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    digits = next(s for s in SAMPLES if s.name == "digits")
    assert digits.available is not None and "scikit-learn is not installed" in str(digits.available())


@pytest.mark.parametrize("sample", MNIST, ids=described)
def test_mnist_where_its_files_are(sample: DatasetSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert sample.available is not None
    monkeypatch.delenv("PLUGRAD_DATA", raising=False)
    assert "PLUGRAD_DATA is not set" in str(sample.available())
    monkeypatch.setenv("PLUGRAD_DATA", str(tmp_path))
    assert "no file" in str(sample.available())
    write(tmp_path, sample.config["split"], 3)
    assert sample.available() is True
    check(sample)
