"""Datasets with one fault each, and the right ones that they derive from."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..kit.declare import DatasetSample
from .fault import Fault
from .seeded import NAME, Class, seeded

Item = tuple[Any, ...]
EXAMPLE = (((2,), "f4"), ((), "i8"))
DATASETS: list[Fault] = []
"""Faults of datasets."""


class Rows:
    """Rows of two arrays."""

    def __init__(self, n: int = 7) -> None:
        self.x = np.arange(2 * n, dtype=np.float32).reshape(n, 2) + 1
        self.y = np.arange(n) % 3 + 1

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, (bool, np.bool_)):
            raise IndexError("Rows: a bool is no position")
        if isinstance(index, slice):
            index = np.arange(len(self))[index]
        return np.array(self.x[index]), np.array(self.y[index])


class ReadOnly(Rows):
    """Gives views that cannot be written."""

    def __getitem__(self, index: Any) -> Item:
        super().__getitem__(index)
        found = self.x[index], self.y[index]
        for part in found:
            if isinstance(part, np.ndarray):
                part.flags.writeable = False
        return found


HONEST = {
    "rows": [
        DatasetSample("rows", {}, 7, EXAMPLE, make=Rows),
        DatasetSample("rows", {"n": 40}, 40, make=Rows),
        DatasetSample("rows", {"n": 1}, make=Rows),
    ],
    "empty": [DatasetSample("empty", {"n": 0}, 0, make=Rows)],
    "read_only": [DatasetSample("read_only", {}, 7, EXAMPLE, available=lambda: True, make=ReadOnly)],
}
"""Right datasets, which pass every check: samples by name."""


def _sampled(cls: type) -> DatasetSample:
    return DatasetSample(NAME, {}, 7, EXAMPLE, make=cls)


def _fault(rules: str, *says: str) -> Callable[[Class], Class]:
    return seeded(DATASETS, _sampled, rules, *says)


def _whole(index: Any) -> bool:
    return isinstance(index, (int, np.integer))


# -- length, and what an example is


@_fault("length", "expected 7")
class LengthCountsElements(Rows):
    """Its length is that of an array with two elements an example, so that half of the positions are empty."""

    def __len__(self) -> int:
        return int(self.x.size)


@_fault("length indexing", "expected 7")
class LastExampleIsForgotten(Rows):
    """Its length is one too short, so that the last example is never read."""

    def __len__(self) -> int:
        return len(self.y) - 1


@_fault("length", "came a list")
class ExampleIsAList(Rows):
    """Its items are lists, which a loader takes for batches."""

    def __getitem__(self, index: Any) -> Any:
        return list(super().__getitem__(index))


@_fault("example", "component 1 is a int")
class LabelsArePythonIntegers(Rows):
    """The label of a single example is a Python integer, which has no dtype."""

    def __getitem__(self, index: Any) -> Item:
        x, y = super().__getitem__(index)
        return x, int(y) if y.ndim == 0 else y


@_fault("example", "came float64")
class ExamplesAreDoubles(Rows):
    """Normalising an example has made it float64."""

    def __getitem__(self, index: Any) -> Item:
        x, y = super().__getitem__(index)
        return x / np.float64(255), y


@_fault("example", "expected float32 (2,)")
class ExamplesDifferInShape(Rows):
    """Examples at odd positions are longer than those at even ones, so that they cannot be stacked."""

    def __getitem__(self, index: Any) -> Item:
        x, y = super().__getitem__(index)
        return (x[: 1 + index % 2], y) if np.ndim(index) == 0 else (x, y)


# -- positions


@_fault("indexing", "IndexError: index 7")
class NegativeFromTheFront(Rows):
    """A negative position counts from the front."""

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(abs(index) if isinstance(index, int) else index)


@_fault("indexing determinism", "expected IndexError")
class IndexPastTheEnd(Rows):
    """A position past the end begins again at the front; a loop over it never ends."""

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(index % len(self) if _whole(index) else index)


@_fault("indexing", "item True")
class BoolIsAPosition(Rows):
    """True is taken for position 1."""

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(int(index) if isinstance(index, bool) else index)


@_fault("indexing", "TypeError")
class OnlyPythonIntegers(Rows):
    """NumPy's integers, which samplers give, are refused."""

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, np.integer):
            raise TypeError("Python's integers only")
        return super().__getitem__(index)


