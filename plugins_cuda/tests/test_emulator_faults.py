"""Wrong kernels, planted: each is caught, and what was wrong is said with kernel, block and thread."""

from __future__ import annotations

from typing import Any

import emu
import numpy as np
import pytest
from emu import lab as labs

pytestmark = pytest.mark.usefixtures("clean")

SOURCE = r"""
#define KERNEL extern "C" __global__ void
KERNEL read_at(float* y, const float* x, long long at) { y[threadIdx.x] = x[at + threadIdx.x]; }
KERNEL write_at(float* y, long long at) { if (threadIdx.x == 3 && blockIdx.x == 1) y[at] = 1.0f; }
KERNEL write_byte(unsigned char* y, long long at) { y[at] = 7; }
KERNEL copy(float* y, const float* x) { y[threadIdx.x] = x[threadIdx.x]; }
KERNEL add_one(float* x) { x[threadIdx.x] += 1.0f; }

KERNEL unwritten_static(float* y) { __shared__ float s[64]; y[threadIdx.x] = s[threadIdx.x]; }
KERNEL unwritten_dynamic(float* y) { extern __shared__ float s[]; y[threadIdx.x] = s[threadIdx.x]; }
KERNEL left_in_shared(float* y) {
  __shared__ float s[64];
  if (blockIdx.x == 0) s[threadIdx.x] = 1.0f;
  __syncthreads();
  y[blockIdx.x * blockDim.x + threadIdx.x] = s[threadIdx.x];
}
template <int n> __device__ float& slot(int i) { __shared__ float s[n]; return s[i]; }
KERNEL unwritten_in_template(float* y) { y[threadIdx.x] = slot<64>(threadIdx.x) + slot<65>(threadIdx.x); }
KERNEL past_static(float* y, int shift) { __shared__ float s[32]; s[threadIdx.x + shift] = 1.0f; y[0] = s[0]; }
KERNEL past_dynamic(float* y, int shift) { extern __shared__ float s[]; s[threadIdx.x + shift] = 1.0f; y[0] = s[0]; }

KERNEL no_barrier(float* y, const float* x) {
  __shared__ float s[64];
  s[threadIdx.x] = x[threadIdx.x];
  y[threadIdx.x] = s[threadIdx.x ? threadIdx.x - 1 : 0];
}
KERNEL barrier_missing_in_loop(float* y, const float* x) {
  __shared__ float s[64];
  float sum = 0.0f;
  for (int round = 0; round < 3; round++) {
    s[threadIdx.x] = x[threadIdx.x] + round;
    __syncthreads();
    sum += s[(threadIdx.x + 33) % 64];
  }
  y[threadIdx.x] = sum;
}
KERNEL two_barriers(float* y) {
  if (threadIdx.x < 16)
    __syncthreads();
  else
    __syncthreads();
  y[threadIdx.x] = 1.0f;
}
KERNEL two_kinds_of_barrier(int* y) { y[threadIdx.x] = threadIdx.x < 16 ? __syncthreads_or(1) : __syncthreads_and(1); }
KERNEL barrier_against_shuffle(int* y) {
  if (threadIdx.x < 16) y[threadIdx.x] = __shfl_sync(0xffffffffu, 1, 0);
  else __syncthreads();
}
KERNEL mask_without_caller(int* y) { y[threadIdx.x] = __ballot_sync(0xfffeu, 1); }
KERNEL masks_differ(int* y) { y[threadIdx.x] = __shfl_sync(threadIdx.x < 8 ? 0xffffu : 0xffffffffu, 1, 0); }
KERNEL operations_differ(int* y) {
  y[threadIdx.x] = threadIdx.x < 8 ? __shfl_sync(0xffffffffu, 1, 0) : int(__ballot_sync(0xffffffffu, 1));
}
KERNEL half_a_warp(int* y) {
  if (threadIdx.x < 16) y[threadIdx.x] = __shfl_sync(0xffffffffu, 1, 0);
  else while (y[0] == -1) __syncwarp(0xffff0000u);
}
KERNEL read_absent_lane(float* y) {
  if (threadIdx.x < 16) y[threadIdx.x] = __shfl_sync(0xffffu, 1.0f, threadIdx.x + 16);
}
KERNEL endless(int* y) { while (atomicAdd(y, 0) == 0) {} }
KERNEL check(int* y, int limit) { assert(int(threadIdx.x) < limit); y[threadIdx.x] = 1; }
KERNEL trap(int* y) { if (threadIdx.x == 5) __trap(); y[threadIdx.x] = 1; }
KERNEL divide(int* y, int by) { y[threadIdx.x] = int(threadIdx.x) / by; }
__device__ int deep(int n) { volatile int room[1024]; room[n % 1024] = n; return n ? deep(n - 1) + room[n % 1024] : 0; }
KERNEL recurse(int* y, int n) { y[threadIdx.x] = deep(n); }
"""
NAMES = [line.split("(")[0].split()[-1] for line in SOURCE.splitlines() if line.startswith("KERNEL")]


