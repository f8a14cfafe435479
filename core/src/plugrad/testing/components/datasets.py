"""Checks of datasets: the samples of one name.

What a dataset owes: ``len``, and items that are tuples of NumPy arrays or scalars, a component of an example each. An
integer from ``-len`` to ``len - 1`` gives one example, another IndexError; True and False are no positions. An array
of k integers, or a slice of k positions, gives each component stacked to ``(k, ...)``. What is read depends on nothing
that was read before.

Items belong to the reader: they are copies, or views that cannot be written, so that a transform in place never changes
the data that others read. (An array that the maker keeps is his, and may show what he writes to it.)
"""

from __future__ import annotations

import copy
import itertools
import operator
import pickle
import reprlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

import plugrad as pg

from ...dtypes import DTYPES, SHORT
from ..kit.check import Check, NotHere
from ..kit.declare import DatasetSample
from .asking import Rule, agree, checks_of, refused

MOST = 12
"""How many examples are looked at; the first, the last, and some between."""

THREADS = 4
Arrays = tuple[np.ndarray, ...]


def checks(samples: Sequence[DatasetSample], device: str, quick: bool = False) -> list[Check]:
    """The checks of one dataset, all samples having its name.

    >>> checks([DatasetSample("rows", length=3)], "numpy")[0].name
    'dataset.rows.length'
    """
    trials = [DatasetTrial(sample) for sample in samples]
    return checks_of("dataset", samples[0].name, device, quick, trials, RULES)


class DatasetTrial:
    """What a rule asks of one sample."""

    def __init__(self, sample: DatasetSample) -> None:
        self.sample = sample

    def __str__(self) -> str:
        config = ", ".join([f"{k}={reprlib.repr(v)}" for k, v in self.sample.config.items()])
        return f"dataset {self.sample.name}({config})"

    def made(self) -> Any:
        """A new instance; NotHere where its data are not."""
        if self.sample.available is not None:
            answer = self.sample.available()
            if answer is not True:
                raise NotHere(str(answer))
        make = self.sample.make or partial(pg.create, "dataset", self.sample.name)
        return make(**self.sample.config)

    def rows(self, data: Any) -> np.ndarray:
        """Some positions, in rising order."""
        n = len(data)
        return np.unique(np.linspace(0, n - 1, min(n, MOST)).astype(np.int64)) if n else np.zeros(0, np.int64)


def item(what: str, found: Any) -> Arrays:
    """An item as a tuple of arrays; AssertionError where it is none."""
    assert isinstance(found, tuple), f"{what}: expected a tuple of arrays, came a {type(found).__name__}"
    for i, part in enumerate(found):
        good = isinstance(part, (np.ndarray, np.generic))
        assert good, f"{what}: component {i} is a {type(part).__name__}, expected a NumPy array"
    return tuple([np.asarray(part) for part in found])


def same(what: str, got: Any, wanted: Arrays) -> None:
    """AssertionError unless an item has these components: shapes, dtypes, elements."""
    found = item(what, got)
    assert len(found) == len(wanted), f"{what}: expected {len(wanted)} components, came {len(found)}"
    for i, (a, b) in enumerate(zip(found, wanted, strict=True)):
        assert a.dtype == b.dtype, f"{what}, component {i}: expected {b.dtype}, came {a.dtype}"
        assert a.shape == b.shape, f"{what}, component {i}: expected shape {b.shape}, came {a.shape}"
        if a.dtype.kind in "biufcV":
            agree(f"{what}, component {i}", a, b, a.dtype)
        else:
            assert np.array_equal(a, b), f"{what}, component {i}: expected {b!r}, came {a!r}"


def example(data: Any, i: int) -> Arrays:
    """One example, copied."""
    return tuple([np.array(part) for part in item(f"item {i}", data[i])])


def stacked(data: Any, rows: Sequence[int]) -> Arrays:
    """Single examples, stacked. For no rows: none, of the shape of the first."""
    singles = [example(data, int(i)) for i in rows] or [example(data, 0)]
    return tuple([np.stack(parts)[: len(rows)] for parts in zip(*singles, strict=True)])


def length(trial: DatasetTrial) -> None:
    """``len`` is as declared, and every position up to it can be read."""
    data = trial.made()
    n = len(data)
    wanted = trial.sample.length
    assert wanted is None or n == wanted, f"expected {wanted} examples, len gave {n}"
    for i in trial.rows(data)[-1:]:
        item(f"the last item, {i}", data[int(i)])


def example_parts(trial: DatasetTrial) -> None:
    """Every component has the declared shape and dtype, in every example, and they do not change."""
    data = trial.made()
    wanted = [(tuple(shape), _dtype(name)) for shape, name in trial.sample.example]
    first: list[tuple[tuple[int, ...], np.dtype]] | None = None
    for i in trial.rows(data):
        found = [(a.shape, a.dtype) for a in item(f"item {i}", data[int(i)])]
        assert not wanted or found == wanted, f"item {i}: expected {_told(wanted)}, came {_told(found)}"
        first = found if first is None else first
        assert found == first, f"item {i}: {_told(found)}, the first item {_told(first)}"


def _dtype(name: str) -> np.dtype:
    return DTYPES[SHORT.index(name)] if name in SHORT else np.dtype(name)


def _told(parts: Any) -> str:
    return ", ".join([f"{dtype} {shape}" for shape, dtype in parts]) or "no components"


