"""What a dataset is, and the three that need nothing but arrays. Knows NumPy only: no tensors, no files, no devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from plugrad.errors import ShapeError

Arrays: TypeAlias = tuple[np.ndarray, ...]
"""One array for each component of an example (image, label, ...)."""

Index: TypeAlias = Any
"""What NumPy accepts along the first axis: an integer, a slice, an integer or boolean array."""


@runtime_checkable
class Dataset(Protocol):
    """Anything with a length whose items are tuples of NumPy arrays.

    ``dataset[i]`` with an integer gives one example; with an array of k indices it gives each component stacked to
    ``(k, ...)``. The loader asks with index arrays only.
    """

    def __len__(self) -> int:
        """The number of examples."""
        ...

    def __getitem__(self, index: Index) -> Arrays:
        """One example, or a batch of them."""
        ...


class ArrayDataset:
    """Examples held in memory: example i is the i-th row of every array.

    arrays     array-likes that agree in their first dimension; they are not copied
    transform  ``transform(*arrays) -> tuple`` of arrays, applied whenever examples are taken. It always sees a batch:
               a single example is given a leading axis of 1, which is taken off again. For a random transform see
               ``DataLoader``.

    What is read belongs to the reader: copies, or views that cannot be written.

    Raises ``ShapeError`` if there is no array, an array has no axis, or the lengths differ.

    >>> data = ArrayDataset(np.arange(6.0).reshape(3, 2), np.array([7, 8, 9]))
    >>> len(data), data[1]
    (3, (array([2., 3.]), np.int64(8)))
    >>> [a.shape for a in data[np.array([0, 2])]]
    [(2, 2), (2,)]
    """

    def __init__(self, *arrays: Any, transform: Callable[..., Any] | None = None) -> None:
        self.arrays: Arrays = tuple(np.asarray(a) for a in arrays)
        self.transform = transform
        shapes = [a.shape for a in self.arrays]
        if not shapes:
            raise ShapeError("ArrayDataset: no arrays; pass at least one")
        if any(len(shape) == 0 for shape in shapes):
            raise ShapeError(f"ArrayDataset: shapes {shapes}: every array needs a first axis that counts examples")
        if len({shape[0] for shape in shapes}) > 1:
            raise ShapeError(
                f"ArrayDataset: shapes {shapes} differ in their first dimension; pass arrays with equally many rows"
            )

    def __len__(self) -> int:
        return int(self.arrays[0].shape[0])

    def __getitem__(self, index: Index) -> Arrays:
        refuse_bool("ArrayDataset", index)
        one = isinstance(index, int | np.integer)
        if one and not -len(self) <= index < len(self):
            raise IndexError(
                f"ArrayDataset: index {index} is out of range for {len(self)} examples; use 0 to {len(self) - 1}"
            )
        if self.transform is None:
            return tuple(_rows(a, index) for a in self.arrays)
        rows = np.asarray([index]) if one else index
        result = as_arrays(self.transform(*(_rows(a, rows) for a in self.arrays)))
        return tuple(a[0] for a in result) if one else result


class Subset:
    """Some examples of another dataset, in the order of ``indices``.

    Raises ``ShapeError`` if ``indices`` is not one-dimensional, ``IndexError`` if one of them is out of range.

    >>> part = Subset(ArrayDataset(np.array([10, 11, 12, 13])), [3, 0])
    >>> len(part), part[np.array([0, 1])]
    (2, (array([13, 10]),))
    """

    def __init__(self, dataset: Dataset, indices: Any) -> None:
        found = np.asarray(indices)
        if found.ndim != 1:
            raise ShapeError(f"Subset: indices have shape {found.shape}; pass a one-dimensional list of integers")
        if found.size and found.dtype.kind not in "iu":
            raise IndexError(
                f"Subset: indices have dtype {found.dtype}; pass integers (np.flatnonzero turns a mask into them)"
            )
        self.dataset = dataset
        self.indices = found.astype(np.int64)
        bad = self.indices[(self.indices < -len(dataset)) | (self.indices >= len(dataset))]
        if bad.size:
            raise IndexError(
                f"Subset: index {bad[0]} is out of range for {len(dataset)} examples; use 0 to {len(dataset) - 1}"
            )

    def __len__(self) -> int:
        return int(self.indices.size)

    def __getitem__(self, index: Index) -> Arrays:
        refuse_bool("Subset", index)
        return self.dataset[self.indices[index]]


def refuse_bool(name: str, index: Index) -> None:
    """IndexError for a single bool, which NumPy would take for a new axis."""
    if isinstance(index, bool | np.bool_):
        raise IndexError(f"{name}: index {index!r} is a bool; use an integer, or a mask of one bool for each example")


def _rows(array: np.ndarray, index: Index) -> Any:
    """Some rows; where they share memory with the array they cannot be written."""
    found = array[index]
    if isinstance(found, np.ndarray) and np.may_share_memory(found, array):
        found.flags.writeable = False
    return found


def as_arrays(item: Any) -> Arrays:
    """An item of a dataset or the result of a transform as a tuple; a bare array is a tuple of one."""
    return tuple(np.asarray(a) for a in item) if isinstance(item, tuple | list) else (np.asarray(item),)


def split(dataset: Dataset, fractions: Sequence[float], seed: int, stratify: Any = None) -> tuple[Subset, ...]:
    """Cut a dataset at random into disjoint subsets, one for each fraction; each keeps the order of the dataset.

    Subset k gets ``fractions[k] * len(dataset)`` examples, rounded up or down; fractions that sum to less than 1
    leave the rest out. With ``stratify``, an array of one label for each example, each subset gets its share of every
    label, rounded up or down so that the totals stay close to theirs. The cut depends on ``seed``, the length and the
    labels only.

    Raises ``ValueError`` for fractions that are not positive or sum to more than 1, or a seed out of range, and
    ``ShapeError`` for labels that do not fit the dataset.

    >>> data = ArrayDataset(np.arange(10))
    >>> train, test = split(data, (0.8, 0.2), seed=0, stratify=np.arange(10) % 2)
    >>> len(train), len(test), sorted(int(i) % 2 for i in test.indices)
    (8, 2, [0, 1])
    """
    shares = np.asarray(list(fractions), np.float64)
    if shares.size == 0 or not np.all(shares > 0) or shares.sum() > 1 + 1e-9:
        raise ValueError(f"split: fractions {tuple(fractions)} must be positive and sum to at most 1")
    labels = np.zeros(len(dataset), np.int64) if stratify is None else np.asarray(stratify)
    if labels.shape != (len(dataset),):
        raise ShapeError(
            f"split: stratify has shape {labels.shape}; pass one label for each of the {len(dataset)} examples"
        )
    shares = np.append(shares, max(0.0, 1.0 - shares.sum()))  # the last share is left out
    part_of = _assign(labels, shares, random_words(seed, 0, 0, len(dataset)))
    return tuple(Subset(dataset, np.flatnonzero(part_of == k)) for k in range(shares.size - 1))


def _assign(labels: np.ndarray, shares: np.ndarray, words: np.ndarray) -> np.ndarray:
    """The part of each example: per label whole shares first, then the odd ones to the parts that are furthest
    behind in total."""
    part_of = np.empty(labels.size, np.int64)
    behind = np.zeros(shares.size)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        members = members[np.argsort(words[members], kind="stable")]
        exact = shares * members.size
        counts = np.floor(exact + 1e-9).astype(np.int64)
        behind += exact - counts
        spare = np.flatnonzero(exact - counts > 1e-9)  # a whole share is met exactly
        spare = spare[np.argsort(-behind[spare], kind="stable")][: members.size - counts.sum()]
        counts[spare] += 1
        behind[spare] -= 1
        part_of[members] = np.repeat(np.arange(shares.size), counts)
    return part_of


def random_words(seed: int, epoch: int, stream: int, count: int) -> np.ndarray:
    """``count`` raw 64-bit words of Philox4x64-10 with key (seed, epoch), from the start of the given stream.

    Raw words, unlike ``Generator.permutation``, are the same in every version of NumPy.
    """
    return np.asarray(bit_generator(seed, epoch, stream).random_raw(count), np.uint64)


def bit_generator(seed: int, epoch: int, stream: int) -> np.random.Philox:
    """NumPy's Philox with key (seed, epoch); ``stream`` is the highest counter word, so streams never overlap."""
    for name, value in (("seed", seed), ("epoch", epoch)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < 2**64:
            raise ValueError(f"{name} {value!r} must be an integer in [0, 2**64)")
    key = np.array([seed, epoch], np.uint64)
    return np.random.Philox(key=key, counter=np.array([0, 0, 0, stream], np.uint64))
