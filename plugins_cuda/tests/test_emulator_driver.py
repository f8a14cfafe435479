"""The emulated driver's own promises: what it refuses, errors that stick, accounts of memory."""

from __future__ import annotations

import gc
from typing import Any

import emu
import numpy as np
import pytest
from device_lab import in_threads
from emu import lab as labs
from emu.lab import N, ones

pytestmark = pytest.mark.usefixtures("clean")

SOURCE = r"""
extern "C" __global__ void scale(float* x, float by, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) x[i] *= by;
}
extern "C" __global__ void shared(float* x) {
  extern __shared__ float s[];
  s[threadIdx.x] = x[threadIdx.x];
  x[threadIdx.x] = s[threadIdx.x] + 1.0f;
}
#define MOST 128
extern "C" __global__ void __launch_bounds__(MOST, 2) bounded(float* x) { x[threadIdx.x] += 1.0f; }
extern "C" __global__ void out_of_bounds(float* x) { x[1 << 20] = 1.0f; }
"""
BIG_STATIC = 'extern "C" __global__ void big(float* x) { __shared__ float s[13000]; s[0] = 1.0f; x[0] = s[0]; }'
NAMES = ["scale", "shared", "bounded", "out_of_bounds"]


def refused(code: str) -> Any:
    return pytest.raises(Exception, match=code)


def fault() -> emu.Fault:
    found = emu.last_fault()
    assert found is not None
    return found


# ---- what the driver refuses, without harm to the context


@pytest.mark.parametrize(
    ("grid", "block"),
    [(1, 1025), (1, (32, 33)), (1, (1, 1, 65)), ((1, 65536), 1), ((1, 1, 65536), 1), (1, (1025, 1, 1))],
)
def test_launch_limits(lab: labs.Lab, grid: labs.Size, block: labs.Size) -> None:
    with refused("INVALID_VALUE"):
        lab.launch("scale", ones(lab), np.float32(2), N, grid=grid, block=block)
    assert fault().kind == "launch" and fault().kernel == "scale" and " is outside 1.." in fault().what
    lab.launch("scale", ones(lab), np.float32(2), N, grid=(1, 65535), block=(1, 1, 64))


def test_launch_bounds_are_kept(lab: labs.Lab) -> None:
    assert lab.kernels["bounded"].attributes.max_threads_per_block == 128
    lab.launch("bounded", lab.empty(512), block=128)
    with refused("INVALID_VALUE"):
        lab.launch("bounded", lab.empty(1024), block=(16, 9))
    assert "block (16,9,1) has more threads than the kernel's __launch_bounds__ of 128" in fault().what


def allow_shared(lab: labs.Lab, name: str, nbytes: int) -> int:
    from cuda.bindings import driver

    attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    return int(driver.cuKernelSetAttribute(attribute, nbytes, lab.kernels[name].handle, 0)[0])


def test_dynamic_shared_memory_needs_the_opt_in(lab: labs.Lab) -> None:
    with refused("INVALID_VALUE"):
        lab.launch("shared", ones(lab), shared=48 * 1024 + 4)
    assert "49156 bytes of dynamic shared memory; the kernel's limit is 49152" in fault().what
    most = lab.device.properties.max_shared_memory_per_block_optin
    assert allow_shared(lab, "shared", most) == 0
    x = ones(lab)
    lab.launch("shared", x, shared=most, block=64)
    assert (lab.get(x, "f4") == 2).all()
    with refused("INVALID_VALUE"):
        lab.launch("shared", x, shared=most + 4)
    assert allow_shared(lab, "shared", most + 1) == 1
    assert allow_shared(lab, "shared", 48 * 1024) == 0


def test_static_shared_memory_has_a_limit(lab: labs.Lab) -> None:
    big = labs.Lab(BIG_STATIC, ["big"])
    with refused("INVALID_VALUE"):
        big.launch("big", ones(lab))
    assert "52000 bytes of static and 0 of dynamic shared memory" in fault().what


