"""Replaying captured calls finds a kernel that is wrong at one shape only, which no sample has."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

import plugrad as pg
import plugrad_nn as nn
from plugrad.backend import Kernel
from plugrad.testing import NotHere
from plugrad.testing.broken.backends import base
from plugrad.testing.broken.backends.base import K, kernel
from plugrad.testing.capture import Call, Captured, Operand, Recorder, replay, replay_checks

SKIPPED = "skipped: "
BACKENDS = ExitStack()


@pytest.fixture(autouse=True)
def _backends_go_again() -> Iterator[None]:
    with BACKENDS:
        yield


def loaded(**members: Any) -> str:
    """A device that is the reference but for these members, until the test ends."""
    return BACKENDS.enter_context(base.loaded(members))


def net(channels: int) -> Captured:
    """The calls of one step of a convolution of 3 by 3 over so many channels, by the reference."""
    pg.manual_seed(0)
    with pg.device("numpy"), Recorder() as recorder:
        model = nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
        x = pg.asarray(np.random.default_rng(0).random((2, channels, 4, 4), np.float32))
        nn.functional.cross_entropy(model(x), pg.asarray([0, 2])).backward()
    return recorder.captured("net.py")


@pytest.fixture(scope="module")
def eight() -> Captured:
    """Of 8 channels: its products have k = 72."""
    return net(8)


@pytest.fixture(scope="module")
def seven() -> Captured:
    return net(7)


def calls(*given: Call) -> Captured:
    return Captured("by hand", pg.__version__, (), {}, given)


def failures(captured: Captured, device: str) -> dict[str, str]:
    """What each check that fails says."""
    found = {}
    for check in replay_checks(captured, device):
        try:
            check()
        except AssertionError as error:
            found[check.name] = str(error)
        except NotHere as reason:
            found[check.name] = f"{SKIPPED}{reason}"
    return found


def wrong_at_72(x: Any, y: Any) -> Any:
    """A product that forgets its last term where there are 72, as one blocked by 71 would."""
    return np.matmul(x[..., :-1], y[..., :-1, :]) if x.shape[-1] == 72 else np.matmul(x, y)


def claim(wrong: bool) -> Any:
    """A claim of the convolution, that is wrong for 8 channels."""

    def conv2d(x: Any, w: Any, **attrs: Any) -> Any:
        y = pg.op.OPS["nn.conv2d"].decompose(*[pg.asarray(a, device="numpy") for a in (x, w)], **attrs)
        found = np.array(y.numpy())
        if wrong and w.shape[1] == 8:
            found[-1, -1, -1, -1] += 0.01
        return found

    return conv2d


def test_honest_backends_pass(eight: Captured) -> None:
    assert len(eight.calls) > 40
    for device in ("numpy", loaded(), loaded(**kernel("nn.conv2d", claim(False)))):
        assert failures(eight, device) == {}


def test_a_product_that_is_wrong_at_one_shape(eight: Captured, seven: Captured) -> None:
    device = loaded(**kernel("matmul", wrong_at_72))
    assert failures(seven, device) == {}
    found = failures(eight, device)
    products = {name: text for name, text in found.items() if name.startswith("captured.matmul.float32.")}
    assert products and "captured.nn.conv2d.float32.0" in found
    assert all("matmul(" in text and "72" in text and f"on {device}" in text for text in products.values())
    assert all("captured from net.py" in text and "expected" in text for text in products.values())


def test_a_claim_that_is_wrong_at_one_shape(eight: Captured, seven: Captured) -> None:
    device = loaded(**kernel("nn.conv2d", claim(True)))
    assert failures(seven, device) == {}
    ((name, text),) = failures(eight, device).items()
    assert name == "captured.nn.conv2d.float32.0"
    assert "nn.conv2d((2, 8, 4, 4), (4, 8, 3, 3)" in text and "native" in text and "1 of 128 elements" in text


def test_names_are_unique_and_checks_say_what_they_are_about(eight: Captured) -> None:
    checks = replay_checks(eight, "numpy")
    assert len({check.name for check in checks}) == len(checks)
    assert [check.name for check in replay_checks(eight, "cpu")] == [check.name for check in checks]
    for check in checks:
        assert check.kind == "op" and check.device == "numpy"
        assert check.name.startswith(f"captured.{check.subject}.{check.dtype}.")


def test_a_kernel_that_raises_declines_or_gives_another_dtype() -> None:
    def raises(x: Any, y: Any) -> Any:
        raise ZeroDivisionError("by hand")

    x = Operand((3, 4), "float32", {"low": 1.0, "high": 2.0, "mean": 1.5, "std": 0.2})
    captured = calls(Call("matmul", (x, dataclasses.replace(x, shape=(4, 2))), {}, 1, {"native": 1}))
    for fn, words in ((raises, "ZeroDivisionError: by hand"), (lambda x, y: np.matmul(x, y) * 1j, "complex64")):
        ((_, text),) = failures(captured, loaded(**kernel("matmul", fn))).items()
        assert words in text and "matmul((3, 4), (4, 2))" in text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert failures(captured, loaded(**kernel("matmul", lambda x, y: NotImplemented))) == {}


def test_a_kernel_that_is_wrong_for_a_python_scalar() -> None:
    x = Operand((3, 4), "float32", {"low": 1.0, "high": 2.0, "mean": 1.5, "std": 0.2})
    two = Operand((), "float32", {"low": 2.0, "high": 2.0, "mean": 2.0, "std": 0.0})
    captured = calls(Call("mul", (x, two), {}, 1, {"native": 1}))

    def wrong(x: Any, y: Any) -> Any:
        return np.multiply(x, y) if isinstance(y, np.ndarray) else np.multiply(x, np.float32(y + 1))

    assert failures(captured, loaded(**kernel("mul", Kernel(np.multiply, scalars=True)))) == {}
    ((_, text),) = failures(captured, loaded(**kernel("mul", Kernel(wrong, scalars=True)))).items()
    assert "the second operand a Python scalar" in text


def test_one_result_of_several_is_named() -> None:
    def wrong(x: Any, **attrs: Any) -> Any:
        sign, value = K["slogdet"](x)
        return sign, value + np.float32(1)

    matrix = Operand((5, 5), "float32", {"low": 0.0, "high": 1.0, "mean": 0.5, "std": 0.2})
    captured = calls(Call("slogdet", (matrix,), {}, 1, {"native": 1}))
    ((_, text),) = failures(captured, loaded(**kernel("slogdet", wrong))).items()
    assert "result 1" in text


def test_a_dtype_that_the_device_does_not_store_is_skipped_with_the_reason() -> None:
    x = Operand((3,), "float64", {"low": 0.0, "high": 1.0, "mean": 0.5, "std": 0.2})
    narrow = dataclasses.replace(x, dtype="float32")
    captured = calls(
        Call("exp", (x,), {}, 1, {"native": 1}),
        Call("cast", (narrow,), {"dtype": np.dtype("float64")}, 1, {"native": 1}),
        Call("full", (), {"shape": (2,), "dtype": np.dtype("float64"), "value": 1}, 1, {"native": 1}),
        Call("exp", (narrow,), {}, 1, {"native": 1}),
    )
    device = loaded(dtypes="b1 i8 u4 f4")
    found = failures(captured, device)
    names = ["captured.exp.float64.0", "captured.cast.float32.0", "captured.full.float64.0"]
    assert found == {name: f"{SKIPPED}{name}: {device} does not store float64" for name in names}


def test_large_calls_need_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def starved(x: Any) -> Any:
        raise MemoryError("of the device")

    x = Operand((1000,), "float32", {"low": 0.0, "high": 1.0, "mean": 0.5, "std": 0.2})
    captured = calls(Call("exp", (x,), {}, 1, {"native": 1}))
    device = loaded(**kernel("exp", starved))
    ((_, text),) = failures(captured, device).items()
    assert text.startswith("exp((1000,)) of float32") and "MemoryError" in text
    monkeypatch.setattr(replay, "LARGE", 999)
    ((name, text),) = failures(captured, device).items()
    assert text.startswith(f"{SKIPPED}{name}: no memory: ") and "of the device" in text
    monkeypatch.setattr(replay, "NEEDED", 1e12)
    ((name, text),) = failures(captured, "numpy").items()
    assert text.startswith(f"{SKIPPED}{name}: 1000 elements need about") and "this machine's" in text
    monkeypatch.setattr(replay, "LARGE", 1000)
    assert failures(captured, "numpy") == {}


def test_operands_are_the_same_in_every_run() -> None:
    seen: list[np.ndarray] = []

    def watched(x: Any) -> Any:
        seen.append(np.array(x))
        return np.exp(x)

    x = Operand((1000,), "float32", {"low": 0.0, "high": 1.0, "mean": 0.5, "std": 0.2})
    device = loaded(**kernel("exp", watched))
    for _ in range(2):
        assert failures(calls(Call("exp", (x,), {}, 1, {"native": 1})), device) == {}
    first, second = seen
    assert np.array_equal(first, second) and first.std() > 0.1


def test_a_shape_that_is_none_fails_with_its_words() -> None:
    attrs = {"shape": ("x",), "dtype": np.dtype("float32"), "value": 1.0}
    ((_, text),) = failures(calls(Call("full", (), attrs, 1, {"native": 1})), "numpy").items()
    assert text.startswith("captured.full.float32.0: its shapes: raised TypeError")


def test_a_later_meaning_of_an_op_fails_with_its_words() -> None:
    x = Operand((3,), "float32", {"low": 0.0, "high": 1.0, "mean": 0.5, "std": 0.2})
    ((_, text),) = failures(calls(Call("exp", (x,), {"base": 2}, 1, {"native": 1})), "numpy").items()
    assert text.startswith("exp((3,), base=2)") and "raised" in text
