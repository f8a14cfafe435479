"""Hostile calls over the whole public namespace, in a process of its own: ``python fuzz_calls.py DEVICE SEED CALLS``.

Prints one line of JSON: the calls, the errors that are not allowed, the messages that do not begin with a name.
"""

from __future__ import annotations

import collections
import inspect
import json
import random
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import plugrad as pg
from plugrad.errors import FallbackWarning, PlugradError

ALLOWED = PlugradError, ValueError, TypeError, IndexError, OverflowError, MemoryError, NotImplementedError
MODULES = pg.elementwise, pg.reduction, pg.movement, pg.contraction, pg.indexing, pg.creation
LEFT_OUT = {"set_default_device"}
"""Would change what the other calls mean."""
TRANSFORMS = ("checkpoint", "grad", "hessian", "jacfwd", "jacrev", "value_and_grad", "vmap", "compile")
METHODS_LEFT_OUT = {
    "__array__",
    "restore",
    "clone",
    "ghost",
    "content",
    "rebind",
    "assign",
    "adopt",
    "lower",
    "install",
}
"""The core's own, which trust their callers, and NumPy's."""
SECONDS = 20
SPARE = 1 << 29
"""Bytes that the calls may take."""


class Hostile(Exception):
    """What the hostile objects raise; it must come out as it is."""


def _raise(*_: Any) -> Any:
    raise Hostile("a dunder of a hostile object")


def hostile() -> list[Any]:
    """Objects whose special methods raise or lie."""
    names = [f"__{word}__" for word in ("array", "index", "iter", "len", "float", "bool", "getitem", "eq", "int")]
    raising = [type(f"Raising{name}", (), {name: _raise, "__hash__": object.__hash__})() for name in names]
    lies: list[tuple[str, Any]] = [
        ("__array__", lambda *_, **__: "not an array"),
        ("__array__", lambda *_, **__: np.array([None])),
        ("__index__", lambda *_: 2**70),
        ("__iter__", lambda *_: iter([1, "a", None])),
        ("__len__", lambda *_: 2**40),
    ]
    lying = [type(f"Lying{name}", (), {name: lie})() for name, lie in lies]
    sequence = type("Short", (), {"__len__": lambda _: 3, "__getitem__": lambda _, i: [1.0][i]})()
    return [*raising, *lying, sequence]


def nested(depth: int, inside: Any) -> Any:
    for _ in range(depth):
        inside = [inside]
    return inside


def self_referential() -> list[Any]:
    loop: list[Any] = [1.0]
    loop.append(loop)
    return loop


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
    return [*found, floats, pg.flip(floats), recorded, recorded * 2.0, *wide]


PLAIN: list[Any] = [
    None, 0, 1, -1, 2, 3, 2**31, 2**63, -(2**63), 10**30, 2**40, True, 0.5, float("nan"), float("inf"), -0.0, 1j, "",
    "abc", "float32", "int64", b"x", (), (0,), (1, 2), (2, 3), (-1,), (2**40,), (2**31, 2**31), [], [1.0, 2.0],
    [[1], [2, 3]], [None], ["a"], {}, {"a": 1}, {1, 2}, slice(None), slice(2**70), ..., object(), type, int, float, len,
    np.float32, np.datetime64("2020"), np.array(["a"]), np.array([None]), np.array([(1, 2.0)], dtype="i4,f4"),
    np.zeros((2, 3)), np.float64(2.0), np.ma.array([1.0]), range(3), range(2**10), "numpy", "cuda:0", "no such device",
    lambda x: x, lambda *a, **k: None, np.dtype("float32"), np.dtype("O"), float("-inf"), 2**1000,
]  # fmt: skip


class Pool:
    """Draws arguments."""

    def __init__(self, device: str, seed: int) -> None:
        self.pick, self.device = random.Random(seed), device
        self.tensors, self.hostile = tensors(device), hostile()
        self.deep = [nested(5000, 1.0), nested(70, []), self_referential()]

    def tensor(self) -> Any:
        return self.pick.choice(self.tensors)

    def wild(self) -> Any:
        """Anything at all."""
        kind = self.pick.random()
        if kind < 0.35:
            return self.tensor()
        if kind < 0.85:
            return self.pick.choice(PLAIN)
        if kind < 0.93:
            return self.pick.choice(self.hostile)
        if kind < 0.95:
            return self.pick.choice(self.deep)
        several = [self.wild() for _ in range(self.pick.randint(0, 3))]
        return tuple(several) if self.pick.random() < 0.5 else several

    def argument(self, parameter: inspect.Parameter) -> Any:
        if str(parameter.annotation) in ("Tensor", "Any") and self.pick.random() < 0.6:
            return self.tensor()
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


