"""What a start of plugrad imports when all plugins are there: no unused extension, nothing of CUDA, nothing heavy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata

import pytest

HEAVY = {"cuda", "matplotlib", "tqdm", "sklearn", "scipy", "torch", "jax", "pytest", "hypothesis"}
PLUGINS = {f"plugrad-{name}" for name in ("nn", "norm", "optim", "data", "train", "cpu", "cuda")}
REPORT = """
import json, sys
print(json.dumps({name: str(getattr(module, "__file__", "") or "") for name, module in list(sys.modules.items())}))
"""


def modules_after(statements: str) -> dict[str, str]:
    """The modules that a fresh interpreter has after some statements, with their files."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PLUGRAD_")}
    command = [sys.executable, "-W", "error", "-c", statements + REPORT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def extensions(modules: dict[str, str]) -> list[str]:
    """The compiled modules of the project's plugins; the core's hot path is compiled, and always needed."""
    return [name for name, file in modules.items() if name.startswith("plugrad_") and file.endswith((".so", ".pyd"))]


def test_all_plugins_are_installed_here() -> None:
    assert {dist.name for dist in metadata.distributions()} >= PLUGINS


@pytest.mark.parametrize(
    "statements",
    [
        "import plugrad",
        "import plugrad; plugrad.zeros((2,), device='numpy')",
        "import plugrad; x = plugrad.ones((2,), device='numpy'); plugrad.grad(lambda v: plugrad.sum(v * v))(x)",
    ],
    ids=["import", "numpy", "gradient on numpy"],
)
def test_nothing_unused_is_imported(statements: str) -> None:
    modules = modules_after(statements)
    assert "plugrad" in modules and "numpy" in modules
    assert extensions(modules) == []
    assert sorted({name.split(".")[0] for name in modules} & HEAVY) == []


def test_a_backend_is_imported_when_its_device_is_used() -> None:
    assert extensions(modules_after("import plugrad; plugrad.zeros((2,), device='cpu')")) != []


def test_cuda_core_is_not_imported_by_listing_the_plugins() -> None:
    """The probe, which the list asks, needs the driver's bindings only."""
    modules = modules_after("from plugrad.cli import main; main(['plugins'])")
    assert [name for name in modules if name.startswith("cuda.core")] == []
