"""What needs a process of its own: other drivers to emulate, loading it too late, other fibers; and the toolchain."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import emu
import pytest
from emu import compiler, toolchain
from emu.lab import python

pytestmark = pytest.mark.usefixtures("emulated")

TESTS = Path(emu.__file__).parents[1]


@pytest.mark.parametrize(
    ("how", "init", "count"),
    [
        ("devices=0", "CUDA_ERROR_NO_DEVICE", "CUDA_ERROR_NOT_INITIALIZED None"),
        ("devices=0, init_code=0", "CUDA_SUCCESS", "CUDA_SUCCESS 0"),
        ("init_code=803", "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "CUDA_ERROR_NOT_INITIALIZED None"),
        ("driver_version=12020, devices=3", "CUDA_SUCCESS", "CUDA_SUCCESS 3"),
    ],
)
def test_other_drivers(how: str, init: str, count: str) -> None:
    output = python(
        f"""
        import emu
        emu.load({how})
        from cuda.bindings import driver
        print(driver.cuInit(0)[0].name)
        code, count = driver.cuDeviceGetCount()
        print(code.name, count if int(code) == 0 else None)
        print(driver.cuDriverGetVersion()[1])
        """
    )
    version = "12020" if "12020" in how else "13000"
    assert output.splitlines() == [init, count, version]


def test_two_devices() -> None:
    output = python(
        """
        import numpy as np, emu
        emu.load(devices=2)
        from cuda.core import Device
        first, second = Device(0), Device(1)
        second.set_current()
        stream = second.create_stream()
        buffer = second.allocate(64, stream=stream)
        print(buffer.device_id, emu.live_bytes())
        try:
            Device(2)
        except Exception as error:
            print(type(error).__name__)
        """
    )
    assert output.splitlines() == ["1 64", "ValueError"]


def test_it_comes_too_late_if_another_driver_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "other.c").write_text("int cuInit(unsigned flags) { return 0; }")
    other = tmp_path / "libcuda.so.1"
    compiler.run(["-shared", "-fPIC", "-x", "c", tmp_path / "other.c", "-Wl,-soname,libcuda.so.1", "-o", other])
    output = python(
        f"""
        import ctypes, emu
        ctypes.CDLL({str(other)!r})
        try:
            emu.load()
        except RuntimeError as error:
            print(error, emu.loaded())
        """
    )
    assert f"a CUDA driver is loaded already ({other})" in output and output.strip().endswith("False")


def test_it_is_needed_before_it_is_controlled() -> None:
    output = python(
        """
        import emu
        for call in (emu.reset, emu.live_bytes, emu.report, emu.last_fault, emu.configure):
            try:
                call()
            except RuntimeError as error:
                print(error)
        """
    )
    assert output.splitlines() == ["the emulated CUDA driver is not loaded; call emu.load() first"] * 5


def test_portable_fibers_and_faults_outside_kernels() -> None:
    output = python(
        """
        import faulthandler, numpy as np, emu
        from emu.lab import Lab
        emu.load(portable=True, order="random", seed=3)
        source = '''
        extern "C" __global__ void roll(int* y) {
          __shared__ int s[96];
          s[threadIdx.x] = threadIdx.x;
          __syncthreads();
          y[threadIdx.x] = s[(threadIdx.x + 1) % 96] + __shfl_xor_sync(0xffffffffu, 0, 1);
        }
        extern "C" __global__ void bad(int* y) { __syncthreads(); y[99999] = 1; }
        '''
        lab = Lab(source, ["roll", "bad"])
        print((lab.run("roll", out=(96, "i4"), block=96) == np.roll(np.arange(96), -1)).all())
        for _ in range(2):
            try:
                lab.launch("bad", lab.empty(4), block=96)
            except Exception:
                print(emu.last_fault().kind)
            emu.reset()
        print((lab.run("roll", out=(96, "i4"), block=96) == np.roll(np.arange(96), -1)).all())
        """
    )
    assert output.splitlines() == ["True", "out of bounds", "out of bounds", "True"]


def test_a_crash_of_the_host_is_still_a_crash() -> None:
    code = """
        import ctypes, emu
        from emu.lab import Lab
        lab = Lab('extern "C" __global__ void bad(int* y) { y[99999] = 1; }', ["bad"])
        try:
            lab.launch("bad", lab.empty(4))
        except Exception:
            print("caught", flush=True)
        ctypes.string_at(8)
        """
    path = os.pathsep.join([str(TESTS), *(part for part in sys.path if part)])
    command = [sys.executable, "-c", dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | {"PYTHONPATH": path})
    assert done.stdout == "caught\n" and done.returncode == -11


# ---- the toolchain


def test_loading_gives_plugrad_cuda_the_host_toolchain(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[object] = []
    module = ModuleType("plugrad_cuda.toolchain")
    module.use = used.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "plugrad_cuda.toolchain", module)
    emu.load()
    assert [type(each) for each in used] == [emu.HostToolchain]


def test_a_text_that_does_not_compile_says_where() -> None:
    source = 'extern "C" __global__ void good(int*) {}\nextern "C" __global__ void bad(int* y) {\n  y[0] = nothing;\n}'
    with pytest.raises(emu.HostCompileError, match=r"(?s)^kernels good, bad: .*kernels\.cu:3:.*nothing"):
        emu.HostToolchain().image(source, ["good", "bad"])
    with pytest.raises(emu.HostCompileError, match=r"(?s)absent.*not declared"):
        emu.HostToolchain().image(source.replace("nothing", "1"), ["absent"])


def test_what_was_compiled_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compiler.CACHE_VARIABLE, str(tmp_path))
    source = 'extern "C" __global__ void k(int* y) { y[0] = 1; }'
    made = emu.HostToolchain().image(source, ["k"])
    (file,) = (tmp_path / "kernels").iterdir()
    assert file.read_bytes() == made and [path.name for path in tmp_path.iterdir()] == ["kernels"]
    monkeypatch.setattr(compiler, "run", lambda arguments: pytest.fail("compiled again"))
    assert emu.HostToolchain().image(source, ["k"]) == made
    with pytest.raises(pytest.fail.Exception, match="compiled again"):
        emu.HostToolchain(bounds=False).image(source, ["k"])
    monkeypatch.setattr(toolchain, "header_digest", lambda: "other headers")
    with pytest.raises(pytest.fail.Exception, match="compiled again"):
        emu.HostToolchain().image(source, ["k"])


def test_an_absent_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(emu.HostCompileError, match="needs a C\\+\\+ compiler; 'no-such-compiler' does not run"):
        emu.HostToolchain().image("", [])


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("extern __shared__ float s[];", "float *const s = reinterpret_cast<float *>(emu_context.dynamic_shared);"),
        ("extern __shared__ __align__(16) unsigned char s[ ];", "unsigned char *const s = "),
        ("extern __shared__ alignas(16) long long s[];", "long long *const s = "),
        ("extern __shared__ __attribute__((aligned(16))) char s[];", "char *const s = "),
        ("__device__ int n;", "EMU_DEVICE_VARIABLE int n;"),
        ("static __device__ unsigned long long a[4] = {1};", "static EMU_DEVICE_VARIABLE"),
        ("__device__ __align__(16) float a[4];", "EMU_DEVICE_VARIABLE __align__(16) float a[4];"),
    ],
)
def test_what_is_not_plain_c_is_written_out(text: str, changed: str) -> None:
    assert changed in toolchain.module_text(text, [])


@pytest.mark.parametrize(
    "text",
    [
        "__device__ float f(int i);",
        "__device__ __forceinline__ float f(float x) { return x = 1; }",
        "template <class T> __device__ T f(const T* x, int n) { T s[4]; return s[n]; }",
        "struct A { __device__ float operator[](int i) const { return 0; } };",
        "struct A { __device__ A& operator=(float x); };",
        "struct A { __device__ A(float x) : y(x) {} float y; };",
        "__shared__ float s[4];",
    ],
)
def test_what_is_plain_c_is_left_alone(text: str) -> None:
    assert text in toolchain.module_text(text, [])
