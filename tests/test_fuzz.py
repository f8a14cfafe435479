"""Hostile calls, in child processes: each returns or raises an error of an allowed family, and harms nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import plugrad as pg

SCRIPT = Path(__file__).with_name("fuzz_calls.py")
DEVICES = [d for d, o in pg.plugins.available_backends().items() if o.available and d in ("numpy", "cpu")]


def fuzzed(device: str, seed: int, calls: int) -> dict[str, Any]:
    """What one process reports; a crash or a changed canary fails here."""
    command = [sys.executable, "-X", "faulthandler", str(SCRIPT), device, str(seed), str(calls)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0, f"seed {seed} on {device}: exit {done.returncode}\n{done.stderr[-3000:]}"
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["calls"] >= calls and found["returned"] > calls / 10 and found["raised"] > calls / 10, found
    return found


@pytest.mark.parametrize("device", DEVICES)
def test_hostile_calls(device: str) -> None:
    found = fuzzed(device, 1, 1500)
    assert not found["wrong"], found["wrong"][:20]
    assert found["named"] > 0.9 * found["raised"], found["unnamed"]


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seed", range(5))
def test_many_hostile_calls(device: str, seed: int) -> None:
    found = fuzzed(device, 100 + seed, 10_000)
    assert not found["wrong"], found["wrong"][:20]
    assert found["named"] > 0.9 * found["raised"], found["unnamed"]


def test_the_namespace_is_covered() -> None:
    """Found by introspection: what others add is called too."""
    code = "import fuzz_calls as f, json; print(json.dumps([sorted(f.targets()), f.methods()]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPT.parent, capture_output=True, text=True, check=True)
    functions, methods = json.loads(done.stdout)
    assert {"sum", "asarray", "reshape", "random.normal", "grad", "vmap", "Parameter"} <= set(functions)
    assert {"sum", "__add__", "__getitem__", "__setitem__", "backward", "item"} <= set(methods)
    assert len(functions) > 130 and len(methods) > 60


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: pg.sum("abc"), "sum: x is a str, but must be a tensor"),
        (lambda x: pg.reshape([1, 2], (2,)), "reshape: x is a list, but must be a tensor"),
        (lambda x: pg.pad(x, 5), "pad: object of type 'int' has no len.*got x: float32 tensor of shape"),
        (lambda x: pg.linspace(0.0, 1.0, "n"), "linspace: .*num: str"),
        (lambda x: pg.add(x, "abc"), "add: an operand is a str"),
        (lambda x: pg.grad(3), "grad: got a int where a function is needed"),
        (lambda x: pg.sum(x, x, x), "sum: too many positional arguments; the call is sum"),
        (lambda x: pg.create(3, "sgd"), "create: the kind is an int, but must be a string"),
    ],
)
def test_a_wrong_argument_is_named(call: Any, text: str) -> None:
    with pytest.raises(pg.errors.ArgumentError, match=text) as caught:
        call(pg.ones((2,), device="numpy"))
    assert isinstance(caught.value, TypeError) and isinstance(caught.value, ValueError)


def test_errors_of_the_users_own_pass_as_they_are() -> None:
    class Own(ValueError):
        pass

    class Index:
        def __iter__(self) -> Any:
            raise Own("mine")

    with pytest.raises(Own, match="^mine$"):
        pg.reshape(pg.ones((2,), device="numpy"), Index())  # type: ignore[arg-type]
    with pytest.raises(IndexError, match="^take: "):
        pg.take(pg.ones((2,), device="numpy"), [7])


def test_lists_without_end() -> None:
    loop: list[Any] = [1.0]
    loop.append(loop)
    deep: Any = 1.0
    for _ in range(5000):
        deep = [deep]
    for bad in (loop, deep):
        with pytest.raises(pg.errors.ShapeError, match="nested so deeply, or holding itself"):
            pg.asarray(bad)
