"""The kit's checks of datasets: right ones pass all of them, and each check notices one that breaks its rule."""

import threading
import time

import numpy as np
import pytest

import plugrad as pg
from plugrad.testing import DatasetSample, NotHere
from plugrad.testing.kit.datasets import checks

EXAMPLE = (((2,), "f4"), ((), "i8"))


class Rows:
    """Rows of two arrays."""

    def __init__(self, n=7):
        self.x = np.arange(2 * n, dtype=np.float32).reshape(n, 2) + 1
        self.y = np.arange(n) % 3 + 1

    def __len__(self):
        return len(self.y)

    def __getitem__(self, index):
        if isinstance(index, (bool, np.bool_)):
            raise IndexError("Rows: a bool is no position")
        if isinstance(index, slice):
            index = np.arange(len(self))[index]
        return np.array(self.x[index]), np.array(self.y[index])


class ReadOnly(Rows):
    def __getitem__(self, index):
        super().__getitem__(index)
        found = self.x[index], self.y[index]
        for part in found:
            if isinstance(part, np.ndarray):
                part.flags.writeable = False
        return found


GOOD = [
    [DatasetSample("Rows", {}, 7, EXAMPLE), DatasetSample("Rows", {"n": 40}, 40), DatasetSample("Rows", {"n": 1})],
    [DatasetSample("Rows", {"n": 0}, 0)],
    [DatasetSample("ReadOnly", {}, 7, EXAMPLE, available=lambda: True)],
]


@pytest.fixture(autouse=True)
def found_by_name(monkeypatch):
    monkeypatch.setattr(pg, "create", lambda kind, name, **config: globals()[name](**config))


@pytest.mark.parametrize("samples", GOOD, ids=["rows", "empty", "read_only"])
def test_right_datasets_pass(samples):
    for check in checks(samples, "numpy"):
        check()


def test_names_kinds_and_subjects():
    found = {check.name: check for check in checks(GOOD[0], "numpy")}
    assert found["dataset.Rows.slices"].subject == "Rows" and found["dataset.Rows.slices"].kind == "dataset"
    assert [c.name for c in checks(GOOD[0], "numpy", quick=True)] == list(found)


def test_data_that_are_not_here():
    for check in checks([DatasetSample("Rows", {}, available=lambda: "no folder of data")], "numpy"):
        with pytest.raises(NotHere, match="no folder of data"):
            check()


# -- datasets with one fault each


class Long(Rows):
    def __len__(self):
        return 9


class Bare(Rows):
    def __getitem__(self, index):
        return list(super().__getitem__(index))


class Scalars(Rows):
    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x, int(y) if y.ndim == 0 else y


class Wide(Rows):
    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x.astype(np.float64), y


class Ragged(Rows):
    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return (x[: 1 + index % 2], y) if np.ndim(index) == 0 else (x, y)


class FromTheFront(Rows):
    def __getitem__(self, index):
        return super().__getitem__(abs(index) if isinstance(index, int) else index)


class Cyclic(Rows):
    def __getitem__(self, index):
        return super().__getitem__(index % len(self) if isinstance(index, (int, np.integer)) else index)


class Bools(Rows):
    def __getitem__(self, index):
        return super().__getitem__(int(index) if isinstance(index, bool) else index)


class PythonIntegers(Rows):
    def __getitem__(self, index):
        if isinstance(index, np.integer):
            raise TypeError("Python's integers only")
        return super().__getitem__(index)


class Sorted(Rows):
    def __getitem__(self, index):
        return super().__getitem__(np.sort(index) if isinstance(index, np.ndarray) else index)


class NoneIsAll(Rows):
    def __getitem__(self, index):
        whole = isinstance(index, np.ndarray) and not index.size
        return super().__getitem__(np.arange(len(self)) if whole else index)


class Clipped(Rows):
    def __getitem__(self, index):
        return super().__getitem__(np.clip(index, -7, 6) if isinstance(index, np.ndarray) else index)


class Unsliced(Rows):
    def __getitem__(self, index):
        if isinstance(index, slice):
            raise TypeError("no slices")
        return super().__getitem__(index)


class Stepless(Rows):
    def __getitem__(self, index):
        return super().__getitem__(slice(index.start, index.stop) if isinstance(index, slice) else index)


class Drifting(Rows):
    def __getitem__(self, index):
        found = super().__getitem__(index)
        self.x = self.x + 1
        return found


class Unseeded(Rows):
    numbers = np.random.default_rng(0)

    def __init__(self, n=7):
        super().__init__(n)
        self.x = self.numbers.random((n, 2)).astype(np.float32)


class Endless(Rows):
    def __iter__(self):
        while True:
            yield from (self[i] for i in range(len(self)))


class Views(Rows):
    def __getitem__(self, index):
        super().__getitem__(index)
        return self.x[index], self.y[index]


class SlicedViews(Rows):
    def __getitem__(self, index):
        found = super().__getitem__(index)
        return (self.x[index], self.y[index]) if isinstance(index, slice) else found


class Unpicklable(Rows):
    def __init__(self, n=7):
        super().__init__(n)
        self.lock = threading.Lock()


class Amnesic(Rows):
    def __getstate__(self):
        return {"x": self.x * 0, "y": self.y}


class SharedCursor(Rows):
    """Puts the position down between finding and reading."""

    at = 0

    def __getitem__(self, index):
        if not isinstance(index, int):
            return super().__getitem__(index)
        super().__getitem__(index)
        self.at = index
        time.sleep(1e-4)
        return super().__getitem__(self.at)


def broken(cls, **more):
    return DatasetSample(cls.__name__, {}, **more)


BROKEN = [
    ("length", broken(Rows, length=8), "expected 8"),
    ("length", broken(Long), "IndexError"),
    ("length", broken(Bare), "came a list"),
    ("example", broken(Wide, example=EXAMPLE), "came float64"),
    ("example", broken(Scalars, example=EXAMPLE), "component 1 is a int"),
    ("example", broken(Ragged), "the first item"),
    ("indexing", broken(FromTheFront), "IndexError: index 7"),
    ("indexing", broken(Cyclic), "expected IndexError"),
    ("indexing", broken(Bools), "item True"),
    ("indexing", broken(PythonIntegers), "TypeError"),
    ("index_arrays", broken(Sorted), "falling"),
    ("index_arrays", broken(NoneIsAll), "of none"),
    ("index_arrays", broken(Clipped), "expected IndexError"),
    ("slices", broken(Unsliced), "TypeError"),
    ("slices", broken(Stepless), "stacked"),
    ("determinism", broken(Drifting), "read"),
    ("determinism", broken(Unseeded), "another instance"),
    ("determinism", broken(Endless), "iteration"),
    ("independent", broken(Views), "after writes into item 0"),
    ("independent", broken(SlicedViews), "after writes into a slice"),
    ("pickling", broken(Unpicklable), "raised"),
    ("pickling", broken(Amnesic), "of the copy"),
    ("threads", broken(SharedCursor), "one of 4 threads"),
]


@pytest.mark.parametrize(("rule", "sample", "text"), BROKEN, ids=[f"{r}-{s.name}" for r, s, _ in BROKEN])
def test_a_broken_dataset_is_noticed(rule, sample, text):
    (check,) = [c for c in checks([sample], "numpy") if c.name == f"dataset.{sample.name}.{rule}"]
    with pytest.raises(AssertionError, match=text) as caught:
        check()
    assert sample.name in str(caught.value)


def test_every_rule_has_a_broken_dataset():
    assert {c.name.rpartition(".")[2] for c in checks(GOOD[0], "numpy")} == {rule for rule, _, _ in BROKEN}