def targets() -> dict[str, Any]:
    """Every public function, by name."""
    found = {name: getattr(m, name) for m in MODULES for name in m.__all__}
    found |= {name: getattr(pg, name) for name in pg.__all__ if inspect.isfunction(getattr(pg, name))}
    found |= {
        f"random.{n}": f
        for n, f in vars(pg.random).items()
        if inspect.isfunction(f) and f.__module__ == pg.random.__name__ and n[0] != "_"
    }
    found |= {"Parameter": pg.Parameter, "Buffer": pg.Buffer}
    return {name: f for name, f in found.items() if name not in LEFT_OUT}


def methods() -> list[str]:
    names = [n for n in dir(pg.Tensor) if callable(getattr(pg.Tensor, n)) and n not in METHODS_LEFT_OUT]
    own = [n for n in names if n not in dir(object) or n in ("__eq__", "__ne__", "__lt__", "__le__", "__format__")]
    return [n for n in own if not n.startswith("_") or (n.endswith("__") and n not in ("__setstate__", "__init__"))]


def canaries(device: str) -> list[tuple[Any, np.ndarray]]:
    arrays = [np.arange(24.0).reshape(4, 6), np.arange(7), np.ones((3, 2), np.float32)]
    return [(pg.tensor(a, device=device), a.copy()) for a in arrays]


class Report:
    """What came of the calls."""

    def __init__(self) -> None:
        self.calls = self.returned = self.named = self.raised = 0
        self.wrong: collections.Counter[str] = collections.Counter()
        self.unnamed: collections.Counter[str] = collections.Counter()

    def run(self, name: str, call: Callable[[], Any]) -> Any:
        """Make one call under the clock; note an error that is not allowed."""
        self.calls += 1
        try:
            signal.setitimer(signal.ITIMER_REAL, SECONDS)
            try:
                result = call()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            self.returned += 1
            return result
        except Hostile:
            return None
        except ALLOWED as error:
            self.raised += 1
            text = str(error)
            if isinstance(error, (PlugradError, MemoryError)) or name.rpartition(".")[2] in text.partition(":")[0]:
                self.named += ":" in text
            if ":" not in text.partition(" ")[0] and not isinstance(error, PlugradError):
                self.unnamed[f"{name}: {type(error).__name__}: {text[:110]}"] += 1
            return None
        except BaseException as error:
            self.wrong[f"{name}: {type(error).__name__}: {str(error)[:160]}"] += 1
            return None


def _late(*_: Any) -> Any:
    raise TimeoutError(f"a call took longer than {SECONDS} s")


def main(device: str, seed: int, calls: int) -> Report:
    """Make the calls; AssertionError if a canary changed."""
    signal.signal(signal.SIGALRM, _late)
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", FallbackWarning)
    warnings.filterwarnings("ignore", message="a write into a view")
    pg.set_default_device(device)
    pool, birds, report = Pool(device, seed), canaries(device), Report()
    functions, names = targets(), methods()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + SPARE, used + SPARE))
    while report.calls < calls:
        for _ in range(200):
            if pool.pick.random() < 0.65:
                name = pool.pick.choice(sorted(functions))
                made = report.run(name, pool.call(functions[name]))
                if name in TRANSFORMS and callable(made):
                    report.run(name, pool.call(lambda *args, made=made: made(*args)))
            else:
                name, x = pool.pick.choice(names), pool.tensor()
                x = x if x.requires_grad else x.copy() if x.size < 100 else x
                report.run(name, pool.call(getattr(x, name)))
        for tensor, wanted in birds:
            assert np.array_equal(tensor.numpy(), wanted), f"a canary changed before call {report.calls}"
        assert pg.state.state().mask == pg.state.RECORDING | 1 and not pg.state.ACTIVE[0], "a mode was left on"
    return report


if __name__ == "__main__":
    found = main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps({**vars(found), "wrong": found.wrong.most_common(), "unnamed": found.unnamed.most_common(40)}))
