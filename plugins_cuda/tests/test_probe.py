"""Every reason for which there is no GPU, told by a stand-in for ``cuda.bindings.driver``."""

from __future__ import annotations

import enum
import sys
from types import ModuleType
from typing import Any

import pytest

from plugrad_cuda.probe import NO_KERNELS, available, no_device


class Code(enum.IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_NO_DEVICE = 100
    CUDA_ERROR_SYSTEM_NOT_READY = 802
    CUDA_ERROR_SYSTEM_DRIVER_MISMATCH = 803
    CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE = 804
    CUDA_ERROR_UNKNOWN = 999


def install(monkeypatch: pytest.MonkeyPatch, driver: Any) -> None:
    """Make ``driver`` what ``cuda.bindings.driver`` imports; None: as if it were not installed."""
    for name in ("cuda", "cuda.bindings"):
        package = ModuleType(name)
        package.__path__ = []
        monkeypatch.setitem(sys.modules, name, package)
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", driver)


def driver(init: int = 0, count: tuple[int, int] = (0, 1), error: Exception | None = None) -> ModuleType:
    module = ModuleType("cuda.bindings.driver")

    def cu_init(flags: int) -> tuple[Code]:
        assert flags == 0
        if error is not None:
            raise error
        return (Code(init),)

    module.cuInit = cu_init  # type: ignore[attr-defined]
    module.cuDeviceGetCount = lambda: (Code(count[0]), count[1])  # type: ignore[attr-defined]
    return module


def test_cuda_python_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, None)
    reason = "cuda-python is not installed; pip install 'plugrad-cuda[cu13]', or [cu12] for a driver of CUDA 12"
    assert no_device() == available() == reason


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


def test_with_a_device_it_says_honestly_that_there_are_no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, driver())
    assert no_device() == ""
    assert available() == NO_KERNELS
