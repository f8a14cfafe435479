"""What the checks of components share: how rules become checks, dtypes of a device, seeds, comparison."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import plugrad as pg

from ...dtypes import CODE, DTYPES, KIND, SHORT
from ...errors import FallbackWarning
from ..contract.subject import TOLERANCE, Subject, setting, short, unit
from ..kit.check import Check, NotHere
from ..kit.declare import Given, Operand

Trial = Any
"""A sample on a device; every kind of component has a class of its own."""


def always(trial: Trial) -> bool:
    """Any sample can be asked."""
    return True


@dataclass(frozen=True)
class Rule:
    """One thing that must hold of a component.

    ask      the question to one sample: raises AssertionError
    applies  which samples can be asked; without any there is no check
    slow     whether quick runs leave it out
    joint    whether ``ask`` gets the list of all samples, because one of them is enough
    """

    name: str
    ask: Callable[[Any], None]
    applies: Callable[[Any], bool] = always
    slow: bool = False
    joint: bool = False


def checks_of(
    kind: str, name: str, device: str, quick: bool, trials: Sequence[Trial], rules: Iterable[Rule]
) -> list[Check]:
    """One check for each rule that some of the trials of this component can be asked."""
    found = []
    for rule in rules:
        asked = [trial for trial in trials if rule.applies(trial)]
        if asked and not (quick and rule.slow):
            run = partial(_ask, rule, asked, device)
            found.append(Check(f"{kind}.{name}.{rule.name}", kind, name, device, run))
    return found


def _ask(rule: Rule, trials: Sequence[Trial], device: str) -> None:
    """NotHere only where not one of the samples can be asked here."""
    with settled(device):
        absent: list[NotHere] = []
        asked = [trials] if rule.joint else trials
        for subject in asked:
            try:
                with told(str(trials[0]) if rule.joint else str(subject)):
                    rule.ask(subject)
            except NotHere as reason:
                absent.append(reason)
        if len(absent) == len(asked):
            raise absent[0]


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """A failure inside begins with what was asked; an error that is none of ours becomes one."""
    try:
        yield
    except NotHere:
        raise
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from None
    except Exception as error:
        raise AssertionError(f"{what}: raised {type(error).__name__}: {error}") from error


@contextlib.contextmanager
def settled(device: str) -> Iterator[None]:
    """Within the block, the default device and settings are those of a check; the default generator is put back. That a
    backend lacks kernels is no fault of a component.
    """
    state = pg.random.generator().state
    before = state.copy()
    with (
        pg.device(device),
        setting("PLUGRAD_FALLBACK", None),
        setting("PLUGRAD_VIEW_WRITE", None),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", FallbackWarning)
        try:
            yield
        finally:
            state.assign(before)


# -- dtypes and elements


def stored(device: str, *names: str) -> list[np.dtype]:
    """Those of the dtypes with these short names that the device stores.

    >>> stored("numpy", "f4", "f8")
    [dtype('float32'), dtype('float64')]
    """
    subject = Subject(device)
    return [DTYPES[SHORT.index(name)] for name in names if subject.stores(name)]


def usual(device: str) -> np.dtype:
    """The dtype of checks that need only one."""
    return stored(device, "f4", "f8", "f2", "bf2")[0]


def widest(device: str) -> np.dtype:
    """float64 where the device stores it, else the usual dtype."""
    return [*stored(device, "f8"), usual(device)][0]


def is_floating(x: Any) -> bool:
    """Whether elements are real floating numbers."""
    return KIND[CODE[x.dtype]] == "f"


def arrays_of(given: Sequence[Given], dtype: np.dtype, seed: int = 0) -> list[np.ndarray]:
    """The inputs of a sample as arrays. Floating ones are in the dtype that is checked, given arrays too: their
    elements are taken as they are.
    """
    found = []
    for i, one in enumerate(given):
        if isinstance(one, Operand):
            found.append(one.array(dtype, seed + 101 * i))
        else:
            array = np.asarray(one)
            found.append(array.astype(dtype) if is_floating(array) else array)
    return found


def tensors_of(arrays: Iterable[np.ndarray], device: str) -> list[pg.Tensor]:
    """The arrays on a device, in memory of their own."""
    return [pg.asarray(array, device=device, copy=True) for array in arrays]


def flat(value: Any) -> list[np.ndarray]:
    """The results of a layer or of a reference as arrays, in order.

    >>> [a.shape for a in flat((pg.ones(2), [np.zeros(3), 1.0]))]
    [(2,), (3,), ()]
    """
    if isinstance(value, pg.Tensor):
        return [value.detach().numpy()]
    if isinstance(value, (np.ndarray, float, int, np.generic)):
        return [np.asarray(value)]
    if isinstance(value, (list, tuple)):
        return [array for part in value for array in flat(part)]
    return [t.detach().numpy() for t in pg.tree.leaves(value)]


def held(tensors: Iterable[tuple[Any, pg.Tensor]]) -> dict[Any, np.ndarray]:
    """What named tensors hold, in memory of its own."""
    return {name: np.array(t.detach().numpy()) for name, t in tensors}


# -- comparison


def units(tolerance: str | Mapping[str, float], dtype: np.dtype) -> float:
    """Units in the last place that a sample allows for a dtype."""
    if isinstance(tolerance, str):
        return TOLERANCE[tolerance]
    known = SHORT[CODE[dtype]]
    return float(tolerance[known] if known in tolerance else tolerance.get("", TOLERANCE["derivative"]))


def agree(what: str, got: Any, wanted: Any, dtype: np.dtype, bound: float = 0.0) -> None:
    """AssertionError unless shapes agree, and elements within ``bound`` units in the last place of ``dtype``, of the
    largest element or of 1.
    """
    first, second = flat(got), flat(wanted)
    if len(first) != len(second):
        raise AssertionError(f"{what}: expected {len(second)} results, came {len(first)}")
    for i, (a, b) in enumerate(zip(first, second, strict=True)):
        at = f"{what}, result {i}" if len(first) > 1 else what
        if a.shape != b.shape:
            raise AssertionError(f"{at}: expected shape {b.shape}, came {a.shape}")
        if away := _differs(a, b, bound * unit(dtype)):
            raise AssertionError(f"{at}: {away}; expected {short(b)}, came {short(a)}")


def _differs(a: np.ndarray, b: np.ndarray, relative: float) -> str:
    """Where two arrays differ, in words; nothing where they agree."""
    a, b = [x if KIND[CODE[x.dtype]] in "biuc" else x.astype(np.float64) for x in (a, b)]
    finite = np.abs(b[np.isfinite(b)])
    limit = relative * max(1.0, float(finite.max()) if finite.size else 1.0)
    with np.errstate(invalid="ignore"):
        close = (a == b) | ((a != a) & (b != b))
        if limit:
            close |= np.abs(a - b) <= limit
    if np.all(close):
        return ""
    at = tuple(int(i) for i in np.argwhere(~np.asarray(close))[0])
    return f"expected {b[at]!s} at {at}, came {a[at]!s} ({np.count_nonzero(~close)} of {a.size} elements)"


def unchanged(what: str, before: Mapping[Any, np.ndarray], after: Mapping[Any, np.ndarray]) -> None:
    """AssertionError unless the same names hold the same elements."""
    if before.keys() != after.keys():
        raise AssertionError(f"{what}: expected {', '.join(map(str, before))}, came {', '.join(map(str, after))}")
    for name, array in before.items():
        if array.dtype != after[name].dtype:
            raise AssertionError(f"{what}: {name} was {array.dtype}, is {after[name].dtype}")
        agree(f"{what}: {name} changed", after[name], array, array.dtype)


def refused(what: str, errors: type[Exception] | tuple[type[Exception], ...], call: Callable[[], Any]) -> str:
    """The text of the error that a call must raise."""
    names = " or ".join([e.__name__ for e in (errors if isinstance(errors, tuple) else (errors,))])
    try:
        call()
    except errors as error:
        return str(error)
    except Exception as error:
        came = f"{type(error).__name__}: {error}"
        raise AssertionError(f"{what}: expected {names}, came {came}") from error
    raise AssertionError(f"{what}: expected {names}, came a result")


def pattern(like: pg.Tensor, step: float = 1.0) -> pg.Tensor:
    """Fixed numbers between -1 and 1, none of them 0, of the shape, dtype and device of a tensor."""
    numbers = np.cos(np.arange(1, like.size + 1) * 1.7 * step).reshape(like.shape).astype(like.dtype)
    return pg.asarray(numbers, device=like.device, copy=True)
