"""The base of the benchmarks: what a device lacks is skipped with the reason, and a wrong result is not timed."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import plugrad as pg
from plugrad.reference.backend import NumpyBackend
from plugrad.testing.broken.backends.base import loaded

BASE = Path(__file__).resolve().parents[1] / "benchmarks" / "benchmarks" / "base.py"


@pytest.fixture
def base() -> Iterator[Any]:
    pytest.importorskip("asv_runner")
    spec = importlib.util.spec_from_file_location("benchmark_base", BASE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def bench(base: Any, factor: float = 1.0) -> Any:
    class Sine(base.BackendBench):
        def prepare(self, *case: Any) -> None:
            self.array = base.normal(10)
            self.x = self.on_device(self.array)

        def compute(self) -> pg.Tensor:
            return pg.sin(self.x)

        def expected(self) -> np.ndarray:
            return np.asarray(factor * np.sin(self.array))

    return Sine()


def test_what_the_host_would_do_is_skipped_with_the_reason(base: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUGRAD_FALLBACK", "warn")
    bare = {"kernels": {"copy": NumpyBackend.kernels["copy"]}, "into": {}}
    with loaded(bare) as device, pytest.raises(NotImplementedError, match=f"sin: {device} has no kernel for float32"):
        bench(base).setup(device)
    with loaded() as device:
        bench(base).setup(device)
    assert base.os.environ["PLUGRAD_FALLBACK"] == "warn"


def test_a_device_that_is_absent_is_skipped(base: Any) -> None:
    with pytest.raises(NotImplementedError, match="toaster"):
        bench(base).setup("toaster")


def test_a_wrong_result_is_not_timed(base: Any) -> None:
    with pytest.raises(AssertionError, match="Not equal"):
        bench(base, factor=2.0).setup("numpy")
