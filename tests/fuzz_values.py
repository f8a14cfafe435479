"""The arguments of hostile calls: wild tensors, objects that raise or lie, endless lists, functions that misbehave."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable
from typing import Any

import numpy as np

import plugrad as pg

WIDE = 2
"""How many of the tensors, the last ones, are too wide to be copied."""
PATIENCE = 50
"""How often one function of the pool answers."""


class Hostile(Exception):
    """What the hostile objects raise; it must come out as it is."""


def _raise(*_: Any, **__: Any) -> Any:
    raise Hostile("a dunder of a hostile object")


_DUNDERS = ("array", "index", "iter", "len", "float", "bool", "getitem", "eq", "int", "call", "hash", "repr", "dlpack")


def hostile() -> list[Any]:
    """Objects whose special methods raise or lie."""
    names = [f"__{word}__" for word in _DUNDERS]
    raising = [type(f"Raising{n}", (), {"__hash__": object.__hash__, n: _raise})() for n in names]
    lies: list[tuple[str, Any]] = [
        ("__array__", lambda *_, **__: "not an array"),
        ("__array__", lambda *_, **__: np.array([None])),
        ("__index__", lambda *_: 2**70),
        ("__iter__", lambda *_: iter([1, "a", None])),
        ("__len__", lambda *_: 2**40),
        ("shape", (2, 3)),
        ("dtype", "float32"),
    ]
    lying = [type(f"Lying{name}", (), {name: lie})() for name, lie in lies]
    sequence = type("Short", (), {"__len__": lambda _: 3, "__getitem__": lambda _, i: [1.0][i]})()
    return [*raising, *lying, sequence]


def exchanged() -> list[Any]:
    """Objects that say they speak DLPack."""
    used = np.arange(3.0).__dlpack__()
    np.from_dlpack(type("Once", (), {"__dlpack__": lambda *_, **__: used, "__dlpack_device__": lambda _: (1, 0)})())
    places: list[Any] = [(1, 0), (2, 0), (99, 0), (1, 2**40), (1,), None, "cpu", (None, None), ("a", "b"), (1.5, 0)]
    capsules: list[Callable[..., Any]] = [lambda *_, v=v, **__: v for v in (None, 3, b"x", used)]  # type: ignore[misc]
    capsules += [_raise, lambda *_, **__: used, lambda *_, **__: np.ones(2), lambda _: np.ones(2).__dlpack__()]
    found = [
        type("Speaks", (), {"__dlpack__": capsule, "__dlpack_device__": lambda _, p=place: p})()
        for capsule in capsules
        for place in places
    ]
    found.append(type("Homeless", (), {"__dlpack__": lambda *_, **__: None})())
    found.append(type("Silent", (), {"__dlpack_device__": lambda _: (1, 0)})())
    found.append(type("Moody", (), {"__dlpack__": _raise, "__dlpack_device__": _raise})())
    return [*found, np.array(["a"]), np.ones(3), np.ones((2, 3))[:, ::-1], np.broadcast_to(np.ones(1), (3,))]


def nested(depth: int, inside: Any) -> Any:
    for _ in range(depth):
        inside = [inside]
    return inside


def endless() -> list[Any]:
    """A list, a dict and a tuple that hold themselves, and lists that are very deep."""
    loop: list[Any] = [1.0]
    loop.append(loop)
    table: dict[str, Any] = {"a": 1.0}
    table["b"] = table
    return [nested(5000, 1.0), nested(70, []), loop, table, (loop,)]


def tensors(device: str) -> list[Any]:
    """Wild ones: scalars, empty, broadcast, reversed, transposed, of every dtype that the device stores."""
    found = []
    stored = pg.dtypes.parse(pg.backend.BACKENDS[pg.plugins.backend_index(device)].dtypes)
    for code in sorted(stored):
        a = np.asarray([[0, 1, 2], [3, 1, 0]]).astype(pg.dtypes.DTYPES[code])
        found += [pg.asarray(v, device=device) for v in (a, a[:, ::-1], a.T, a[0, 0], a[:0], a[:, :1])]
    floats = pg.asarray(np.array([np.nan, np.inf, -np.inf, -0.0, 1e38]), device=device)
    wide = [pg.broadcast_to(pg.ones((1,), device=device), (2, 2**28)), pg.broadcast_to(floats[0], (3, 0, 2**40))]
    recorded = pg.ones((2, 3), device=device).requires_grad_()
    square = [pg.asarray(np.eye(3) * n, device=device) for n in (0.0, 2.0, np.nan)]
    keys = [pg.random.key(3, device=device)]
    return [*found, floats, pg.flip(floats), recorded, recorded * 2.0, *square, *keys, *wide]


PLAIN: list[Any] = [
    None, 0, 1, -1, 2, 3, 2**31, 2**63, -(2**63), 10**30, 2**40, True, 0.5, float("nan"), float("inf"), -0.0, 1j, "",
    "abc", "float32", "int64", b"x", (), (0,), (1, 2), (2, 3), (-1,), (2**40,), (2**31, 2**31), [], [1.0, 2.0],
    [[1], [2, 3]], [None], ["a"], {}, {"a": 1}, {1, 2}, slice(None), slice(2**70), ..., object(), type, int, float, len,
    np.float32, np.datetime64("2020"), np.array(["a"]), np.array([None]), np.array([(1, 2.0)], dtype="i4,f4"),
    np.zeros((2, 3)), np.float64(2.0), np.ma.array([1.0]), range(3), range(2**10), "numpy", "cuda:0", "no such device",
    np.dtype("float32"), np.dtype("O"), float("-inf"), 2**1000, "ij,jk->ik", "i...,...", "ortho", "x" * 5000,
    10**5000,
]  # fmt: skip


class Pool:
    """Draws arguments."""

    def __init__(self, device: str, seed: int) -> None:
        self.pick, self.device, self.wide = random.Random(seed), device, True
        self.tensors, self.hostile, self.endless, self.exchanged = tensors(device), hostile(), endless(), exchanged()

    def tensor(self) -> Any:
        return self.pick.choice(self.tensors if self.wide else self.tensors[:-WIDE])

    def wild(self) -> Any:
        """Anything at all."""
        kind = self.pick.random()
        if kind < 0.35:
            return self.tensor()
        if kind < 0.8:
            return self.pick.choice(PLAIN)
        if kind < 0.85:
            return self.function()
        if kind < 0.92:
            return self.pick.choice(self.hostile)
        if kind < 0.94:
            return self.pick.choice(self.endless)
        if kind < 0.95:
            return self.pick.choice(self.exchanged)
        several = [self.wild() for _ in range(self.pick.randint(0, 3))]
        return tuple(several) if self.pick.random() < 0.5 else several

    def function(self) -> Any:
        """A function that gives what it got, or a part, or something else, and in the end raises."""
        left, kind, other = [PATIENCE], self.pick.randrange(8), self.wild_value()

        def answer(*args: Any, **_: Any) -> Any:
            left[0] -= 1
            if left[0] < 0 or kind == 0:
                raise Hostile("a function of the pool")
            several = [args, (args[:1] * 2), other, args[:1]]
            if kind == 1 and args and isinstance(args[0], pg.Tensor):
                return pg.sum(args[0] * 2.0)
            if kind == 2 and args and isinstance(args[0], pg.Tensor):
                args[0][...] = 0
            return args[0] if kind < 4 and args else several[kind - 4] if kind >= 4 else None

        return answer

    def wild_value(self) -> Any:
        return self.pick.choice([self.tensor(), self.pick.choice(PLAIN), self.pick.choice(self.hostile)])

    def index(self) -> Any:
        """What might stand in brackets."""
        pick = self.pick
        bound = [None, 0, 1, -1, 2, 5, -7, 2**63, -(2**70), 0.5, "a", self.pick.choice(self.hostile)]

        def part() -> Any:
            kind = pick.random()
            if kind < 0.3:
                return slice(pick.choice(bound), pick.choice(bound), pick.choice([*bound[:8], None]))
            if kind < 0.5:
                return pick.choice([0, 1, -1, 2, 3, 2**63, None, ..., True, False, np.int64(1), [0, 1], [True, False]])
            return self.wild()

        return part() if pick.random() < 0.4 else tuple(part() for _ in range(pick.randint(0, 4)))

    def argument(self, parameter: inspect.Parameter) -> Any:
        annotation = str(parameter.annotation)
        if annotation in ("Tensor", "Any") and self.pick.random() < 0.6:
            return self.tensor()
        if annotation in ("F", "Callable") and self.pick.random() < 0.8:
            return self.function()
        return self.wild()

    def call(self, function: Any) -> Callable[[], Any]:
        """A call, most often with the right number of arguments."""
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            parameters = []
        args, kwargs = [], {}
        for p in parameters:
            if p.kind is p.VAR_POSITIONAL:
                args += [self.argument(p) for _ in range(self.pick.randint(0, 3))]
            elif p.kind is p.VAR_KEYWORD or (p.default is not p.empty and self.pick.random() < 0.5):
                continue
            elif p.kind is p.KEYWORD_ONLY:
                kwargs[p.name] = self.argument(p)
            else:
                args.append(self.argument(p))
        return lambda: function(*args, **kwargs)
