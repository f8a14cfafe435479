"""The way through the host: right, loud, counted with its share of the time, told at exit, and forbidden."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

import plugrad as pg
from plugrad import Backend, Spec, dispatch
from plugrad.errors import FallbackError, FallbackWarning
from plugrad.reference.backend import NumpyBackend

NAMES = "add mul div neg exp log sum max matmul reshape permute broadcast_to slice where less equal abs"


class Dozen(Backend):
    """A dozen kernels: the rest is decomposed or goes through the host."""

    name = "dozen"
    kernels = {k: NumpyBackend.kernels[k] for k in NAMES.split()}
    from_host = staticmethod(lambda array, device: np.array(array))
    to_host = staticmethod(lambda value: np.array(value))
    spec = staticmethod(lambda value: Spec(value.shape, value.dtype))


dispatch.add_backend(Dozen())


@pytest.fixture(autouse=True)
def fresh_report():
    pg.reset_fallback_report()
    yield
    pg.reset_fallback_report()


def test_a_small_backend_runs_everything():
    x = pg.tensor(np.random.default_rng(0).normal(size=(3, 4)), device="dozen")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # all of these decompose, nothing goes through the host
        np.testing.assert_allclose(pg.tanh(x).numpy(), np.tanh(x.numpy()), rtol=1e-12)
        np.testing.assert_allclose((x - 1.0).numpy(), x.numpy() - 1)
        np.testing.assert_allclose(pg.expm1(x).numpy(), np.expm1(x.numpy()), rtol=1e-9)
        g = pg.grad(lambda v: pg.sum(pg.tanh(v @ v.T)))(x)
        wanted = pg.grad(lambda v: pg.sum(pg.tanh(v @ v.T)))(pg.asarray(x.numpy()))
        np.testing.assert_allclose(g.numpy(), wanted.numpy(), rtol=1e-10, atol=1e-12)
    assert len(pg.fallback_report()) == 0


def test_the_fallback_is_loud_counted_and_right():
    x = pg.tensor([0.25, 1.0], device="dozen")
    with pytest.warns(FallbackWarning, match=r"sin \(float32\).*dozen has no kernel") as caught:
        y = pg.sin(x)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pg.sin(x)
    np.testing.assert_allclose(y.numpy(), np.sin([0.25, 1.0]), rtol=1e-6)
    (count,) = pg.fallback_report()
    assert count[:5] == ("sin", "float32", "dozen", 2, 2 * (8 + 8)) and count.seconds > 0
    assert 0 < count.share < 1
    assert "sin" in str(pg.fallback_report()) and "float32" in str(pg.fallback_report())


def test_the_share_is_of_the_time_since_the_counts_began():
    x = pg.tensor(np.ones(100_000, np.float32), device="dozen")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        begun = time.perf_counter()
        pg.reset_fallback_report()
        pg.sin(x)
        (count,) = pg.fallback_report()
        whole = time.perf_counter() - begun
    assert count.seconds / whole <= count.share <= 1
    time.sleep(20 * whole)
    (later,) = pg.fallback_report()
    assert later.seconds == count.seconds and later.share < count.share / 4


def test_the_report_at_exit():
    """Once, to stderr, without warnings, also where nothing ran on the host."""
    program = """
import sys, warnings
import numpy as np, plugrad as pg
from plugrad import dispatch
from plugrad.reference.backend import NumpyBackend
warnings.simplefilter("error")
class Bare(NumpyBackend):
    name, kernels, into = "bare", {"copy": NumpyBackend.kernels["copy"]}, {}
dispatch.add_backend(Bare())
x = pg.asarray(np.ones(3, np.float32), device="bare")
for _ in range(int(sys.argv[1])):
    pg.sin(x)
print("done")
"""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PLUGRAD_")} | {"PLUGRAD_FALLBACK": "report"}

    def told(times):
        command = [sys.executable, "-c", program, str(times)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout == "done\n"
        return done.stderr.splitlines()

    assert told(0) == ["no op ran on the host for lack of a kernel"]
    head, row = told(3)
    assert head.split() == ["op", "dtype", "backend", "calls", "MB", "moved", "seconds", "share"]
    assert row.split()[:5] == ["sin", "float32", "bare", "3", "0.0"] and row.endswith("%")


def test_the_fallback_can_be_forbidden(monkeypatch):
    monkeypatch.setenv("PLUGRAD_FALLBACK", "error")
    with pytest.raises(FallbackError, match="sin: dozen has no kernel for float32.*PLUGRAD_FALLBACK=error"):
        pg.sin(pg.tensor([1.0], device="dozen"))