@_fault("index_arrays", "falling")
class PositionsAreSorted(Rows):
    """An array of positions is read in rising order, whatever order it has."""

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(np.sort(index) if isinstance(index, np.ndarray) else index)


@_fault("index_arrays", "of none")
class NoPositionsAreAll(Rows):
    """An array of no positions gives every example."""

    def __getitem__(self, index: Any) -> Any:
        none = isinstance(index, np.ndarray) and not index.size
        return super().__getitem__(np.arange(len(self)) if none else index)


@_fault("index_arrays", "repeated")
class RepeatedPositionsAreMerged(Rows):
    """A position that an array has twice is read once."""

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, np.ndarray) and index.size and np.all(np.diff(index) >= 0):
            return super().__getitem__(np.unique(index))
        return super().__getitem__(index)


@_fault("index_arrays", "expected IndexError")
class PositionsAreClipped(Rows):
    """Positions past the end of an array of them are read as the last one."""

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(np.clip(index, -7, 6) if isinstance(index, np.ndarray) else index)


@_fault("slices", "TypeError")
class NoSlices(Rows):
    """Slices are refused."""

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            raise TypeError("no slices")
        return super().__getitem__(index)


@_fault("slices", "stacked")
class SlicesForgetTheirStep(Rows):
    """The step of a slice is ignored."""

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(slice(index.start, index.stop) if isinstance(index, slice) else index)


# -- what is read depends on nothing


@_fault("determinism", "read")
class ReadingChangesIt(Rows):
    """A transform in place reaches the data that are kept, so that every epoch transforms them again."""

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        self.x = self.x + 1
        return found


@_fault("determinism", "another instance")
class AnotherShuffleInEveryInstance(Rows):
    """Every instance draws an order of its own, so that two processes disagree on what position 3 is."""

    numbers = np.random.default_rng(0)

    def __init__(self, n: int = 7) -> None:
        super().__init__(n)
        self.x = self.x[self.numbers.permutation(n)]


@_fault("determinism", "iteration")
class IterationNeverEnds(Rows):
    """An iteration begins again after the last example."""

    def __iter__(self) -> Iterator[Any]:
        while True:
            yield from (self[i] for i in range(len(self)))


@_fault("independent", "after writes into item 0")
class ItemsAreViews(Rows):
    """Single items are views that can be written of the data that it keeps."""

    def __getitem__(self, index: Any) -> Any:
        super().__getitem__(index)
        return self.x[index], self.y[index]


@_fault("independent", "after writes into a slice")
class SlicesAreViews(Rows):
    """Slices, and they alone, are views that can be written of the data that it keeps."""

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return (self.x[index], self.y[index]) if isinstance(index, slice) else found


@_fault("independent", "after writes into item 0")
class CacheGivesItselfAway(Rows):
    """Items that were read are kept, and the kept arrays are handed out."""

    def __init__(self, n: int = 7) -> None:
        super().__init__(n)
        self.cache: dict[int, Any] = {}

    def __getitem__(self, index: Any) -> Any:
        if type(index) is not int:
            return super().__getitem__(index)
        if index not in self.cache:
            self.cache[index] = super().__getitem__(index)
        return self.cache[index]


# -- other processes and threads


@_fault("pickling", "raised")
class HoldsALock(Rows):
    """A lock among its attributes keeps it from other processes."""

    def __init__(self, n: int = 7) -> None:
        super().__init__(n)
        self.lock = threading.Lock()


@_fault("pickling", "of the copy")
class PickledWithoutItsData(Rows):
    """What is pickled has the size of the data, and zeros."""

    def __getstate__(self) -> dict[str, Any]:
        return {"x": self.x * 0, "y": self.y}


@_fault("threads", "one of 4 threads")
class ThreadsShareACursor(Rows):
    """It puts the position down between finding and reading an example, where another thread changes it."""

    at = 0

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, int):
            return super().__getitem__(index)
        super().__getitem__(index)
        self.at = index
        time.sleep(1e-4)
        return super().__getitem__(self.at)