def fault_of(lab: labs.Lab, code: str, name: str, *args: Any, **how: Any) -> emu.Fault:
    """Run a kernel that must fail with that CUDA error; the fault that the emulation recorded."""
    with pytest.raises(Exception, match=code):
        lab.launch(name, *args, **how)
        lab.stream.sync()
    fault = emu.last_fault()
    assert fault is not None and fault.kernel == name
    return fault


# ---- addresses


@pytest.mark.parametrize("at", [64, 4096, 1 << 20, 1 << 33])
def test_reading_past_the_end(lab: labs.Lab, at: int) -> None:
    x, y = lab.put(np.zeros(64, "f4")), lab.empty(256)
    fault = fault_of(lab, "ILLEGAL_ADDRESS", "read_at", y, x, np.int64(at))
    assert (fault.kind, fault.block, fault.thread) == ("out of bounds", (0, 0, 0), (0, 0, 0))
    assert fault.address == int(x.handle) + 4 * at


def test_the_first_element_past_the_end_is_named_with_its_thread(lab: labs.Lab) -> None:
    x, y = lab.put(np.zeros(64, "f4")), lab.empty(256)
    fault = fault_of(lab, "ILLEGAL_ADDRESS", "read_at", y, x, np.int64(40))
    assert fault.thread == (24, 0, 0) and fault.address == int(x.handle) + 256
    assert "0 bytes past the end of allocation" in fault.what and "of 256 bytes" in fault.what


def test_writing_one_element_past_the_end(lab: labs.Lab) -> None:
    fault = fault_of(lab, "ILLEGAL_ADDRESS", "write_at", lab.empty(256), np.int64(64), grid=2)
    assert (fault.block, fault.thread) == ((1, 0, 0), (3, 0, 0))


def test_writing_between_the_end_and_the_guard_page(lab: labs.Lab) -> None:
    fault = fault_of(lab, "ILLEGAL_ADDRESS", "write_byte", lab.empty(13), np.int64(13), block=1)
    assert "a write 0 bytes past the end of allocation" in fault.what


def test_writing_before_the_start(lab: labs.Lab) -> None:
    fault = fault_of(lab, "ILLEGAL_ADDRESS", "write_at", lab.empty(256), np.int64(-1), grid=2)
    assert "4 bytes before the start" in fault.what or "a write 1 bytes before the start" in fault.what
    emu.reset()
    with emu.configured(guard="start"):
        y = lab.empty(256)
        fault = fault_of(lab, "ILLEGAL_ADDRESS", "write_at", y, np.int64(-1), grid=2)
    assert fault.thread == (3, 0, 0) and fault.address == int(y.handle) - 4


def test_without_guard_pages_the_margins_still_show_a_write(lab: labs.Lab) -> None:
    with emu.configured(guard="none"):
        y = lab.empty(256)
    fault = fault_of(lab, "ILLEGAL_ADDRESS", "write_at", y, np.int64(64), grid=2)
    assert "a write 0 bytes past the end" in fault.what


def test_a_null_pointer(lab: labs.Lab) -> None:
    fault = fault_of(lab, "ILLEGAL_ADDRESS", "add_one", np.uint64(0))
    assert "at a null pointer" in fault.what


