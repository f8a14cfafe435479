"""Hostile calls over the whole public namespace, in a process of its own: ``python fuzz_calls.py DEVICE SEED CALLS``.

Prints one line of JSON: the calls, the errors that are not allowed, the messages that do not name the function.
"""

from __future__ import annotations

import collections
import faulthandler
import inspect
import json
import re
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_values import Hostile, Pool

import plugrad as pg
from plugrad.errors import DonatedError, FallbackWarning, PlugradError

ALLOWED = PlugradError, ValueError, TypeError, IndexError, OverflowError, MemoryError, NotImplementedError, BufferError
SUBMODULES = pg.linalg, pg.fft, pg.random
LEFT_OUT = {"set_default_device"}
"""Would change what the other calls mean."""
TRANSFORMS = {
    "checkpoint", "compile", "custom_jvp", "custom_vjp", "grad", "hessian", "jacfwd", "jacrev", "stage",
    "value_and_grad", "vjp", "vmap",
}  # fmt: skip
"""What they give is a function, or holds one, that is called too."""
SLOW = "linalg.", "fft.", "einsum", "unstack"
"""Not called with the widest tensors: a minute inside LAPACK, or of making handles, says nothing."""
LOOPS = {"cond", "fori_loop", "scan", "while_loop", "custom_root", "linear_solve"}
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
    "successor",
    "concrete",
    "trained",
}
"""The core's own, which trust their callers, and NumPy's."""
SAID = {
    "shift_left": "bitwise_left_shift", "shift_right": "bitwise_right_shift",
    "sub": "subtract", "mul": "multiply", "div": "divide", "truediv": "divide", "floordiv": "floor_divide",
    "mod": "remainder", "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift",
    "eq": "equal", "ne": "not_equal",
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "neg": "negative", "pos": "positive",
    "invert": "bitwise_invert", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
}  # fmt: skip
"""What an operator is called as a function."""
BY: dict[str, set[str]] = {
    "greater": {"less"}, "greater_equal": {"less_equal"}, "gt": {"less"}, "ge": {"less_equal"},
    "not_equal": {"equal"}, "ne": {"equal"}, "square": {"mul"}, "logical_not": {"invert"}, "isinf": {"abs"},
    "logical_and": {"bitwise_and"}, "logical_or": {"bitwise_or"}, "logical_xor": {"bitwise_xor"},
    "iter": {"len"}, "truediv": {"div"}, "getitem": {"gather"}, "clip": {"minimum", "maximum"},
    "hessian": {"grad", "jacfwd"}, "custom_jvp": {"defjvp"}, "custom_vjp": {"defvjp"}, "dlpack": {"dlpack"},
}  # fmt: skip
"""Ops of another name than the functions that are made of them alone."""
SECONDS = 20
SPARE = 1 << 29
"""Bytes that the calls may take."""


def targets() -> dict[str, Any]:
    """Every public function, by name."""
    found = {name: getattr(pg, name) for name in pg.__all__ if inspect.isroutine(getattr(pg, name))}
    for module in SUBMODULES:
        own = {n: f for n, f in vars(module).items() if inspect.isroutine(f) and n[0] != "_"}
        found |= {f"{module.__name__.rpartition('.')[2]}.{n}": f for n, f in own.items()}
    found |= {"Parameter": pg.Parameter, "Buffer": pg.Buffer, "custom_vjp": pg.custom_vjp, "custom_jvp": pg.custom_jvp}
    generator = pg.random.Generator(1)
    found |= {f"Generator.{n}": getattr(generator, n) for n in dir(generator) if n[0] != "_" and n != "parameters"}
    return {name: f for name, f in found.items() if name not in LEFT_OUT and callable(f)}


def methods() -> list[str]:
    names = [n for n in dir(pg.Tensor) if callable(getattr(pg.Tensor, n)) and n not in METHODS_LEFT_OUT]
    own = [n for n in names if n not in dir(object) or n in ("__eq__", "__ne__", "__lt__", "__le__", "__format__")]
    return [n for n in own if not n.startswith("_") or (n.endswith("__") and n not in ("__setstate__", "__init__"))]


def canaries(device: str) -> list[tuple[Any, np.ndarray]]:
    arrays = [np.arange(24.0).reshape(4, 6), np.arange(7), np.ones((3, 2), np.float32)]
    return [(pg.tensor(a, device=device), a.copy()) for a in arrays]


