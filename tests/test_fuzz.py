"""Hostile calls, in child processes: each returns or raises an error of an allowed family, and harms nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
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
    found = fuzzed(device, 1, 3000)
    assert not found["wrong"], found["wrong"][:20]
    assert found["named"] > 0.95 * found["raised"], found["unnamed"]


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seed", range(5))
def test_many_hostile_calls(device: str, seed: int) -> None:
    found = fuzzed(device, 100 + seed, 10_000)
    assert not found["wrong"], found["wrong"][:20]
    assert found["named"] > 0.95 * found["raised"], found["unnamed"]


def test_the_namespace_is_covered() -> None:
    """Found by introspection: what others add is called too."""
    code = "import fuzz_calls as f, json; print(json.dumps([sorted(f.targets()), f.methods()]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPT.parent, capture_output=True, text=True, check=True)
    functions, methods = json.loads(done.stdout)
    assert {"sum", "asarray", "reshape", "random.normal", "linalg.svd", "fft.rfft", "einsum", "sort"} <= set(functions)
    assert {"grad", "vmap", "cond", "scan", "custom_vjp", "from_dlpack", "Generator.key", "Parameter"} <= set(functions)
    assert {"sum", "__add__", "__getitem__", "__setitem__", "backward", "item"} <= set(methods)
    assert len(functions) > 230 and len(methods) > 60


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: pg.sum("abc"), "sum: x is a str, but must be a tensor"),
        (lambda x: pg.reshape([1, 2], (2,)), "reshape: x is a list, but must be a tensor"),
        (lambda x: pg.pad(x, 5), "pad: object of type 'int' has no len.*got x: float32 tensor of shape"),
        (lambda x: pg.linspace(0.0, 1.0, "n"), "linspace: .*num: str"),
        (lambda x: pg.add(x, "abc"), "add: an operand is a str"),
        (lambda x: pg.grad(3), "grad: got an int where a function is needed"),
        (lambda x: pg.sum(x, x, x), "sum: too many positional arguments; the call is sum"),
        (lambda x: pg.create(3, "sgd"), "create: the kind is an int, but must be a string"),
    ],
)
def test_a_wrong_argument_is_named(call: Any, text: str) -> None:
    with pytest.raises(pg.errors.ArgumentError, match=text) as caught:
        call(pg.ones((2,), device="numpy"))
    assert isinstance(caught.value, TypeError) and isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: x[7], r"getitem: index 7 is out of range for axis 0 of shape \(2, 3\); use -2 to 1"),
        (lambda x: x[10**5000], "getitem: index <int of very many digits> is out of range for axis 0"),
        (
            lambda x: x[pg.asarray([7], device="numpy")],
            r"^getitem: index 7 is out of range for axis 0 of shape \(2, 3\)",
        ),
        (lambda x: x[0, 0, 0], r"getitem: 3 indices for shape \(2, 3\), which has 2 axes; leave out 1"),
        (lambda x: x[0.5:], r"getitem: slice\(0.5, None, None\) along axis 0 of shape \(2, 3\): slice indices must be"),
        (lambda x: x[int], "getitem: <class 'int'> is no index; use integers"),
        (lambda x: x.at[[[9]]].add(1.0), "at.add: .* out of range"),
        (lambda x: pg.linalg.trace(x[0]), "^linalg.trace: diagonal: shape"),
        (lambda x: pg.reshape(x, x), "reshape: .* is not a shape"),
        (lambda x: pg.sum(x, axis=x), "sum: axis .* must be an integer"),
        (lambda x: pg.linalg.matrix_transpose(3), "matrix_transpose: x is an int, but must be a tensor"),
        (lambda x: pg.while_loop(3, lambda c: c, x), "while_loop: cond_fn: got an int where a function is needed"),
        (lambda x: pg.scan(lambda c, r: (c, r), x, length=[2]), "scan: length: got a list, where an integer is needed"),
        (lambda x: pg.fori_loop(x, 3, lambda i, c: c, x), "fori_loop: lower is a float32 tensor"),
        (lambda x: pg.linear_solve(lambda v: v, [], lambda f, b: b), "linear_solve: got a list without a tensor in it"),
        (lambda x: pg.random.split(x), "random.split: the first argument must be a key"),
        (lambda x: pg.manual_seed([1]), "manual_seed: the seed is a list, but must be an integer"),
        (lambda x: pg.to_dot(x, names=3), "to_dot: names is an int, but must be a Module or None"),
        (lambda x: pg.to_dot(x, 3), "to_dot: arguments for a Tensor; names= is a keyword"),
        (lambda x: pg.jacfwd(lambda v: (v, v))(x), "jacfwd.*the function returned a tuple; it must return one tensor"),
        (lambda x: pg.promotion(np.ones(2)), "promotion: mode .* is unknown"),
    ],
)
def test_what_was_mended_stays_mended(call: Any, text: str) -> None:
    with pytest.raises((pg.errors.PlugradError, IndexError, ValueError), match=text):
        call(pg.ones((2, 3), device="numpy"))


def test_differences_end_where_nothing_is_left() -> None:
    assert pg.diff(pg.ones((2, 3), device="numpy"), n=2**62).shape == (2, 0)


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
        with pytest.raises(IndexError, match="getitem: .* is no index"):
            pg.ones((2,), device="numpy")[bad]
        with pytest.raises(pg.errors.ShapeError, match="nested so deeply|contains itself"):
            pg.grad(lambda x: x)(bad)
        with pytest.raises(pg.errors.ShapeError, match="nested so deeply|contains itself"):
            pg.scan(lambda c, x: (c, x), bad, length=1)
