"""Every reason for which there is no usable GPU: from a stand-in for cuda.bindings, and in processes of their own."""

from __future__ import annotations

import enum
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from device_lab import has_cuda_python

from plugrad_cuda import probe
from plugrad_cuda.probe import available, no_compiler, no_device

LIMIT = 60
"""Seconds that a process may take; a probe that hangs fails."""


class Code(enum.IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_NO_DEVICE = 100
    CUDA_ERROR_SYSTEM_NOT_READY = 802
    CUDA_ERROR_SYSTEM_DRIVER_MISMATCH = 803
    CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE = 804
    CUDA_ERROR_UNKNOWN = 999


def install(monkeypatch: pytest.MonkeyPatch, driver: Any, nvrtc: Any = None) -> None:
    """Make ``driver`` what ``cuda.bindings.driver`` imports; None: as if it were not installed. Likewise ``nvrtc``."""
    for name in ("cuda", "cuda.bindings"):
        package = ModuleType(name)
        package.__path__ = []
        monkeypatch.setitem(sys.modules, name, package)
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", driver)
    monkeypatch.setitem(sys.modules, "cuda.bindings.nvrtc", nvrtc)


def driver(
    init: int = 0,
    count: tuple[int, int] = (0, 1),
    error: Exception | None = None,
    version: tuple[int, int] = (0, 13000),
    capabilities: tuple[tuple[int, int], ...] = ((9, 0),),
) -> ModuleType:
    module: Any = ModuleType("cuda.bindings.driver")

    def cu_init(flags: int) -> tuple[Code]:
        assert flags == 0
        if error is not None:
            raise error
        return (Code(init),)

    names = ("CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR", "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR")
    module.cuInit = cu_init
    module.cuDriverGetVersion = lambda: (Code(version[0]), version[1])
    module.cuDeviceGetCount = lambda: (Code(count[0]), count[1])
    module.cuDeviceGet = lambda ordinal: (Code(0), ordinal)
    module.CUdevice_attribute = SimpleNamespace(**{name: k for k, name in enumerate(names)})
    module.cuDeviceGetAttribute = lambda which, device: (Code(0), capabilities[device][which])
    return module


def compiler(code: int = 0, major: int = 13, minor: int = 0, error: Exception | None = None) -> Any:
    def version() -> tuple[Code, int, int]:
        if error is not None:
            raise error
        return Code(code), major, minor

    return SimpleNamespace(nvrtcVersion=version)


def test_cuda_python_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, None)
    assert no_device() == available() == "cuda-python is not installed; pip install 'plugrad-cuda[cu13]'"


@pytest.mark.parametrize("error", [ImportError("libstdc++ is too old"), ModuleNotFoundError("no numpy", name="numpy")])
def test_cuda_python_is_damaged(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    class Finder:
        def find_spec(self, name: str, *args: Any) -> None:
            if name == "cuda.bindings.driver":
                raise error

    install(monkeypatch, None)
    monkeypatch.delitem(sys.modules, "cuda.bindings.driver")
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    reason = no_device()
    assert reason.startswith(f"cuda-python is installed but cannot be imported ({type(error).__name__}: {error})")
    assert reason.endswith("reinstall cuda-bindings")


def test_the_driver_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, driver(error=RuntimeError("Failed to dlopen libcuda.so.1\nlong story")))
    reason = "the NVIDIA driver library cannot be loaded (RuntimeError: Failed to dlopen libcuda.so.1)"
    assert no_device() == f"{reason}; install the NVIDIA driver"


@pytest.mark.parametrize(
    ("init", "says"),
    [
        (100, "CUDA_ERROR_NO_DEVICE (100); the driver sees no GPU"),
        (802, "CUDA_ERROR_SYSTEM_NOT_READY (802); the system is not ready"),
        (803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803); driver and kernel module"),
        (804, "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE (804); the compatibility libraries"),
        (999, "CUDA_ERROR_UNKNOWN (999); see"),
    ],
)
def test_the_driver_refuses(monkeypatch: pytest.MonkeyPatch, init: int, says: str) -> None:
    install(monkeypatch, driver(init=init))
    assert no_device().startswith(f"the driver cannot be used: cuInit answered {says}")


def test_the_driver_has_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, driver(count=(0, 0)))
    assert "reports no device" in no_device() and "CUDA_VISIBLE_DEVICES" in no_device()
    install(monkeypatch, driver(count=(999, 0)))
    assert no_device() == "the driver cannot count its devices: CUDA_ERROR_UNKNOWN (999)"


def test_the_driver_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, driver(version=(0, 12080)))
    assert no_device() == "the driver is of CUDA 12.8, and 13.0 or newer is needed; upgrade the NVIDIA driver"
    install(monkeypatch, driver(version=(999, 0)))
    assert no_device() == "the driver does not tell its version: CUDA_ERROR_UNKNOWN (999)"
    for enough in (13000, 13020):
        install(monkeypatch, driver(version=(0, enough)))
        assert no_device() == ""


