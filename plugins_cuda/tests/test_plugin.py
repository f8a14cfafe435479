"""The plugin as the core sees it: declared, asked, and never in the way. No GPU and no cuda-python are needed."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from textwrap import dedent

import pytest

import plugrad_cuda
from plugrad.errors import BackendUnavailableError
from plugrad.plugins.loader import PluginStatus, load_all
from plugrad.plugins.registrar import Provider
from plugrad_cuda import probe
from plugrad_cuda.backend import CudaBackend

PACKAGE = Path(plugrad_cuda.__file__).parent


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder for sys.path in which the distribution's metadata declares the plugin."""
    info = tmp_path / "plugrad_cuda-0.0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugrad-cuda\nVersion: 0.0.1\n")
    (info / "entry_points.txt").write_text("[plugrad]\ncuda = plugrad_cuda.plugin\n")
    return tmp_path


def python(installed: Path, code: str, *args: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(installed), *sys.path])
    env = {k: v for k, v in os.environ.items() if not k.startswith("PLUGRAD_")} | {"PYTHONPATH": path}
    env["PLUGRAD_PLUGINS"] = "cuda"
    command = [sys.executable, "-c", dedent(code), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)


def poison(folder: Path) -> None:
    """A ``cuda`` package that cannot be imported without leaving a trace."""
    (folder / "cuda").mkdir()
    (folder / "cuda" / "__init__.py").write_text(
        "open(__file__ + '.imported', 'w').close()\nraise ImportError('poisoned')\n"
    )


def test_it_declares_one_backend_preferred_to_all_others() -> None:
    point = EntryPoint("cuda", "plugrad_cuda.plugin", "plugrad")
    registry = load_all([PluginStatus(Provider("plugrad-cuda", "1.0", "cuda"), point)])
    assert [str(p) for p in registry.plugins] == ["plugin 'cuda' of plugrad-cuda 1.0: ok"]
    (entry,) = registry.entries
    assert (str(entry), entry.priority) == ("backend cuda", 100)
    assert entry.load() is CudaBackend
    assert entry.probe.target == "plugrad_cuda.probe:available"


def test_discovery_imports_nothing_of_cuda(installed: Path) -> None:
    poison(installed)
    used = python(
        installed,
        """
        import sys
        from plugrad.testing import require
        print(require("cuda").status, [m for m in sys.modules if m.split(".")[0] in ("cuda", "nvmath")])
        print(sorted(m for m in sys.modules if m.startswith("plugrad_cuda")))
        """,
    )
    assert used.stdout.splitlines() == ["ok []", "['plugrad_cuda', 'plugrad_cuda.plugin']"], used.stderr
    assert not (installed / "cuda" / "__init__.py.imported").exists()


def test_without_a_device_the_others_work_and_cuda_says_why(installed: Path) -> None:
    poison(installed)
    used = python(
        installed,
        """
        from plugrad.errors import BackendUnavailableError
        from plugrad.plugins import available_backends, backend_index, default_backend
        print(default_backend(), available_backends()["numpy"])
        print(available_backends()["cuda"])
        try:
            backend_index("cuda")
        except BackendUnavailableError as error:
            print(error)
        """,
    )
    assert used.returncode == 0, used.stderr
    default, outcome, error = used.stdout.splitlines()
    assert default == "numpy available"
    reason = "cuda-python is installed but cannot be imported (ImportError: poisoned); reinstall cuda-bindings"
    assert outcome == f"unavailable: {reason}"
    assert error == f"backend 'cuda' of plugrad-cuda 0.0.1 is unavailable: {reason}; usable here: numpy"


def test_an_absent_gpu_is_no_fault_for_the_doctor(installed: Path) -> None:
    poison(installed)
    doctor = python(installed, "import sys; from plugrad.cli import main; sys.exit(main(['doctor']))")
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert "unavailable  cuda of plugrad-cuda 0.0.1: " in doctor.stdout


def test_the_backend_cannot_be_made_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "no_device", lambda: "no GPU in this test")
    with pytest.raises(BackendUnavailableError, match="backend 'cuda' is unavailable: no GPU in this test"):
        CudaBackend()
    monkeypatch.setattr(probe, "no_device", lambda: "")
    monkeypatch.setattr(probe, "no_compiler", lambda: "no compiler in this test")
    with pytest.raises(BackendUnavailableError, match="backend 'cuda' is unavailable: no compiler in this test"):
        CudaBackend()


def test_the_package_imports_nothing_of_cuda(tmp_path: Path) -> None:
    """All of it, and nothing is in the way of importing it where CUDA is damaged."""
    poison(tmp_path)
    modules = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")
    used = python(tmp_path, "\n".join(f"import plugrad_cuda.{name}" for name in modules))
    assert used.returncode == 0, used.stderr
    assert not (tmp_path / "cuda" / "__init__.py.imported").exists()


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.name)
def test_no_module_names_cuda_or_ctypes_in_an_import(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0}
    assert {name.partition(".")[0] for name in names} & {"cuda", "ctypes", "nvmath", "cupy", "torch"} == set()
    assert "ctypes" not in path.read_text(encoding="utf-8")


def test_backends_know_only_the_protocol() -> None:
    allowed = {"plugrad.backend", "plugrad.dtypes", "plugrad.errors", "plugrad.plugins", "plugrad.program"}
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        froms = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
        assert {name for name in froms if name.startswith("plugrad")} <= allowed, path.name


def test_kernel_text_is_package_data() -> None:
    """Run from the wheel alone too."""
    assert {path.suffix for path in (PACKAGE / "kernels").iterdir()} == {".cu", ".cuh"}