def test_names_code_and_arguments_that_are_wrong(lab: labs.Lab) -> None:
    from cuda.core import Program, ProgramOptions

    with refused("NOT_FOUND"):
        lab.module.get_kernel("nothing")
    assert "no kernel named nothing" in fault().what
    with refused("INVALID_VALUE"):
        lab.launch("scale")
    assert fault().kernel == "scale"
    # NVRTC itself works in the same process; what it makes is for a GPU.
    cubin = Program(SOURCE, "c++", ProgramOptions(arch="sm_90")).compile("cubin")
    with refused("NO_BINARY_FOR_GPU"):
        cubin.get_kernel("scale")
    assert "a real cubin cannot run here" in fault().what


def test_copies_and_fills_outside_an_allocation(lab: labs.Lab) -> None:
    from cuda.core import Buffer

    x = ones(lab)
    for array in (np.zeros(65, "f4"), np.zeros(4096, "f4")):
        beyond = Buffer.from_handle(int(x.handle), array.nbytes)
        with refused("INVALID_VALUE"):
            beyond.copy_from(labs.host(array), stream=lab.stream)
        assert fault().kind == "range" and "256 are left of an allocation of 256" in fault().what
        with refused("INVALID_VALUE"):
            beyond.copy_to(labs.host(array), stream=lab.stream)
        with refused("INVALID_VALUE"):
            beyond.fill(0, stream=lab.stream)
    assert (lab.get(x, "f4") == 1).all()


def test_memory_is_limited(lab: labs.Lab) -> None:
    emu.configure(memory=emu.live_bytes() + 1000)
    x = lab.empty(900)
    with refused("OUT_OF_MEMORY"):
        lab.empty(200)
    assert "no room for 200 bytes" in fault().what
    x.close(lab.stream)
    lab.empty(200)


def test_freeing_twice(lab: labs.Lab) -> None:
    from cuda.bindings import driver

    code, pointer = driver.cuMemAlloc(100)
    assert int(code) == 0
    assert int(driver.cuMemFree(pointer)[0]) == 0
    assert int(driver.cuMemFree(pointer)[0]) == 1
    assert fault().kind == "free" and "which has been freed" in fault().what


def test_addresses_lie_far_apart_also_when_they_are_used_again(lab: labs.Lab) -> None:
    from cuda.bindings import driver

    kept, seen = ones(lab), set()
    for _ in range(17000):
        _, pointer = driver.cuMemAlloc(64)
        assert abs(int(pointer) - int(kept.handle)) > 1 << 20
        seen.add(int(pointer))
        driver.cuMemFree(pointer)
    assert len(seen) < 17000
    assert (lab.get(kept, "f4") == 1).all()


def test_a_missing_function_names_itself(lab: labs.Lab, capfd: pytest.CaptureFixture[str]) -> None:
    from cuda.bindings import driver

    assert "cuMemAllocManaged" not in emu.report().missing
    (code, *_) = driver.cuMemAllocManaged(64, 1)
    assert code.name == "CUDA_ERROR_NOT_SUPPORTED"
    assert emu.report().missing[-1] == "cuMemAllocManaged"
    assert "cuMemAllocManaged is not implemented" in capfd.readouterr().err


# ---- errors stick


def test_after_a_fault_every_call_returns_the_same_error_until_the_reset(lab: labs.Lab) -> None:
    from cuda.bindings import driver

    x, y, array = ones(lab), ones(lab), np.zeros(64, "f4")
    before = emu.live_bytes()
    event = lab.stream.record()
    with refused("ILLEGAL_ADDRESS"):
        lab.launch("out_of_bounds", x)
    for call in (
        lambda: lab.stream.sync(),
        lambda: event.sync(),
        lambda: lab.device.create_stream(),
        lambda: lab.empty(64),
        lambda: x.copy_from(labs.host(array), stream=lab.stream),
        lambda: x.fill(0, stream=lab.stream),
        lambda: lab.launch("scale", x, np.float32(2), N),
        lambda: lab.module.get_kernel("scale_"),
    ):
        with refused("ILLEGAL_ADDRESS"):
            call()
    assert int(driver.cuCtxSynchronize()[0]) == int(driver.cuEventCreate(0)[0]) == 700
    assert int(driver.cuDeviceGetCount()[0]) == 0  # what needs no context still works
    assert fault().kernel == "out_of_bounds" and fault().code == 700
    assert int(driver.cuMemFreeAsync(int(y.handle), int(lab.stream.handle))[0]) == 700
    assert emu.live_bytes() == before
    emu.reset()
    assert emu.last_fault() is None
    assert emu.live_bytes() == before - 256  # what was to be freed meanwhile
    lab.launch("scale", x, np.float32(3), N, block=64)
    assert (lab.get(x, "f4") == 3).all()