def test_the_gpu_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, driver(capabilities=((7, 5),)))
    assert no_device() == "the GPU has compute capability 7.5, and 8.0 or higher is needed (Ampere or newer)"
    install(monkeypatch, driver(count=(0, 3), capabilities=((7, 5), (8, 0), (12, 0))))
    assert no_device() == "" and probe.usable_devices() == ["1", "2"]


def test_the_compiler_is_missing_or_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe.toolchain, "_chosen", None)
    monkeypatch.setattr(probe.importlib.util, "find_spec", lambda name: name)
    remedy = "pip install 'plugrad-cuda[cu13]'"
    install(monkeypatch, driver(), compiler(error=RuntimeError("Failed to dlopen libnvrtc.so.13")))
    failed = "cannot be loaded (RuntimeError: Failed to dlopen libnvrtc.so.13)"
    assert available() == f"NVRTC, the run-time compiler, {failed}; {remedy}"
    install(monkeypatch, driver(), compiler(code=999))
    assert available() == f"NVRTC, the run-time compiler, does not answer (CUDA_ERROR_UNKNOWN); {remedy}"
    install(monkeypatch, driver(), compiler(major=12, minor=9))
    assert available() == f"NVRTC is of CUDA 12.9, and 13.0 is needed; {remedy}"
    install(monkeypatch, driver(), compiler())
    assert available() is True
    monkeypatch.setattr(probe.importlib.util, "find_spec", lambda name: None)
    assert no_compiler() == f"cuda-core is not installed; {remedy}"
    monkeypatch.setattr(probe.importlib.util, "find_spec", lambda name: name)
    install(monkeypatch, driver(), compiler(error=RuntimeError("never asked")))
    monkeypatch.setattr(probe.toolchain, "_chosen", object())
    assert available() is True, "another toolchain needs no NVRTC"


# -- in processes of their own: with a driver that is emulated, absent or out of order


def run(code: str, *before: str) -> list[str]:
    """The lines that a process prints; it must end in time, without an error."""
    lines = [f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})", *before, dedent(code)]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


ASK = """
import time
begun = time.perf_counter()
from plugrad_cuda.probe import available
print(available())
import plugrad
from plugrad.errors import BackendUnavailableError
try:
    plugrad.zeros(1, device="cuda:0")
    print("made")
except BackendUnavailableError as error:
    print(error)
print("cuda.core" in sys.modules, plugrad.zeros(2, device="numpy").tolist())
"""

EMULATED = [
    ("devices=0", "cuInit answered CUDA_ERROR_NO_DEVICE (100); the driver sees no GPU"),
    ("driver_version=12090", "the driver is of CUDA 12.9, and 13.0 or newer is needed; upgrade the NVIDIA driver"),
    ("init_code=803", "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803); driver and kernel module are of different versions"),
    ("init_code=999", "cuInit answered CUDA_ERROR_UNKNOWN (999)"),
]


@pytest.mark.parametrize(("setting", "says"), EMULATED)
def test_a_driver_out_of_order(setting: str, says: str, emulated: None) -> None:
    reason, error, after = run(ASK, f"import emu; emu.load({setting})")
    assert says in reason and reason in error
    assert error.startswith("zeros: backend 'cuda' of ") and "usable here:" in error
    assert after.startswith("True") or after.startswith("False")
    assert after.endswith("[0.0, 0.0]")


def test_an_emulated_driver_in_order(emulated: None) -> None:
    assert run(ASK, "import emu; emu.load()") == ["True", "made", "True [0.0, 0.0]"]


@pytest.mark.skipif(not has_cuda_python(), reason="no CUDA device: cuda-core is not installed")
def test_no_driver_library() -> None:
    hide = "import ctypes.util; print(ctypes.util.find_library('cuda') is None)"
    absent, reason, error, after = run(ASK, hide)
    if absent != "True":
        pytest.skip("no CUDA device must be here, and there is one")
    assert reason.startswith("the NVIDIA driver library cannot be loaded (") and reason.endswith(
        "install the NVIDIA driver"
    )
    assert reason in error
    assert after == "False [0.0, 0.0]", "no object of cuda.core is made, nor the module imported"


def test_no_cuda_python() -> None:
    block = """
    class Finder:
        def find_spec(self, name, *args):
            if name.partition(".")[0] == "cuda":
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    sys.meta_path.insert(0, Finder())
    """
    reason, error, after = run(ASK, dedent(block))
    assert reason == "cuda-python is not installed; pip install 'plugrad-cuda[cu13]'"
    assert reason in error and after == "False [0.0, 0.0]"
