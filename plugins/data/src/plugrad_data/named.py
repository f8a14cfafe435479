"""Datasets known by name: scikit-learn's digits and MNIST.

Both are real data read from the disk; nothing is downloaded.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import idx
from .dataset import ArrayDataset
from .errors import DataFileError, MissingDataError, MissingExtraError

_MNIST_STEM = {"train": "train", "test": "t10k"}


def digits(transform: Callable[..., Any] | None = None) -> ArrayDataset:
    """The 1,797 handwritten digits of scikit-learn: images (1797, 1, 8, 8), float32 in [0, 1]; labels int64.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998
    (its test part). Raises ``MissingExtraError`` without scikit-learn.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError("digits: scikit-learn is not installed; pip install 'plugrad-data[digits]'") from error
    found = load_digits()
    images = (found.images / 16.0).astype(np.float32)[:, None]
    return ArrayDataset(images, found.target.astype(np.int64), transform=transform)


def mnist(
    root: str | os.PathLike[str] | None = None,
    split: str = "test",
    transform: Callable[..., Any] | None = None,
) -> ArrayDataset:
    """MNIST from its IDX files: images (n, 1, 28, 28), float32 in [0, 1]; labels int64.

    ``split`` is ``"train"`` or ``"test"``. The files (``t10k-images-idx3-ubyte.gz`` and ``t10k-labels-idx1-ubyte.gz``,
    or ``train-...``; with or without ``.gz``) are looked for in ``root`` and ``root/mnist``; without ``root``, in the
    folder that the variable ``PLUGRAD_DATA`` names. Fashion-MNIST and other sets of that form read the same way.

    Raises ``MissingDataError`` if a file is not there, and ``DataFileError`` if one is damaged or the two do not
    belong together.
    """
    images_path, labels_path = mnist_files(root, split)
    images, labels = idx.read(images_path), idx.read(labels_path)
    if images.ndim != 3 or images.dtype != np.uint8:
        raise DataFileError(
            f"mnist: {images_path} holds {images.dtype} of shape {images.shape}, expected uint8 (n, rows, columns)"
        )
    if labels.ndim != 1 or labels.dtype != np.uint8:
        raise DataFileError(f"mnist: {labels_path} holds {labels.dtype} of shape {labels.shape}, expected uint8 (n,)")
    if len(images) != len(labels):
        raise DataFileError(
            f"mnist: {len(images)} images in {images_path} but {len(labels)} labels in {labels_path}; fetch both again"
        )
    scaled = images[:, None].astype(np.float32) / np.float32(255)
    return ArrayDataset(scaled, labels.astype(np.int64), transform=transform)


def mnist_files(root: str | os.PathLike[str] | None, split: str) -> tuple[Path, Path]:
    """Where the images and the labels of MNIST are; ``MissingDataError`` if a file is not there."""
    if split not in _MNIST_STEM:
        raise ValueError(f"mnist: split {split!r} is unknown; use 'train' or 'test'")
    stem = _MNIST_STEM[split]
    return _find(root, f"{stem}-images-idx3-ubyte"), _find(root, f"{stem}-labels-idx1-ubyte")


def _find(root: str | os.PathLike[str] | None, name: str) -> Path:
    """The file ``name`` or ``name.gz`` in the data folder; in its ``mnist`` subfolder first."""
    base = os.environ.get("PLUGRAD_DATA") if root is None else os.fspath(root)
    if not base:
        raise MissingDataError(
            f"mnist: do not know where to look for {name}.gz; pass root=FOLDER, "
            f"or set PLUGRAD_DATA to the folder that has mnist/{name}.gz"
        )
    tried = [Path(base, *folder, name + ending) for folder in (("mnist",), ()) for ending in (".gz", "")]
    for path in tried:
        if path.is_file():
            return path
    origin = "PLUGRAD_DATA" if root is None else "root"
    raise MissingDataError(
        f"mnist: no file {name}.gz; looked for {', '.join(map(str, tried))}. Put the IDX files there, "
        f"or point {origin} at their folder"
    )
