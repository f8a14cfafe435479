"""What the installed plugins declared for the kit, by kind and name."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ...errors import PluginError, article
from ...plugins.loader import registry
from ...plugins.registrar import Entry
from .declare import DatasetSample, Declared, LayerSample, OpSample, OptimizerSample

KNOWN = (OpSample, LayerSample, OptimizerSample, DatasetSample)
Samples = dict[tuple[str, str], list[Declared]]
"""By kind ("op", "layer", "loss", "optimizer", "dataset") and name."""

_lock = threading.RLock()
_loaded: list[tuple[object, Samples]] = []
_added: list[list[Declared]] = []


def kind_of_sample(sample: Declared) -> str:
    """The kind of the thing that a sample is of."""
    if isinstance(sample, LayerSample):
        return sample.kind
    return {OpSample: "op", OptimizerSample: "optimizer", DatasetSample: "dataset"}[type(sample)]


def name_of(sample: Declared) -> str:
    """The name of the thing that a sample is of."""
    return sample.op if isinstance(sample, OpSample) else sample.name


def declared() -> Samples:
    """All samples. PluginError naming the distribution if a plugin's cannot be had.

    >>> [sample for sample in declared() if sample[0] == "toaster"]
    []
    """
    found = registry()
    with _lock:
        if not _loaded or _loaded[0][0] is not found:
            read: Samples = {}
            for entry in found.select("samples").values():
                _take(read, _of(entry))
            _loaded[:] = [(found, read)]
        if not _added:
            return _loaded[0][1]
        joined = {key: list(samples) for key, samples in _loaded[0][1].items()}
        for more in _added:
            _take(joined, more)
        return joined


@contextmanager
def with_samples(samples: Iterable[Declared]) -> Iterator[None]:
    """Within the block, in all threads, these samples are declared too."""
    more = list(samples)
    with _lock:
        _added.append(more)
    try:
        yield
    finally:
        with _lock:
            _added.remove(more)


def _take(into: Samples, samples: Iterable[Declared]) -> None:
    for sample in samples:
        into.setdefault((kind_of_sample(sample), name_of(sample)), []).append(sample)


def _of(entry: Entry) -> list[Declared]:
    """What the function of one registration gives."""
    what = f"samples {entry.target} of {entry.provider}"
    make = entry.load()
    if not callable(make):
        raise PluginError(f"{what}: it is {article(type(make).__name__)}; name a function that gives samples")
    try:
        found = list(make())
    except Exception as error:
        raise PluginError(f"{what}: it raised {type(error).__name__}: {error}") from error
    for sample in found:
        if not isinstance(sample, KNOWN):
            wrong = f"it gives {article(type(sample).__name__)}"
            raise PluginError(f"{what}: {wrong}; give {', '.join(one.__name__ for one in KNOWN)}")
    return found