def test_a_refused_call_does_not_stick(lab: labs.Lab) -> None:
    with refused("INVALID_VALUE"):
        lab.launch("scale", ones(lab), np.float32(2), N, block=2000)
    x = ones(lab)
    lab.launch("scale", x, np.float32(2), N, block=64)
    assert (lab.get(x, "f4") == 2).all()


def test_in_deferred_mode_the_error_comes_late(lab: labs.Lab) -> None:
    emu.configure(deferred=True)
    x = ones(lab)
    lab.launch("out_of_bounds", x)
    lab.launch("scale", x, np.float32(2), N)
    with refused("ILLEGAL_ADDRESS"):
        lab.stream.sync()
    assert fault().kernel == "out_of_bounds"


def test_what_was_queued_to_be_freed_is_freed_by_the_reset(lab: labs.Lab) -> None:
    emu.configure(deferred=True)
    gc.collect()
    before = emu.live_bytes()
    for breaks in (True, False):
        x, y = ones(lab), ones(lab)
        if breaks:
            lab.launch("out_of_bounds", x)
        x.close(lab.stream), y.close(lab.stream)
        assert emu.live_bytes() == before + 512, "the stream has not come to it"
        if breaks:
            with refused("ILLEGAL_ADDRESS"):
                lab.stream.sync()
        emu.reset()
        assert emu.live_bytes() == before


# ---- accounts


def test_a_leak_is_found(lab: labs.Lab) -> None:
    kept = []
    says = r"1 allocations were not freed, bytes: 256 \(allocation \d+\)"
    with pytest.raises(AssertionError, match=says), emu.leak_check():
        kept.append(ones(lab))
    with emu.leak_check():
        ones(lab)
        kept.clear()


def test_figures_of_memory(lab: labs.Lab) -> None:
    gc.collect()
    before = emu.report()
    x = lab.empty(1000)
    during = emu.report()
    assert during.live_bytes - before.live_bytes == 1000 and during.peak_bytes >= during.live_bytes
    assert [live.size for live in during.live if live not in before.live] == [1000]
    x.close(lab.stream)
    assert emu.live_bytes() == before.live_bytes


def test_settings_are_checked_and_restored(lab: labs.Lab) -> None:
    with pytest.raises(ValueError, match="order must be one of forward, reverse, random, not 'sideways'"):
        emu.configure(order="sideways")
    with pytest.raises(ValueError, match="guard must be one of"):
        emu.configure(guard="top")
    with pytest.raises(TypeError, match="no setting is called 'speed'; there are order, guard, deferred"):
        emu.configure(speed=1)
    x = ones(lab)
    with emu.configured(deferred=True):
        lab.launch("scale", x, np.float32(2), N, block=64)
        assert emu.report().pending
    assert not emu.report().pending
    lab.launch("scale", x, np.float32(2), N, block=64)
    assert not emu.report().pending


def test_threads_of_the_host(lab: labs.Lab) -> None:
    def work(index: int) -> None:
        lab.device.set_current()
        stream = lab.device.create_stream()
        x = lab.device.allocate(256, stream=stream)
        array = np.ones(64, "f4")
        x.copy_from(labs.host(array), stream=stream)
        for _ in range(20):
            lab.launch("scale", x, np.float32(2), N, block=64, stream=stream)
        assert (lab.get(x, "f4", stream=stream) == 2.0**20).all()

    in_threads(4, work)