def names_of(name: str) -> set[str]:
    """What a message may call a function: its own name, or that of the op or the function that does its work."""
    short = re.sub(r"^__(.*)__$", r"\1", name.rpartition(".")[2])
    found = {short, short[1:] if name.startswith("__") and short[:1] in "ir" else short}
    found |= {SAID[b] for b in found if b in SAID}
    return found | {k for k, v in SAID.items() if v in found} | BY.get(short, set())


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
            faulthandler.dump_traceback_later(3 * SECONDS, exit=True)  # where no signal is heard
            try:
                result = call()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                faulthandler.cancel_dump_traceback_later()
            self.returned += 1
            return result
        except Hostile:
            return None
        except ALLOWED as error:
            self.raised += 1
            text = str(error)
            said = set(re.findall(r"\w+", text.partition(":")[0]))
            # the interpreter's own complaint has no colon
            counted = re.match(rf"(Tensor\.)?{re.escape(name)}\(\) (takes|missing|got|needs) ", text)
            if counted or (":" in text and said & names_of(name)):
                self.named += 1
            else:
                self.unnamed[f"{name}: {type(error).__name__}: {text[:110]}"] += 1
            return None
        except BaseException as error:
            if isinstance(error, AttributeError) and name == "from_dlpack" and str(error).startswith(f"{name}:"):
                return None  # as the Array API has it
            where = traceback.extract_tb(error.__traceback__)[-1]
            at = f"{Path(where.filename).name}:{where.lineno}"
            self.wrong[f"{name}: {type(error).__name__}: {str(error)[:160]} ({at})"] += 1
            return None


def _late(*_: Any) -> Any:
    raise TimeoutError(f"a call took longer than {SECONDS} s")


def own(x: Any) -> Any:
    """A handle that may be written to, but for one that a call gave away."""
    try:
        return x if x.requires_grad or x.size >= 100 else x.copy()
    except DonatedError:
        return x


def write(x: Any, index: Any, value: Any) -> None:
    x[index] = value


class Caller:
    """Makes calls of one kind or another."""

    def __init__(self, pool: Pool, report: Report) -> None:
        self.pool, self.report, self.functions, self.methods = pool, report, targets(), methods()
        self.names = sorted(self.functions)
        self.loops = sorted(LOOPS & set(self.names))

    def function(self) -> None:
        name = self.pool.pick.choice(self.names)
        self.called(name)

    def loop(self) -> None:
        self.called(self.pool.pick.choice(self.loops))

    def called(self, name: str) -> None:
        """A call; of what it gives, if that is a function, another."""
        self.pool.wide = not name.startswith(SLOW)
        made = self.report.run(name, self.pool.call(self.functions[name]))
        self.pool.wide = True
        if name in TRANSFORMS:
            for f in made if isinstance(made, tuple) else (made,):
                if callable(f):
                    alias = "pullback" if name == "vjp" else name
                    self.report.run(alias, self.pool.call(_bare(f)))
                    if name.startswith("custom"):
                        rules = [self.pool.function(), self.pool.function()][: 2 if name == "custom_vjp" else 1]
                        self.report.run(name, lambda f=f, rules=rules: _defined(f, rules))
                        self.report.run("grad", self.pool.call(_bare(pg.grad(f))))

    def method(self) -> None:
        name, x = self.pool.pick.choice(self.methods), self.pool.tensor()
        self.report.run(name, self.pool.call(getattr(own(x), name)))

    def index(self) -> None:
        x, index, pool = own(self.pool.tensor()), self.pool.index(), self.pool
        kind = pool.pick.random()
        if kind < 0.4:
            self.report.run("__getitem__", lambda: x[index])
        elif kind < 0.7:
            value = pool.wild()
            self.report.run("__setitem__", lambda: write(x, index, value))
        else:
            name = pool.pick.choice(["set", "add", "multiply", "divide", "min", "max"])
            self.report.run(f"at.{name}", pool.call(getattr(x.at[index], name)))

    def exchange(self) -> None:
        obj, name = self.pool.pick.choice(self.pool.exchanged), self.pool.pick.choice(["from_dlpack", "asarray"])
        function = self.functions[name]
        self.report.run(name, self.pool.call(lambda *, device=None, copy=None: function(obj, device=device, copy=copy)))


def _bare(f: Any) -> Any:
    """With a signature that says nothing."""
    return lambda *args: f(*args)


def _defined(f: Any, rules: list[Any]) -> None:
    for name in ("defvjp", "defjvp"):
        if hasattr(f, name):
            getattr(f, name)(*rules)


def main(device: str, seed: int, calls: int) -> Report:
    """Make the calls; AssertionError if a canary changed."""
    signal.signal(signal.SIGALRM, _late)
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", FallbackWarning)
    warnings.filterwarnings("ignore", message="a write into a view")
    pg.set_default_device(device)
    report, birds = Report(), canaries(device)
    caller = Caller(Pool(device, seed), report)
    ways = [caller.function] * 11 + [caller.method] * 4 + [caller.index] * 3 + [caller.loop, caller.exchange]
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + SPARE, used + SPARE))
    while report.calls < calls:
        for _ in range(200):
            caller.pool.pick.choice(ways)()
        for tensor, wanted in birds:
            assert np.array_equal(tensor.numpy(), wanted), f"a canary changed before call {report.calls}"
        assert pg.state.state().mask == pg.state.RECORDING | 1 and not pg.state.ACTIVE[0], "a mode was left on"
    return report


if __name__ == "__main__":
    found = main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps({**vars(found), "wrong": found.wrong.most_common(), "unnamed": found.unnamed.most_common(400)}))
