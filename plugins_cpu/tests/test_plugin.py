"""Registration, probe, instruction sets, and the table of kernels."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from plugrad_cpu import cpuid, plugin, probe, tables

HERE = Path(__file__).parent


class Registrar:
    """Notes what is registered."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def backend(self, *args: Any, **kwargs: Any) -> None:
        """Note a backend."""
        self.calls.append((args, kwargs))


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_backend_is_registered() -> None:
    registrar = Registrar()
    plugin.plugrad_backends(registrar)
    ((name,), attrs) = registrar.calls[0]
    assert (name, attrs["api"], attrs["priority"]) == ("cpu", (1, 0), 50)
    assert attrs["target"] == "plugrad_cpu.backend:CpuBackend"
    assert attrs["probe"] == "plugrad_cpu.probe:available"


def test_the_probe_says_yes_here() -> None:
    assert probe.available() is True


def test_the_probe_loads_no_kernels() -> None:
    code = (
        "import sys, plugrad_cpu.probe as p; assert p.available() is True;"
        "print(sorted(m for m in sys.modules if m.startswith('plugrad_cpu') or m == 'numpy'))"
    )
    assert python(code).stdout.strip() == "['plugrad_cpu', 'plugrad_cpu.cpuid', 'plugrad_cpu.probe']"


def test_the_probe_says_which_module_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "MODULES", ("cpuid", "absent"))
    assert "plugrad_cpu.absent is not built" in str(probe.available())


def test_the_probe_refuses_an_instruction_set_that_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUGRAD_CPU_ISA", "sse9")
    assert "PLUGRAD_CPU_ISA=sse9 does not run on this processor; use one of" in str(probe.available())


def test_forcing_an_instruction_set() -> None:
    code = "import plugrad_cpu.tables as t; print(t.ISA)"
    for isa in cpuid.supported():
        assert python(code, PLUGRAD_CPU_ISA=isa.upper()).stdout.strip() == isa
    assert python(code, PLUGRAD_CPU_ISA="").stdout.strip() == cpuid.supported()[0]
    refused = python(code, PLUGRAD_CPU_ISA="sse9")
    assert refused.returncode and "ValueError: plugrad-cpu: PLUGRAD_CPU_ISA=sse9" in refused.stderr


def test_higher_tables_only_replace_entries_of_the_baseline() -> None:
    baseline = tables.entries("baseline")
    for isa in tables.NAMES:
        entries = tables.entries(isa)
        assert len(set(entries)) == len(entries) and set(entries) <= set(baseline)
    assert {"add", "exp", "log", "tanh", "sum", "max", "gemm"} <= {op for _, op, _ in baseline}


def test_a_table_without_a_kernel_falls_through_to_the_next() -> None:
    """On x86-64, float add is compiled for 32 bytes, and products of matrices for 64, too."""
    assert tables.NAMES[-1] == "baseline" and set(cpuid.supported()) <= set(tables.NAMES)
    if tables.entries("avx512"):
        add, gemm = ("elementwise", "add", "f4"), ("contraction", "gemm", "f4")
        assert add not in tables.entries("avx512") and add in tables.entries("avx2")
        assert gemm in tables.entries("avx512")


def test_every_declared_kernel_exists(backend: Any) -> None:
    rows = {(op, dtype) for _, op, dtype in tables.entries("baseline")}
    for op in ("add", "sub", "mul", "div", "neg", "exp", "maximum", "equal", "tanh", "floor", "bitwise_xor"):
        for dtype in backend.kernels[op].dtypes.split():
            assert (op, dtype) in rows
    assert set(backend.into) <= set(backend.kernels)


@pytest.mark.skipif("PLUGRAD_CPU_TESTS_NESTED" in os.environ, reason="this run is the nested one")
def test_the_other_instruction_sets_pass_the_same_tests() -> None:
    for isa in set(cpuid.supported()) - {tables.ISA}:
        files = [str(path) for path in sorted(HERE.glob("test_*.py"))]
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "--import-mode=importlib", "-p", "no:cacheprovider", *files],
            env={**os.environ, "PLUGRAD_CPU_ISA": isa, "PLUGRAD_CPU_TESTS_NESTED": "1"},
            cwd=HERE,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, f"{isa}: {run.stdout[-3000:]}{run.stderr[-1000:]}"
