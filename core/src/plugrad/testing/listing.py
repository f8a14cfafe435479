"""The list of all checks: of a device, and of the ops, layers, optimizers and datasets of the plugins on it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from ..backend import API
from ..dtypes import DTYPES
from ..errors import ArgumentError, FallbackWarning, suggest
from ..op import OPS
from ..plugins.loader import registry, statuses
from . import rules
from .components import datasets, layers, optimizers
from .contract import backend_checks
from .contract.samples import has_samples
from .contract.subject import Subject, scope, setting
from .contract.values import asked, can_be_asked
from .kit.check import Check, Version
from .kit.declared import declared

COMPONENTS: dict[str, Any] = {"layer": layers, "loss": layers, "optimizer": optimizers, "dataset": datasets}
"""The module with the checks of each kind of component."""
SAMPLE = {"layer": "LayerSample", "loss": "LayerSample", "optimizer": "OptimizerSample", "dataset": "DatasetSample"}
SLOW = ("derivatives.second.", "derivatives.stage.")
"""Beginnings of the names of checks of a backend that a quick run leaves out: those of single ops say the same."""
OF_EACH_KERNEL = ("kernels.", "inplace.into_values", "memory.values_are_let_go", "threads.kernels")
"""Beginnings of the names of checks that are asked of every kernel, or of those of one op."""
CODES = {dtype.name: code for code, dtype in enumerate(DTYPES)}


def checks(
    device: str = "numpy",
    *,
    op: str = "",
    layer: str = "",
    loss: str = "",
    optimizer: str = "",
    dataset: str = "",
    only: str = "",
    quick: bool = False,
) -> list[Check]:
    """Every check that applies to a device and to what the installed plugins bring, in the order in which one mends.

    device      where they run; BackendUnavailableError if it cannot be used
    op, layer, loss, optimizer, dataset
                the checks of the one of this name alone; ArgumentError, with what is close, if there is none. An op's
                include what the backend's kernels for it are asked
    only        those whose names contain the text; ArgumentError if there are none
    quick       the usual dtypes, fewer samples, no second derivatives

    >>> [check.name for check in checks("numpy", op="exp", only="pickling")]
    ['op.exp.pickling']
    >>> checks("numpy", op="exp", only="pickling")[0]()
    """
    Subject(device)
    named = {"op": op, "layer": layer, "loss": loss, "optimizer": optimizer, "dataset": dataset}
    chosen = {kind: name for kind, name in named.items() if name}
    every = list(_every(device, quick, op))
    for kind, name in chosen.items():
        known = sorted({check.subject for check in every if _about(check) == kind})
        if name not in known:
            hint = suggest(name, known) or f"; there are {', '.join(known) or 'none'}"
            raise ArgumentError(f"checks: no {kind} {name!r} can be checked on {device}{hint}")
    if chosen:
        every = [check for check in every if chosen.get(_about(check)) == check.subject]
    found = [check for check in every if only in check.name]
    if not found:
        hint = suggest(only, [check.name for check in every])
        raise ArgumentError(f"checks: no check on {device} has {only!r} in its name{hint}")
    return found


def _about(check: Check) -> str:
    """The kind of thing that a check says something about: an op too where a backend's kernels for it are asked."""
    return "op" if check.kind == "backend" and check.subject in OPS else check.kind


def _every(device: str, quick: bool, op: str = "") -> Iterator[Check]:
    """All of them; those of each kernel about the kernels of ``op``, if one is named."""
    yield from _settling(_of_backend(device, quick), quick, op)
    yield from _settling(_unsampled(device), quick)
    yield from _settling(_of_ops(device, quick, op), quick)
    yield from _settling(_of_components(device, quick), quick)


def of_backend(device: str) -> list[Check]:
    """The checks of the backend alone: those of ``checks`` of that kind, sooner."""
    return list(_settling(_of_backend(device, False), False))


def _settling(found: Iterable[Check], quick: bool, op: str = "") -> Iterator[Check]:
    for check in found:
        one = op if check.name.startswith(OF_EACH_KERNEL) else ""
        yield replace(check, subject=one or check.subject, run=partial(_settled, check.run, quick, one))


def _settled(run: Callable[[], None], quick: bool, op: str) -> None:
    """A check under the default settings, whatever the environment says."""
    __tracebackhide__ = True
    defaults = setting("PLUGRAD_FALLBACK", None), setting("PLUGRAD_VIEW_WRITE", None)
    with defaults[0], defaults[1], scope(quick, op), warnings.catch_warnings():
        warnings.simplefilter("ignore", FallbackWarning)
        run()


def _of_backend(device: str, quick: bool) -> Iterator[Check]:
    with scope(quick):
        subject = Subject(device)
    for name, check in backend_checks():
        about, _, dtype = name.removeprefix("values.").rpartition(".")
        run = partial(check, device)
        if name.startswith("values.") and about in OPS and dtype in CODES:
            code = CODES[dtype]
            if code in subject.codes(OPS[about]) and can_be_asked(about, code, subject):
                yield Check(name, "backend", about, device, run, dtype)
        elif not (quick and name.startswith(SLOW)):
            yield Check(name, "backend", subject.backend.name, device, run)


def _unsampled(device: str) -> Iterator[Check]:
    """What is registered and has no sample: checks that fail."""
    for op in asked():
        if "." in op.name and not has_samples(op.name):
            yield _lacking("op", op.name, "OpSample", device)
    for kind, sample in SAMPLE.items():
        for name in registry().select("component", kind):
            if (kind, name) not in declared():
                yield _lacking(kind, name, sample, device)


def _lacking(kind: str, name: str, sample: str, device: str) -> Check:
    def run() -> None:
        remedy = f"give {sample}({name!r}, ...) from a function that plugrad_samples registers"
        raise AssertionError(f"the {kind} {name!r} is registered, but no sample says how to use it; {remedy}")

    return Check(f"{kind}.{name}.sampled", kind, name, device, run)


def _of_ops(device: str, quick: bool, op: str) -> list[Check]:
    """Those of all ops, or of one that there is."""
    with scope(quick):
        return rules.checks(device, quick, op if op in OPS else "")


def _of_components(device: str, quick: bool) -> Iterator[Check]:
    for (kind, name), samples in declared().items():
        if kind in COMPONENTS and (name in registry().select("component", kind) or _made(samples)):
            yield from COMPONENTS[kind].checks(samples, device, quick)


def _made(samples: list[Any]) -> bool:
    """Whether samples make what they are of themselves, so that it need not be registered."""
    return all(sample.make is not None for sample in samples)


def protocol_of(check: Check) -> Version:
    """The version of the protocol that the plugin under test was written for: the older one where a check is about a
    backend and about somebody's op on it.
    """
    entries = registry().entries
    backend = Subject(check.device).backend.name
    concerned = [entry for entry in entries if (entry.word, entry.name) == ("backend", backend)]
    if check.kind == "op" or check.subject in OPS:
        concerned += [entry for entry in entries if entry.word == "ops" and check.subject.startswith(f"{entry.name}.")]
    concerned += [entry for entry in entries if (entry.kind, entry.name) == (check.kind, check.subject)]
    providers = {entry.provider for entry in concerned}
    found = [status.entry_point.load().API for status in statuses() if status.provider in providers]
    return min(found, default=API)
