"""The datasets of this package as users make them, for the conformance kit. Only the kit imports it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from functools import partial

from plugrad.testing import DatasetSample

from .errors import MissingDataError
from .named import mnist_files


def samples() -> Iterator[DatasetSample]:
    """All of them."""
    example = (((1, 8, 8), "float32"), ((), "int64"))
    yield DatasetSample("digits", length=1797, example=example, available=_has_scikit_learn)
    example = (((1, 28, 28), "float32"), ((), "int64"))
    for split in ("test", "train"):
        config = {"split": split}
        yield DatasetSample("mnist", config, example=example, available=partial(_has_mnist, split))


def _has_scikit_learn() -> bool | str:
    if importlib.util.find_spec("sklearn") is None:
        return "scikit-learn is not installed; pip install 'plugrad-data[digits]'"
    return True


def _has_mnist(split: str) -> bool | str:
    if not os.environ.get("PLUGRAD_DATA"):
        return f"PLUGRAD_DATA is not set; set it to the folder that has the {split} images of MNIST"
    try:
        mnist_files(None, split)
    except MissingDataError as error:
        return str(error)
    return True
