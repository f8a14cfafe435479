"""Batches of a dataset as tensors on a device, in an order that depends on (seed, epoch) only, and that can be
resumed anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

import plugrad
from plugrad.errors import ShapeError, StateError

from .dataset import Arrays, Dataset, as_arrays, bit_generator, random_words
from .transforms import BatchTransform


class DataLoader:
    """Walk a dataset in batches; each walk is one epoch and gives tuples of tensors.

    dataset     see ``plugrad_data.Dataset``; it is asked with index arrays
    batch_size  examples in a batch; the last batch of an epoch may be smaller
    shuffle     a new order each epoch, by Philox keyed with (seed, epoch): the same on every backend and machine
    seed        an integer in [0, 2**64)
    drop_last   leave out a last batch that is not full
    device      where the tensors go; None: the default device at the time
    transform   ``transform(rng, *arrays) -> tuple``, see ``plugrad_data.transforms``; ``rng`` depends on (seed,
                epoch, batch) only

    ``epoch`` counts walks begun; a walk that is broken off is over, and the next one is a new epoch. ``state_dict()``
    may be taken between any two batches, also inside the loop; after ``load_state_dict`` the next walk goes on at
    exactly that place.

    Raises ``ValueError`` for a batch size below 1 or a seed out of range, ``TypeError`` for a tuple or list of arrays.

    >>> import plugrad_data as pd
    >>> loader = pd.DataLoader(pd.ArrayDataset(np.arange(5)), batch_size=2, device="numpy")
    >>> len(loader), [x.tolist() for (x,) in loader]
    (3, [[0, 1], [2, 3], [4]])
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        device: str | None = None,
        transform: BatchTransform | None = None,
    ) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise ValueError(f"DataLoader: batch_size {batch_size!r} must be a positive integer")
        if isinstance(dataset, tuple | list):
            arrays = ", ".join("xyzw"[: len(dataset)]) if 0 < len(dataset) <= 4 else "*arrays"
            raise TypeError(f"DataLoader: dataset is a {type(dataset).__name__}; use ArrayDataset({arrays})")
        bit_generator(seed, 0, 0)  # raises for a bad seed
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.shuffle = bool(shuffle)
        self.seed = int(seed)
        self.drop_last = bool(drop_last)
        self.device = device
        self.transform = transform
        self._epoch = 0
        self._batch = 0  # batches of this epoch already handed out
        self._resumed = False  # the next walk goes on at self._batch
        self._walk = 0  # number of the youngest walk, the one that the state follows

    def __len__(self) -> int:
        """Batches in an epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    @property
    def epoch(self) -> int:
        """The epoch being walked, or about to be."""
        return self._epoch

    def order(self, epoch: int) -> np.ndarray:
        """The indices of the dataset in the order of that epoch, int64 of shape (n,)."""
        if not self.shuffle:
            return np.arange(len(self.dataset))
        return np.argsort(random_words(self.seed, epoch, 0, len(self.dataset)), kind="stable")

    def __iter__(self) -> Iterator[tuple[plugrad.Tensor, ...]]:
        if self._batch and not self._resumed:  # the walk before was broken off
            self._epoch, self._batch = self._epoch + 1, 0
        self._resumed = False
        self._walk += 1
        return self._batches(self._epoch, self._batch, self._walk)

    def _batches(self, epoch: int, first: int, walk: int) -> Iterator[tuple[plugrad.Tensor, ...]]:
        order = self.order(epoch)
        for number in range(first, len(self)):
            arrays = self._take(order[number * self.batch_size : (number + 1) * self.batch_size], epoch, number)
            batch = tuple(plugrad.asarray(a, device=self.device) for a in arrays)
            if walk == self._walk:
                self._batch = number + 1
            yield batch
        if walk == self._walk:
            self._epoch, self._batch = epoch + 1, 0

    def _take(self, rows: np.ndarray, epoch: int, number: int) -> Arrays:
        arrays = as_arrays(self.dataset[rows])
        self._check(arrays, rows.size, type(self.dataset).__name__)
        if self.transform is not None:
            rng = np.random.Generator(bit_generator(self.seed, epoch, number + 1))
            arrays = as_arrays(self.transform(rng, *arrays))
            self._check(arrays, rows.size, "transform")
        return arrays

    @staticmethod
    def _check(arrays: Arrays, rows: int, origin: str) -> None:
        shapes = [a.shape for a in arrays]
        if any(len(shape) == 0 or shape[0] != rows for shape in shapes):
            raise ShapeError(
                f"DataLoader: {origin} gave shapes {shapes} for {rows} examples; "
                f"with an index array each component needs {rows} rows"
            )

    def state_dict(self) -> dict[str, Any]:
        """The place in the walk, and the settings that it is meaningless without; plain JSON values."""
        return {**self._settings(), "epoch": self._epoch, "batch": self._batch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a place given by ``state_dict()``; raises ``StateError``, changing nothing, if the settings
        differ."""
        settings = self._settings()
        missing = sorted({*settings, "epoch", "batch"} - set(state))
        if missing:
            raise StateError(
                f"DataLoader.load_state_dict: {', '.join(missing)} missing; pass what state_dict() returned"
            )
        differ = [f"{k}={state[k]!r} (here {v!r})" for k, v in settings.items() if state[k] != v]
        if differ:
            raise StateError(
                f"DataLoader.load_state_dict: made with {', '.join(differ)}; build the loader with the saved settings"
            )
        epoch, batch = int(state["epoch"]), int(state["batch"])
        if epoch < 0 or not 0 <= batch <= len(self):
            raise StateError(
                f"DataLoader.load_state_dict: epoch {epoch}, batch {batch} is no place in epochs of {len(self)} batches"
            )
        self._epoch, self._batch, self._resumed = epoch, batch, True
        self._walk += 1  # a walk still open no longer moves the state

    def _settings(self) -> dict[str, Any]:
        return {
            "length": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "seed": self.seed,
            "drop_last": self.drop_last,
        }
