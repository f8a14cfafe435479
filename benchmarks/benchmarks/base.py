"""What all benchmarks share: the list of devices, skipping with a reason, waiting for the device, checking the result.

A fast wrong kernel must not look good, so every case is compared with NumPy before it is timed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from asv_runner.benchmarks.mark import SkipNotImplemented

import plugrad as pg
from plugrad import backend as protocol
from plugrad.errors import FallbackError, PlugradError

DEVICES = ["numpy", "cpu", "cuda:0", *filter(None, os.environ.get("PLUGRAD_BENCH_DEVICES", "").split(","))]
"""Fixed, so that results of different commits and machines line up; what is absent is skipped."""


def require(device: str) -> str:
    """The device itself if it can be used here; otherwise the benchmark is skipped with the reason."""
    try:
        pg.zeros((1,), device=device)
    except PlugradError as error:
        raise SkipNotImplemented(f"{device}: {error}") from None
    return device


class BackendBench:
    """Base of a benchmark that runs on every backend.

    A subclass gives ``cases`` (further parameters), ``prepare`` (inputs on the device), ``compute`` (what is timed) and
    ``expected`` (the same by NumPy).
    """

    cases: ClassVar[Sequence[Sequence[Any]]] = ()
    case_names: ClassVar[Sequence[str]] = ()
    rtol: ClassVar[float] = 1e-4
    timeout = 60.0
    params: ClassVar[list[Sequence[Any]]] = [DEVICES]
    param_names: ClassVar[list[str]] = ["device"]

    def __init_subclass__(cls) -> None:
        cls.params = [DEVICES, *cls.cases]
        cls.param_names = ["device", *cls.case_names]

    def setup(self, device: str, *case: Any) -> None:
        """Make the inputs, run once to warm up, and compare with NumPy."""
        self.device = require(device)
        self.prepare(*case)
        found = np.asarray(self.natively().numpy(), dtype=np.float64)
        np.testing.assert_allclose(found, self.expected(), rtol=self.rtol, atol=self.rtol)

    def natively(self) -> pg.Tensor:
        """The work on the device's own kernels; skipped, with the op and dtype that it lacks, where the host would do
        it: the table that dispatch uses says so.
        """
        before = os.environ.get("PLUGRAD_FALLBACK")
        os.environ["PLUGRAD_FALLBACK"] = "error"
        try:
            return self.compute()
        except FallbackError as error:
            raise SkipNotImplemented(str(error)) from None
        finally:
            del os.environ["PLUGRAD_FALLBACK"]
            if before is not None:
                os.environ["PLUGRAD_FALLBACK"] = before

    def prepare(self, *case: Any) -> None:
        """Make the inputs of a case on ``self.device``."""
        raise NotImplementedError(f"{type(self).__name__}.prepare")

    def compute(self) -> pg.Tensor:
        """The work itself."""
        raise NotImplementedError(f"{type(self).__name__}.compute")

    def expected(self) -> np.ndarray:
        """The result according to NumPy."""
        raise NotImplementedError(f"{type(self).__name__}.expected")

    def wait(self) -> None:
        """Wait until the device has done all that was queued."""
        name, _, ordinal = self.device.partition(":")
        index = protocol.index_of(name)
        assert index is not None
        protocol.BACKENDS[index].synchronize(ordinal or "0")

    def on_device(self, array: np.ndarray) -> pg.Tensor:
        """An array as a tensor on ``self.device``."""
        return pg.asarray(array, device=self.device)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Seeded float32 normals."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