def test_a_pointer_of_the_host(lab: labs.Lab) -> None:
    array = np.zeros(32, "f4")
    fault = fault_of(lab, "ILLEGAL_ADDRESS", "add_one", np.uint64(array.ctypes.data))
    assert fault.kind == "host pointer" and fault.what.startswith("argument 0 points to no device memory")
    assert not array.any()


def test_use_after_free(lab: labs.Lab) -> None:
    x = lab.put(np.zeros(32, "f4"))
    address = np.uint64(int(x.handle))
    x.close(lab.stream)
    fault = fault_of(lab, "ILLEGAL_ADDRESS", "add_one", address)
    assert fault.kind == "use after free" and "which has been freed" in fault.what


def test_freed_in_another_stream_while_work_is_queued(lab: labs.Lab) -> None:
    other = lab.device.create_stream()
    emu.configure(deferred=True)
    x = lab.put(np.zeros(32, "f4"))
    lab.launch("add_one", x)
    x.close(other)  # nothing makes `other` wait for the launch
    other.sync()
    with pytest.raises(Exception, match="ILLEGAL_ADDRESS"):
        lab.stream.sync()
    fault = emu.last_fault()
    assert fault is not None and fault.kind == "use after free"


# ---- what was never written


def test_global_memory_that_was_not_written_is_nan(lab: labs.Lab) -> None:
    assert np.isnan(lab.run("copy", lab.empty(128), out=(32, "f4"))).all()
    x = lab.empty(128)
    x.fill(0, stream=lab.stream)
    assert not lab.run("copy", x, out=(32, "f4")).any()


@pytest.mark.parametrize("name", ["unwritten_static", "unwritten_dynamic", "unwritten_in_template"])
def test_shared_memory_that_was_not_written_is_nan(lab: labs.Lab, name: str) -> None:
    assert np.isnan(lab.run(name, out=(64, "f4"), block=64, shared=256 if "dynamic" in name else 0)).all()


def test_shared_memory_does_not_outlive_its_block(lab: labs.Lab) -> None:
    result = lab.run("left_in_shared", out=(128, "f4"), grid=2, block=64)
    assert (result[:64] == 1).all() and np.isnan(result[64:]).all()


def test_past_the_end_of_static_shared_memory(lab: labs.Lab) -> None:
    assert lab.run("past_static", np.int32(0), out=(32, "f4"))[0] == 1
    fault = fault_of(lab, "ILLEGAL_ADDRESS", "past_static", lab.empty(128), np.int32(1))
    assert fault.kind == "array index" and fault.thread == (31, 0, 0)


def test_past_the_end_of_dynamic_shared_memory(lab: labs.Lab) -> None:
    fault = fault_of(lab, "ILLEGAL_ADDRESS", "past_dynamic", lab.empty(128), np.int32(1), shared=128)
    assert "past the end of dynamic shared memory" in fault.what and fault.thread == (31, 0, 0)


# ---- threads that do not meet


def test_a_missing_barrier_shows_in_some_order(lab: labs.Lab) -> None:
    x = np.arange(64, dtype="f4")
    right = x[np.maximum(np.arange(64) - 1, 0)]
    seen = {}
    for order in ("forward", "reverse", "random"):
        emu.configure(order=order, seed=1)
        seen[order] = np.array_equal(lab.run("no_barrier", lab.put(x), out=(64, "f4"), block=64), right)
    assert seen == {"forward": True, "reverse": False, "random": False}


def test_a_barrier_missing_at_the_end_of_a_loop_shows(lab: labs.Lab) -> None:
    x = np.arange(64, dtype="f4")
    right = 3 * np.roll(x, -33) + 3
    for order in ("forward", "reverse"):
        emu.configure(order=order)
        assert not np.array_equal(lab.run("barrier_missing_in_loop", lab.put(x), out=(64, "f4"), block=64), right)


@pytest.mark.parametrize("name", ["two_barriers", "two_kinds_of_barrier"])
@pytest.mark.parametrize("order", ["forward", "reverse", "random"])
def test_divergent_barriers(lab: labs.Lab, name: str, order: str) -> None:
    emu.configure(order=order)
    fault = fault_of(lab, "LAUNCH_FAILED", name, lab.empty(128), grid=(1, 2))
    assert fault.kind == "divergence" and fault.what.startswith("divergent __syncthreads: thread (0,0,0) is at line ")
    assert fault.thread == (16, 0, 0) and fault.block in ((0, 0, 0), (0, 1, 0))