def indexing(trial: DatasetTrial) -> None:
    """Negative positions count from the end, NumPy's integers are integers, others raise IndexError, bools too."""
    data = trial.made()
    n = len(data)
    for i in trial.rows(data):
        wanted = example(data, int(i))
        same(f"item {i - n} and item {i}", data[int(i) - n], wanted)
        for kind in (np.int64, np.int32, np.uint16 if i < 2**16 else np.uint64):
            same(f"item {kind.__name__}({i}) and item {i}", data[kind(i)], wanted)
    for i in (n, n + 5, -n - 1):
        refused(f"item {i} of {n}", IndexError, partial(operator.getitem, data, i))
    for flag in (True, False, np.True_):
        refused(
            f"item {flag!r}", (IndexError, TypeError, pg.errors.PlugradError), partial(operator.getitem, data, flag)
        )


def index_arrays(trial: DatasetTrial) -> None:
    """An array of positions gives single examples stacked: in any order, repeated, negative, none. Others raise."""
    data = trial.made()
    n, rows = len(data), trial.rows(data)
    if not n:
        return
    cases = {
        "rising": rows,
        "falling": rows[::-1],
        "repeated": np.repeat(rows[:2], 2),
        "negative": rows[:3] - n,
        "of int32": rows.astype(np.int32),
        "of one": rows[-1:],
        "of none": rows[:0],
    }
    for what, index in cases.items():
        same(
            f"positions {what}, {reprlib.repr(index.tolist())}, and single examples stacked",
            data[index],
            stacked(data, index.tolist()),
        )
    for bad in (n, -n - 1):
        refused(
            f"positions [0, {bad}] of {n} examples", IndexError, partial(operator.getitem, data, np.array([0, bad]))
        )


def slices(trial: DatasetTrial) -> None:
    """A slice gives the positions that Python's slices mean, stacked."""
    data = trial.made()
    n = len(data)
    if not n:
        return
    last = min(n, 5)
    for cut in (
        slice(0, last),
        slice(-last, None),
        slice(0, last, 2),
        slice(last - 1, None, -1),
        slice(2, 2),
        slice(n, n + 3),
    ):
        same(f"{cut} and single examples stacked", data[cut], stacked(data, range(n)[cut]))


def determinism(trial: DatasetTrial) -> None:
    """Two instances are equal; neither the order of reading nor reading again changes anything; iteration goes in
    order, and ends.
    """
    one, two = trial.made(), trial.made()
    rows = trial.rows(one)
    assert len(one) == len(two), f"two instances have {len(one)} and {len(two)} examples"
    forward = {int(i): example(one, int(i)) for i in rows}
    for i in rows[::-1]:
        same(f"item {i} of another instance, read backwards", two[int(i)], forward[int(i)])
    for i in rows:
        same(f"item {i}, read again", one[int(i)], forward[int(i)])
    for i, found in enumerate(itertools.islice(iter(two), min(MOST, len(one)))):
        same(f"item {i} of an iteration", found, example(one, i))
    if len(one) <= 10 * MOST:
        n = sum(1 for _ in itertools.islice(iter(two), 11 * MOST))
        assert n == len(one), f"an iteration gave {n} items, len is {len(one)}"


def independent(trial: DatasetTrial) -> None:
    """Writing into an item does not change what is read next: items are copies, or cannot be written."""
    data = trial.made()
    rows = trial.rows(data)
    if not rows.size:
        return
    first = int(rows[0])
    wanted = example(data, first)
    reads: dict[str, Callable[[], Any]] = {
        f"item {first}": lambda: data[first],
        f"item {first - len(data)}": lambda: data[first - len(data)],
        "positions": lambda: data[rows[:2]],
        "a slice": lambda: data[first : first + 2],
        "all": lambda: data[:],
    }
    for what, read in reads.items():
        for part in read():
            if isinstance(part, np.ndarray) and part.flags.writeable and part.size:
                part[...] = np.array(1).astype(part.dtype) if not np.any(part) else np.zeros((), part.dtype)
        same(
            f"item {first} after writes into {what}; give copies, or views that cannot be written", data[first], wanted
        )


def pickling(trial: DatasetTrial) -> None:
    """Pickled and deeply copied datasets read the same: loaders send them to other processes."""
    data = trial.made()
    rows = trial.rows(data)
    for how, new in (("pickle", pickle.loads(pickle.dumps(data))), ("deepcopy", copy.deepcopy(data))):
        assert len(new) == len(data), f"{how}: {len(new)} examples, the original has {len(data)}"
        for i in rows:
            same(f"{how}: item {i} of the copy", new[int(i)], example(data, int(i)))


def threads(trial: DatasetTrial) -> None:
    """Several threads read what one reads."""
    data = trial.made()
    rows = trial.rows(data)
    wanted = {int(i): example(data, int(i)) for i in rows}
    orders = [np.roll(np.tile(rows, 4), k) for k in range(THREADS)]

    def read(order: np.ndarray) -> list[tuple[int, Any]]:
        return [(int(i), tuple([np.array(part) for part in data[int(i)]])) for i in order]

    with ThreadPoolExecutor(THREADS) as pool:
        for found in pool.map(read, orders):
            for i, parts in found:
                same(f"item {i} read by one of {THREADS} threads", parts, wanted[i])


RULES = (
    Rule("length", length),
    Rule("example", example_parts),
    Rule("indexing", indexing),
    Rule("index_arrays", index_arrays),
    Rule("slices", slices),
    Rule("determinism", determinism),
    Rule("independent", independent),
    Rule("pickling", pickling),
    Rule("threads", threads),
)
