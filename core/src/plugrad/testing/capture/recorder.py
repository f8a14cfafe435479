"""The observer of a capture: hears of every call in every thread, and keeps the distinct ones."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from ...backend import BACKENDS, __version__, device_name
from ...dtypes import DTYPES
from ...op import OPS, Op
from ...plugins import loader
from ...state import Observer, Run, state
from ...tensor import Tensor, Tensors
from .attributes import NoForm
from .elements import Elements, look, merge
from .format import HOW, Call, Captured, Forward, LeftOut, Operand, encoded

CORE = frozenset(OPS)
"""The ops that are there without any plugin's or script's."""
INSIDE = "it holds functions; the calls inside it are recorded"
NO_KERNEL = "no kernel runs it"
UNKNOWN = "no plugin registers it; the calls inside it are recorded"

Key = tuple[str, tuple[Any, ...], str]
"""Op, shapes and dtypes of the operands, attributes."""


class _Distinct:
    """What is known of a distinct call."""

    def __init__(self, op: Op, attrs: Mapping[str, Any]) -> None:
        self.op, self.attrs = op, attrs
        self.count = 0
        self.how: Counter[str] = Counter()
        self.elements: list[Elements] | None = None


class _Rule(NamedTuple):
    """A node whose backward rule runs; another thread may free the node meanwhile."""

    op: Any
    attrs: Mapping[str, Any]
    inputs: Tensors
    outputs: Tensors


class _Found(NamedTuple):
    """The earlier call that some operands of a call come from, and which operands the two share."""

    key: Key
    shared: tuple[int | None, ...]
    results: dict[int, int]


class Recorder(Observer):
    """Records every call within the block, in all threads, that reaches a backend: composites and the ops that they
    are composed of; under transformations the calls on the values that really are computed with.

    What is only staged is not recorded, but what a staged function runs is. Operands are looked at in the first,
    second, fourth, eighth, ... of the calls that are alike.

    >>> import plugrad
    >>> x = plugrad.ones(3, device="numpy")
    >>> with Recorder() as recorder:
    ...     y = plugrad.exp(x) + plugrad.exp(x)
    >>> [(call.op, call.count, call.how) for call in recorder.captured().calls]
    [('add', 1, {'native': 1}), ('exp', 2, {'native': 2})]
    """

    def __init__(self) -> None:
        self._distinct: dict[Key, _Distinct] = {}
        self._left_out: Counter[tuple[str, str]] = Counter()
        self._devices: set[str] = set()
        self._related: dict[Key, _Found] = {}
        self._lock = threading.Lock()
        self._here = threading.local()

    def call(self, run: Run, op: Any, xs: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        key = self._recorded(op, xs, attrs)
        if key is None:
            return run()
        distinct = self._of(key, op, attrs if xs else {k: v for k, v in attrs.items() if k != "device"})
        again = distinct.count + 1
        seen = [look(BACKENDS[x.be].to_host(x.val)) for x in xs] if again & (again - 1) == 0 else None
        stack: list[list[str]] = self._here.__dict__.setdefault("stack", [])
        stack.append([op.name, "composed"])
        try:
            out = run()
        finally:
            _, how = stack.pop()
        with self._lock:
            distinct.count += 1
            self._devices.add(device_name((xs[op.key].be, xs[op.key].dev) if xs else attrs["device"]))
            distinct.how[how] += 1
            if seen is not None:
                before = distinct.elements
                distinct.elements = seen if before is None else [merge(a, b) for a, b in zip(before, seen, strict=True)]
        return out

    def pull(self, run: Run, node: Any, g: Any) -> Any:
        rules: list[_Rule] = self._here.__dict__.setdefault("rules", [])
        rules.append(_Rule(node.op, node.attrs, node.inputs or (), node.outputs or ()))
        try:
            return run()
        finally:
            rules.pop()

    def kernel(self, op: str, backend: str, how: str) -> None:
        stack = self._here.__dict__.get("stack")
        if stack and stack[-1][0] == op:
            stack[-1][1] = how

    def captured(self, script: str = "") -> Captured:
        """What was recorded until now."""
        with self._lock:
            known = {key: d for key, d in self._distinct.items() if d.count}
            related = dict(self._related)
            left, devices = Counter(self._left_out), tuple(sorted(self._devices))
        prefixes = loader.registry().select("ops")
        calls, plugins = [], {}
        for key, distinct in known.items():
            prefix = max([p for p in prefixes if key[0].startswith(f"{p}.")], key=len, default=None)
            if prefix is not None:
                plugins[prefix] = str(prefixes[prefix].provider)
            elif key[0] not in CORE:
                left[key[0], UNKNOWN] += distinct.count
                continue
            calls.append(_call(key, distinct, related.get(key), known))
        out = tuple([LeftOut(name, reason, count) for (name, reason), count in sorted(left.items())])
        ordered = tuple(sorted(calls, key=lambda call: call.order))
        return Captured(script, __version__, devices, dict(sorted(plugins.items())), ordered, out)

    def _recorded(self, op: Op, xs: Tensors, attrs: Mapping[str, Any]) -> Key | None:
        """What makes the call distinct; None if it is not recorded: on values of a transformation, or left out."""
        if op.opaque:
            self._leave_out(op.name, INSIDE)
            return None
        computed = state().stage is None and all([x.tr is None for x in xs])
        if op.run is not None:
            if computed:
                self._leave_out(op.name, NO_KERNEL)
            return None
        try:
            key = _key(op, xs, attrs)
        except NoForm as error:
            self._leave_out(op.name, f"an attribute is {error}, which a file cannot hold")
            return None
        self._relate(op, xs, key)
        return key if computed else None

    def _leave_out(self, name: str, reason: str) -> None:
        with self._lock:
            self._left_out[name, reason] += 1

    def _of(self, key: Key, op: Op, attrs: Mapping[str, Any]) -> _Distinct:
        with self._lock:
            return self._distinct.setdefault(key, _Distinct(op, attrs))

    def _relate(self, op: Op, xs: Tensors, key: Key) -> None:
        """Within a backward rule, note which operands of a call are results of the forward call, or its operands. Seen
        at any level: a staged backward runs later without its rule.
        """
        rules: list[_Rule] = self._here.__dict__.get("rules", [])
        rule = rules[-1] if rules else None
        if rule is None or op.decompose is None or getattr(rule.op, "decompose", None) is None or rule.op.opaque:
            return
        values = [x.val for x in xs]
        shared = tuple([_place(x, values) for x in rule.inputs])
        places = [_place(y, values) for y in rule.outputs]
        results = {at: i for i, at in enumerate(places) if at is not None and at not in shared}
        if results and any(at is not None for at in shared):
            with contextlib.suppress(NoForm), self._lock:
                self._related.setdefault(key, _Found(_key(rule.op, rule.inputs, rule.attrs), shared, results))


def _place(x: Tensor, values: list[Any]) -> int | None:
    """Which of the values a handle holds."""
    return next((i for i, v in enumerate(values) if v is x.val), None)


def _key(op: Op, xs: Tensors, attrs: Mapping[str, Any]) -> Key:
    text = json.dumps(encoded(attrs if xs else {k: v for k, v in attrs.items() if k != "device"}))
    return op.name, tuple([(x.shape, x.dt) for x in xs]), text


def _call(key: Key, distinct: _Distinct, found: _Found | None, known: Mapping[Key, _Distinct]) -> Call:
    forward = None
    if found is not None and found.key in known:
        earlier = known[found.key]
        given = [x if i is None else i for i, x in zip(found.shared, _operands(found.key, earlier), strict=True)]
        forward = Forward(earlier.op.name, tuple(given), earlier.attrs, found.results)
    how = {word: distinct.how[word] for word in HOW if distinct.how[word]}
    return Call(key[0], _operands(key, distinct), distinct.attrs, distinct.count, how, forward)


def _operands(key: Key, distinct: _Distinct) -> tuple[Operand, ...]:
    pairs = zip(key[1], distinct.elements or [], strict=True)
    return tuple([Operand(shape, DTYPES[dt].name, elements) for (shape, dt), elements in pairs])