@pytest.mark.parametrize("order", ["forward", "reverse", "random"])
def test_a_deadlock(lab: labs.Lab, order: str) -> None:
    emu.configure(order=order)
    fault = fault_of(lab, "LAUNCH_FAILED", "barrier_against_shuffle", lab.empty(128))
    line = next(i for i, text in enumerate(SOURCE.splitlines(), 1) if "else __syncthreads();" in text)
    assert fault.kind == "deadlock" and fault.thread == (0, 0, 0)
    assert f"16 threads wait at __syncthreads (thread (16,0,0) at line {line})" in fault.what
    assert "16 in warp operations (thread (0,0,0) in __shfl_sync, mask 0xffffffff, for lanes 0xffff0000)" in fault.what
    assert "0 of 32 have returned" in fault.what


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("mask_without_caller", "__ballot_sync: the mask 0x0000fffe lacks the lane that calls"),
        ("masks_differ", "with mask 0x"),
        ("operations_differ", "of the same mask is at __"),
    ],
)
def test_masks_that_contradict(lab: labs.Lab, name: str, says: str) -> None:
    fault = fault_of(lab, "LAUNCH_FAILED", name, lab.empty(128))
    assert fault.kind == "mask" and says in fault.what


def test_the_value_of_an_absent_lane_is_poison(lab: labs.Lab) -> None:
    assert np.isnan(lab.run("read_absent_lane", out=(32, "f4"))[:16]).all()


@pytest.mark.parametrize("name", ["endless", "half_a_warp"])
def test_a_kernel_that_never_ends(lab: labs.Lab, name: str) -> None:
    emu.configure(timeout=0.2)
    y = lab.put(np.zeros(32, "i4") if name == "endless" else np.full(32, -1, "i4"))
    fault = fault_of(lab, "LAUNCH_TIMEOUT", name, y)
    assert fault.kind == "timeout" and "longer than 200 ms" in fault.what


# ---- what a kernel says itself, and what only a CPU notices


def test_assertions_and_traps(lab: labs.Lab) -> None:
    fault = fault_of(lab, "CUDA_ERROR_ASSERT", "check", lab.empty(128), np.int32(7))
    assert "assert(int(threadIdx.x) < limit)" in fault.what and fault.thread == (7, 0, 0)
    emu.reset()
    assert fault_of(lab, "LAUNCH_FAILED", "trap", lab.empty(128)).thread == (5, 0, 0)


def test_division_by_zero_and_stack_overflow(lab: labs.Lab) -> None:
    assert fault_of(lab, "LAUNCH_FAILED", "divide", lab.empty(128), np.int32(0)).kind == "division"
    emu.reset()
    fault = fault_of(lab, "ILLEGAL_ADDRESS", "recurse", lab.empty(4), np.int32(100000), block=1)
    assert fault.kind == "stack"


def test_after_every_fault_the_emulation_works_again(lab: labs.Lab) -> None:
    for _ in range(3):
        fault_of(lab, "LAUNCH_FAILED", "barrier_against_shuffle", lab.empty(128))
        emu.reset()
        assert (lab.run("copy", lab.put(np.ones(64, "f4")), out=(64, "f4"), block=64) == 1).all()
    assert emu.last_fault() is None


def test_without_guard_pages_freed_memory_is_poison(lab: labs.Lab) -> None:
    with emu.configured(guard="none"):
        x = lab.put(np.ones(32, "f4"))
        address = np.uint64(int(x.handle))
        x.close(lab.stream)
        assert np.isnan(lab.run("copy", address, out=(32, "f4"))).all()


def test_the_text_is_cuda() -> None:
    from cuda.core import Program, ProgramOptions

    cubin = Program(SOURCE, "c++", ProgramOptions(arch="sm_90", std="c++17")).compile("cubin")
    assert all(name.encode() in cubin.code for name in NAMES)
