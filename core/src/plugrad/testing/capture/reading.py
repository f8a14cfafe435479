"""Reads a file of captured calls. What is wrong is named by file and place, and nothing is half read."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ...backend import __version__
from ...dtypes import DTYPES
from ...errors import UnknownNameError, article, shown, suggest
from ...op import OPS
from ...plugins import lookup
from ..contract.subject import kind_of
from .attributes import decode
from .elements import ODD
from .format import FORMAT, HOW, VERSION, Call, Captured, CaptureError, Forward, LeftOut, Operand

T = TypeVar("T")
AGAIN = "record it again with plugrad capture SCRIPT"
NAMES = {dtype.name: dtype for dtype in DTYPES}


def load(path: str | os.PathLike[str]) -> Captured:
    """The calls of a file that ``plugrad capture`` wrote.

    CaptureError, with the file, the place in it and the remedy, for one that is missing, damaged, of a later format,
    or holds ops that are not installed here.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read: {error.strerror}; name a file of plugrad capture") from error
    except UnicodeDecodeError as error:
        raise CaptureError(f"{path}: is no text: {error}; {AGAIN}") from error
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CaptureError(f"{path}: is not JSON: {error}; {AGAIN}") from error
    return _Reader(os.fspath(path)).captured(whole)


class _Reader:
    """One reading of a file; ``where`` is the place, such as ``calls[3].operands[0]``."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.plugins: dict[str, str] = {}

    def wrong(self, where: str, problem: str, remedy: str = AGAIN) -> CaptureError:
        """The error for a place."""
        return CaptureError(f"{self.path}: {where}: {problem}; {remedy}")

    def get(self, holder: Any, name: str, where: str, kind: type[T]) -> T:
        """A member of an object, of this type."""
        inside = f"{where}.{name}" if where else name
        if not isinstance(holder, dict):
            raise self.wrong(where or "the file", f"got {article(type(holder).__name__)}, where an object is needed")
        if name not in holder:
            raise self.wrong(inside, "is missing")
        return self.checked(holder[name], inside, kind)

    def checked(self, value: Any, where: str, kind: type[T]) -> T:
        """The value, if it is of this type; a bool is no number."""
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.wrong(where, f"got {shown(value)}, where {article(kind.__name__)} is needed")
        return value

    def word(self, value: Any, where: str) -> str:
        """A string."""
        return self.checked(value, where, str)

    def whole(self, value: Any, where: str, least: int = 0) -> int:
        """An integer of at least so much."""
        if self.checked(value, where, int) < least:
            raise self.wrong(where, f"got {value}, where at least {least} is needed")
        return int(value)

    def each(self, items: Sequence[Any], where: str, read: Callable[[Any, str], T]) -> tuple[T, ...]:
        """The members of a list, read."""
        return tuple([read(item, f"{where}[{i}]") for i, item in enumerate(items)])

    def captured(self, whole: Any) -> Captured:
        """The whole file."""
        form = self.get(whole, "format", "", str)
        if form != FORMAT:
            raise self.wrong(
                "format", f"got {shown(form)}, where {FORMAT!r} is needed", "name a file of plugrad capture"
            )
        version, by = self.whole(whole.get("version"), "version", 1), self.get(whole, "plugrad", "", str)
        if version > VERSION:
            known = f"format version {version}, written by plugrad {by}, but plugrad {__version__} reads {VERSION}"
            raise self.wrong("version", known, "upgrade plugrad, or record it again")
        plugins = self.get(whole, "plugins", "", dict)
        self.plugins = {p: self.checked(by, f"plugins.{p}", str) for p, by in plugins.items()}
        return Captured(
            self.get(whole, "script", "", str),
            by,
            self.each(self.get(whole, "devices", "", list), "devices", self.word),
            self.plugins,
            self.each(self.get(whole, "calls", "", list), "calls", self.call),
            self.each(self.get(whole, "left_out", "", list), "left_out", self.left_out),
            self.path,
        )

    def left_out(self, item: Any, where: str) -> LeftOut:
        """A note of calls that were not recorded."""
        op, reason = self.get(item, "op", where, str), self.get(item, "reason", where, str)
        return LeftOut(op, reason, self.whole(self.get(item, "count", where, int), f"{where}.count", 1))

    def call(self, item: Any, where: str) -> Call:
        """A distinct call."""
        op = self.op(item, where)
        operands = self.each(self.get(item, "operands", where, list), f"{where}.operands", self.operand)
        attrs = self.attrs(item, where)
        if len(operands) <= OPS[op].key and not (isinstance(attrs.get("dtype"), np.dtype) and not operands):
            raise self.wrong(f"{where}.operands", f"{op} has {len(operands)}, and no dtype can be told")
        how = self.get(item, "how", where, dict)
        for word, number in how.items():
            if word not in HOW:
                raise self.wrong(f"{where}.how", f"got {shown(word)}, where one of {', '.join(HOW)} is needed")
            self.whole(number, f"{where}.how.{word}", 1)
        count = self.whole(self.get(item, "count", where, int), f"{where}.count", 1)
        forward = self.forward(item["forward"], f"{where}.forward", len(operands)) if "forward" in item else None
        return Call(op, operands, attrs, count, how, forward)

    def op(self, item: Any, where: str) -> str:
        """The name of an op that is registered here."""
        name = self.get(item, "op", where, str)
        try:
            lookup(name)
        except UnknownNameError:
            prefixes = [p for p in self.plugins if name.startswith(f"{p}.")]
            brought = f"install {self.plugins[max(prefixes, key=len)]}, which brought it" if prefixes else ""
            remedy = brought or "install the package that brings it (see: plugrad plugins)"
            problem = f"the op {name!r} is not registered here{suggest(name, OPS)}"
            raise self.wrong(f"{where}.op", problem, remedy) from None
        return name

    def attrs(self, item: Any, where: str) -> dict[str, Any]:
        """Attributes by name."""
        found = {}
        for name, form in self.get(item, "attrs", where, dict).items():
            try:
                found[name] = decode(form)
            except ValueError as error:
                raise self.wrong(f"{where}.attrs.{name}", f"got {shown(form)}, no attribute: {error}") from None
        return found

    def forward(self, item: Any, where: str, count: int) -> Forward:
        """The earlier call of a call with ``count`` operands."""

        def given(one: Any, place: str) -> int | Operand:
            return self.position(one, place, count) if isinstance(one, int) else self.operand(one, place)

        op = self.op(item, where)
        operands = self.each(self.get(item, "operands", where, list), f"{where}.operands", given)
        results = {}
        for i, result in self.get(item, "results", where, dict).items():
            place = f"{where}.results.{i}"
            at = self.position(int(i) if i.isdecimal() else i, place, count)
            results[at] = self.whole(result, place)
        if both := results.keys() & {x for x in operands if isinstance(x, int)}:
            raise self.wrong(f"{where}.results", f"operand {min(both)} is an operand of the earlier call too")
        return Forward(op, operands, self.attrs(item, where), results)

    def position(self, value: Any, where: str, count: int) -> int:
        """The position of one of ``count`` operands."""
        if self.whole(value, where) >= count:
            raise self.wrong(where, f"got {value}, but the call has {count} operands")
        return int(value)

    def operand(self, item: Any, where: str) -> Operand:
        """Shape, dtype and elements."""
        name = self.get(item, "dtype", where, str)
        if name not in NAMES:
            problem = f"{name!r} is not a dtype that plugrad supports{suggest(name, NAMES)}"
            raise self.wrong(f"{where}.dtype", problem)
        shape = self.each(self.get(item, "shape", where, list), f"{where}.shape", self.whole)
        elements = {k: v for k, v in item.items() if k not in ("dtype", "shape")}
        self.elements(elements, NAMES[name], math.prod(shape), where)
        return Operand(shape, name, elements)

    def elements(self, given: Mapping[str, Any], dtype: np.dtype, size: int, where: str) -> None:
        """Whether elements can be made."""
        kind = kind_of(dtype)
        number: tuple[type, ...] = (int,) if kind in "iu" else (int, float)
        bounds = "low high" if kind in "iu" else f"low high mean std {' '.join(ODD)}"
        legal = {"true"} if kind == "b" else {"values", "low", "high"} if kind in "iu" else set(bounds.split())
        for name in given:
            place, value = f"{where}.{name}", given[name]
            if name not in legal:
                raise self.wrong(place, f"is not kept of {dtype.name}{suggest(name, legal)}")
            listed = self.checked(value, place, list) if name == "values" else [value]
            if not all(isinstance(v, number) and not isinstance(v, bool) for v in listed):
                raise self.wrong(place, f"got {shown(value)}, where numbers of {dtype.name} are needed")
            if kind in "iu" and not all(np.iinfo(dtype).min <= v <= np.iinfo(dtype).max for v in listed):
                raise self.wrong(place, f"got {shown(value)}, which {dtype.name} does not hold")
            if name in ("true", *ODD) and not 0 <= value <= 1:
                raise self.wrong(place, f"got {value}, where a share from 0 to 1 is needed")
            if not all(math.isfinite(v) for v in listed) or (name == "std" and value < 0):
                raise self.wrong(place, f"got {value}, where a finite number is needed, and no negative std")
        if "values" in given and len(given["values"]) != size:
            raise self.wrong(f"{where}.values", f"has {len(given['values'])} elements, the shape {size}")
        if ("low" in given) != ("high" in given) or given.get("low", 0) > given.get("high", 0):
            raise self.wrong(where, f"low is {given.get('low')}, high {given.get('high')}; they must be bounds")
        if kind in "iu" and size and not given:
            raise self.wrong(where, "has neither values nor low and high")
