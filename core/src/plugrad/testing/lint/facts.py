"""What the running plugrad says: its hooks, operations, rules, members and dtypes. Nothing is written down twice."""

from __future__ import annotations

import inspect
import pkgutil
import warnings
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

from ...backend import Backend, Kernel
from ...dtypes import GROUPS, parse
from ...errors import DTypeError, suggest
from ...op import OPS, Op
from ...plugins.loader import discover
from ...plugins.names import BROKEN
from ...plugins.registrar import Registrar
from ..contract.samples import has_samples, samples
from ..kit import DatasetSample, LayerSample, OpSample, OptimizerSample

REGISTRAR = {name: inspect.signature(f) for name, f in vars(Registrar).items() if not name.startswith("_")}
"""The methods of the registrar."""
RULES = ["partials"] + [
    name
    for name, value in vars(Op).items()
    if not name.startswith("_") and name not in ("bind", "registered") and (name == "spec" or not callable(value))
]
"""The rules that an op may declare."""
OWED = [name for name in Backend.__annotations__ if not hasattr(Backend, name)] + [
    name for name, f in vars(Backend).items() if inspect.isfunction(f) and "NotImplementedError" in f.__code__.co_names
]
"""The members that a backend must define, ``kernels`` apart, which it may replace by ``into``."""
MEMBERS = [name for name in {**Backend.__annotations__, **vars(Backend)} if not name.startswith("_")]
"""All members of a backend."""
METHODS = {name: inspect.signature(f) for name, f in vars(Backend).items() if inspect.isfunction(f)}
KERNEL = inspect.signature(Kernel)
SAMPLES = {"op": OpSample, "layer": LayerSample, "optimizer": OptimizerSample, "dataset": DatasetSample}
SAMPLED = ("layer", "loss", "optimizer", "dataset")
"""Kinds of components that the kit has samples for."""
LAYER_KIND = str(inspect.signature(LayerSample).parameters["kind"].default)
CALLED: dict[str, tuple[str, ...]] = {
    "vjp": ("g", "y", "xs", "need"),
    "jvp": ("ts", "y", "xs"),
    "dual": ("ts", "xs"),
    "batch": ("size", "xs", "batched"),
}
"""What the rules are called with, before the attributes."""


class Wanted(NamedTuple):
    """A call of a kernel: so many operands, these attributes. ``attrs`` is None where they are unknown."""

    operands: int
    attrs: frozenset[str] | None
    optional: frozenset[str] = frozenset()


@cache
def named(dotted: str) -> Any:
    """The thing of plugrad that has this full name, or None."""
    if dotted.partition(".")[0] != "plugrad":
        return None
    try:
        return pkgutil.resolve_name(dotted)
    except (ImportError, AttributeError, ValueError):
        return None


def prefixes() -> dict[str, str]:
    """The registered prefixes of ops, each with the package that makes them."""
    return {name: entry.target.partition(".")[0] for name, entry in discover().select("ops").items()}


def op_of(name: str, own: Iterable[str]) -> Op | str | None:
    """The op; None if nothing can be said of it; what is wrong with the name if it has no op.

    ``own`` are the packages that are checked: they are not imported.
    """
    prefix = name.rpartition(".")[0]
    if name == "fused":  # no op, but what compile makes of several
        return None
    if prefix:
        owner = prefixes().get(prefix)
        if owner is None or owner in own or not _loaded(prefix):
            return None
    if name in OPS:
        return OPS[name]
    known = [op for op in OPS if op.rpartition(".")[0] == prefix]
    whose = f"the plugin of {prefix!r}" if prefix else "the core"
    return f"{whose} has no op {name!r}{suggest(name, known)}"


@cache
def _loaded(prefix: str) -> bool:
    """Import another plugin's ops; False where that fails."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            discover().select("ops")[prefix].load()
    except BROKEN:
        return False
    return True


@cache
def calls(name: str) -> tuple[Wanted, ...]:
    """How kernels of an op are called: by the kit's samples, or by the op's rules where it has none."""
    op = OPS[name]
    if not has_samples(name):
        rules = [inspect.signature(rule) for rule in (op.spec, op.decompose) if rule is not None]
        return by_rules(rules, None if op.partials is None else len(op.partials))
    found = {(len(call.operands), frozenset(call.attrs)) for call in samples(name, min(op.codes))}
    return tuple(Wanted(n, attrs if n else attrs | {"device"}) for n, attrs in sorted(found, key=str))


def by_rules(rules: Iterable[inspect.Signature], partials: int | None = None) -> tuple[Wanted, ...]:
    """The call that an op's shape rule and decomposition describe; none if they do not say how many operands."""
    told = [list(rule.parameters.values()) for rule in rules]
    counted = [ps for ps in told if not any(p.kind is p.VAR_POSITIONAL for p in ps) and positional(ps)]
    if not counted and partials is None:
        return ()
    count = len(positional(counted[0])) if counted else partials or 0
    full = next((ps for ps in told if not any(p.kind is p.VAR_KEYWORD for p in ps)), None)
    if full is None:
        return (Wanted(count, frozenset() if partials is not None else None),)
    keywords = [p for p in full if p.kind is p.KEYWORD_ONLY]
    optional = frozenset(p.name for p in keywords if p.default is not p.empty)
    return (Wanted(count, frozenset(p.name for p in keywords) - optional, optional),)


def positional(parameters: Iterable[inspect.Parameter]) -> list[inspect.Parameter]:
    """Those that operands go to."""
    return [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def shown(name: str, wanted: Wanted) -> str:
    """A call in words: ``sum(x, *, axis, keepdims)``.

    >>> shown("sum", Wanted(1, frozenset({"axis", "keepdims"})))
    'sum(x, *, axis, keepdims)'
    """
    letters = ["x", "y", "z"] if wanted.operands <= 3 else [f"x{i}" for i in range(wanted.operands)]
    attrs = sorted(wanted.attrs or ())
    return f"{name}({', '.join([*letters[: wanted.operands], *(['*'] if attrs else []), *attrs])})"


def wrong_dtypes(text: str) -> str:
    """What is wrong with a list of dtypes; empty if nothing is.

    >>> wrong_dtypes("f4 flaot")
    "'flaot' is neither a dtype nor a group of dtypes (did you mean 'float'?)"
    """
    for word in text.split():
        try:
            parse(word)
        except DTypeError:
            return f"{word!r} is neither a dtype nor a group of dtypes{suggest(word, GROUPS)}"
    return ""
