"""One device at work: errors that come late, faults that stick, memory by value, threads, what is kept and counted."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device_lab import in_threads

import plugrad as pg
from plugrad.errors import DeviceError, DTypeError
from plugrad_cuda import elementwise, runtime, toolchain
from plugrad_cuda.array import DeviceArray
from plugrad_cuda.backend import CudaBackend
from plugrad_cuda.errors import STICKY, LateIndexError, OutOfMemoryError
from plugrad_cuda.runtime import Runtime

pytestmark = pytest.mark.usefixtures("cuda")

FAULTY = Path(__file__).parent / "faulty"
ADD = elementwise.OPS["add"]


@pytest.fixture
def device(cuda: str) -> Runtime:
    return runtime.of("0")


def ones(n: int = 4) -> DeviceArray:
    return runtime.of("0").upload(np.ones(n, np.float32))


def faulty(name: str) -> tuple[str, str]:
    """A kernel that goes wrong, as the runtime takes it."""
    return name, (FAULTY / f"{name}.cu").read_text(encoding="utf-8")


def fault(device: Runtime, x: DeviceArray) -> None:
    """Queue a kernel that writes where nothing is."""
    device.launch("bad_op", device.kernel("bad_op", "bad", lambda: [faulty("bad")]), device.config(1, 1), x.pointer)


# -- errors


def test_a_fault_comes_late_and_sticks(device: Runtime, emulated: None) -> None:
    x = ones()
    with pytest.raises(DeviceError, match="ILLEGAL_ADDRESS") as late:
        fault(device, x)
        kept = [ADD(x, x) for _ in range(3)]
        device.download(kept[0])
    assert "PLUGRAD_CUDA_SYNC=1" in str(late.value) and "new process" in str(late.value)
    begun = time.perf_counter()
    for name, call in {
        "add": lambda: ADD(x, x),
        "to_host": lambda: device.download(x),
        "from_host": ones,
        "synchronize": lambda: device.wait("synchronize"),
        "exp": lambda: elementwise.OPS["exp"].into(x, x),
    }.items():
        with pytest.raises(DeviceError, match=f"{name}: cuda:0 is unusable in this process since it failed: .*ILLEGAL"):
            call()
    assert time.perf_counter() - begun < 5, "at once: nothing is waited for"


def test_a_fault_reaches_the_user_with_the_op_s_name(device: Runtime, emulated: None) -> None:
    x = pg.asarray([1.0, 2.0], device="cuda:0")
    with pytest.raises(DeviceError):
        fault(device, x.val)
        y = x + x
        y.numpy()
    with pytest.raises(DeviceError, match=r"^mul: cuda:0 is unusable"):
        x * x
    with pytest.raises(DeviceError, match=r"^matmul: cuda:0 is unusable"):
        x.reshape((1, 2)) @ x.reshape((2, 1))
    assert x.shape == (2,), "the handle itself is fine"


def test_waiting_after_each_kernel_names_the_culprit(
    device: Runtime, emulated: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "waits_always", True)
    x = ones()
    ADD(x, x)
    with pytest.raises(DeviceError, match=r"^bad_op: cuda:0: CUDA_ERROR_ILLEGAL_ADDRESS") as caught:
        fault(device, x)
    assert "PLUGRAD_CUDA_SYNC" not in str(caught.value)


def test_the_variable_is_read_when_the_device_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, wanted in (("1", True), ("0", False), ("", False)):
        monkeypatch.setenv("PLUGRAD_CUDA_SYNC", value)
        assert Runtime(0).waits_always is wanted
    runtime.of("0").enter("back")


def test_out_of_memory_is_said_and_passes(device: Runtime, emulated: None) -> None:
    x = ones()
    with pytest.raises(OutOfMemoryError, match=r"zeros: cuda:0: (CUDA_ERROR_OUT|Failed to al)") as caught:
        pg.zeros((1 << 44,), device="cuda:0")
    assert isinstance(caught.value, DeviceError) and isinstance(caught.value, MemoryError)
    np.testing.assert_array_equal(device.download(ADD(x, x)), [2.0] * 4)


def test_memory_that_queued_work_still_holds_is_waited_for(device: Runtime, emulated: None) -> None:
    import emu

    with emu.configured(memory=1 << 20, deferred=True):
        for _ in range(40):
            big = device.upload(np.ones(1 << 15, np.float32))
            big = ADD(big, big)
        np.testing.assert_array_equal(device.download(big)[:3], [2.0] * 3)


def test_a_kernel_that_does_not_compile(device: Runtime, emulated: None) -> None:
    with pytest.raises(DeviceError, match=r"some_op: compiling wrong: cuda:0: .*wrong"):
        device.kernel("some_op", "wrong", lambda: [faulty("wrong")])
    assert not device.fault
    ADD(ones(), ones())


def test_dtypes_that_are_not_stored(device: Runtime) -> None:
    for dtype in ("float16", "complex64"):
        with pytest.raises(DTypeError, match=f"from_host: cuda does not store {dtype}; it stores bool, int8"):
            device.upload(np.ones(2, dtype))
        with pytest.raises(DTypeError, match=f"cuda does not store {dtype}"):
            pg.asarray(np.ones(2, dtype), device="cuda:0")


def test_only_what_loses_the_context_sticks(device: Runtime, emulated: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, sticks in {
        "UNSUPPORTED_LIMIT": False,
        "INVALID_GRAPHICS_CONTEXT": False,
        "COOPERATIVE_LAUNCH_TOO_LARGE": False,
        "UNKNOWN": False,
        "ECC_UNCORRECTABLE": True,
        "ASSERT": True,
        "MPS_CLIENT_TERMINATED": True,
    }.items():
        monkeypatch.setattr(device, "fault", "")
        with pytest.raises(DeviceError, match=f"op: cuda:0: CUDA_ERROR_{name}"):
            device.failed("op", RuntimeError(f"CUDA_ERROR_{name}: the driver's answer"))
        assert bool(device.fault) is sticks, name


def test_the_driver_s_documentation_says_what_sticks(device: Runtime) -> None:
    texts = {int(result): " ".join((result.__doc__ or "").split()) for result in device.driver.CUresult}
    said = {n for n, text in texts.items() if "terminated and relaunched" in text or "cannot be used anymore" in text}
    if not said:
        pytest.skip("this release of cuda-bindings carries no documentation of results")
    assert said ^ STICKY == {911, 214, 220, 709}


# -- bad indices


def test_a_bad_index_is_clamped_and_raised_late(device: Runtime) -> None:
    x, i = device.upload(np.arange(5.0)), device.upload(np.array([0, 7, -5, -6, 4]))
    launches = device.counters.launches
    from plugrad_cuda.indexing import gather

    y = gather(x, i, axis=0)
    z = ADD(y, y)
    assert device.counters.launches == launches + 2, "both are queued, neither raises"
    with pytest.raises(
        LateIndexError, match=r"gather: index (7|-6) is out of range for an axis of size 5 .*use -5 to 4"
    ):
        device.download(z)
    assert not device.fault
    np.testing.assert_array_equal(device.download(z), [0.0, 8.0, 0.0, 0.0, 8.0])
    device.wait("again: it is told once")


def test_a_bad_write_is_left_out(device: Runtime) -> None:
    x, v = pg.zeros((3, 2), device="cuda:0"), pg.ones((2, 2), device="cuda:0")
    y = pg.OPS["scatter_add"](x, pg.asarray([3, 1], device="cuda:0"), v, axis=0)
    with pytest.raises(IndexError, match="scatter_add: index 3 is out of range for an axis of size 3"):
        y.numpy()
    np.testing.assert_array_equal(y.numpy(), [[0, 0], [1, 1], [0, 0]])


def test_a_bad_index_is_told_by_whatever_waits_first() -> None:
    x = pg.asarray([1.0, 2.0], device="cuda:0")
    other = x + 1
    pg.take(x, [2])
    with pytest.raises(DeviceError, match="gather: index 2"):
        other.numpy()
    with pytest.raises(IndexError, match=r"of size 0 .*the axis is empty"):
        pg.take(pg.zeros((0,), device="cuda:0"), [0]).numpy()


def test_nothing_is_asked_where_no_index_was_used(device: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    device.wait("settle")
    monkeypatch.setattr(device, "_read_report", lambda: pytest.fail("a needless transfer"))
    device.download(ADD(ones(), ones()))


# -- by value


def test_an_upload_is_by_value(device: Runtime) -> None:
    a = np.arange(1000.0)
    x = device.upload(a)
    a[:] = -1
    del a
    np.testing.assert_array_equal(device.download(x), np.arange(1000.0))


def test_what_is_transferred_is_a_copy_that_is_held(device: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver may read pageable memory after the call returned; the emulated one reads it at once."""
    held: list[np.ndarray] = []
    monkeypatch.setattr(device, "_hold", held.append)
    a = np.arange(6.0)
    device.upload(a), device.upload(a.reshape(2, 3).T)
    assert [h.nbytes for h in held] == [48, 48] and not any(np.shares_memory(a, h) for h in held)


def test_host_copies_are_held_only_until_the_transfer_is_done(device: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    values = [device.upload(np.full(100, k, np.int32)) for k in range(20)]
    device.wait("all")
    assert not device._held
    monkeypatch.setattr(runtime, "_HELD_BYTES", 1000)
    more = [device.upload(np.full(100, k, np.int32)) for k in range(20)]
    assert sum(array.nbytes for _, array in device._held) <= 1000
    for k, (a, b) in enumerate(zip(values, more, strict=True)):
        assert device.download(a).tolist() == device.download(b).tolist() == [k] * 100


def test_a_download_is_nobody_else_s(device: Runtime) -> None:
    x = ones()
    a = device.download(x)
    ADD.into(x, x, x)
    assert a.tolist() == [1.0] * 4 and device.download(x).tolist() == [2.0] * 4


def test_dropped_operands_live_until_the_work_is_done(device: Runtime) -> None:
    total = ones(1000)
    for k in range(60):
        total = ADD(total, device.upload(np.full(1000, k, np.float32)))
    assert device.download(total).tolist() == [1.0 + sum(range(60))] * 1000


# -- what is kept


def test_a_repeated_call_plans_and_compiles_nothing(device: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ADD, "_plans", {})
    x, y = ones(7), ones(7)
    ADD(x, y)
    plans, builds, configs = len(ADD._plans), device.counters.builds, len(device._configs)
    for _ in range(5):
        ADD(ones(7), y)
    assert (len(ADD._plans), device.counters.builds, len(device._configs)) == (plans, builds, configs)
    ADD(ones(6), ones(6))
    assert len(ADD._plans) == plans + 1 and device.counters.builds == builds, "another shape, the same kernel"


def test_plans_are_bounded(device: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elementwise, "_PLANS", 8)
    monkeypatch.setattr(ADD, "_plans", {})
    for n in range(1, 30):
        x = ones(n)
        assert device.download(ADD(x, x)).tolist() == [2.0] * n
    assert len(ADD._plans) <= 8


def test_kernels_of_dense_operands_come_together(device: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_kernels", {})
    for op in elementwise.OPS.values():
        monkeypatch.setattr(op, "_plans", {})
    builds = device.counters.builds
    x = ones()
    for name in ("add", "sub", "mul", "div", "maximum"):
        elementwise.OPS[name](x, x)
    assert device.counters.builds == builds + 1


def test_counters(device: Runtime) -> None:
    before = vars(device.counters).copy()
    device.download(ADD(ones(), ones()))
    after = vars(device.counters)
    assert {k: after[k] - before[k] for k in ("launches", "uploads", "downloads", "waits")} == {
        "launches": 1,
        "uploads": 2,
        "downloads": 1,
        "waits": 1,
    }


def test_nothing_is_launched_for_nothing(device: Runtime) -> None:
    launches = device.counters.launches
    x = device.upload(np.zeros((0, 3), np.float32))
    assert x.buffer is None and device.download(ADD(x, x)).shape == (0, 3)
    assert device.counters.launches == launches


def test_toolchains_can_be_exchanged(driver: str) -> None:
    class Mine:
        def build(self, source: str, names: Any, arch: str) -> Any:
            raise NotImplementedError

    before = toolchain._chosen
    try:
        mine = Mine()
        toolchain.use(mine)
        assert toolchain.current() is mine and toolchain.replaced()
        toolchain.use(None)
        assert not toolchain.replaced() and isinstance(toolchain.current(), toolchain.Nvrtc)
    finally:
        toolchain.use(before)


# -- whose context is current


def nobody_s(device: Runtime) -> None:
    """Leave the thread without a context, as another library may."""
    (code,) = device.driver.cuCtxSetCurrent(0)
    assert not int(code)


def test_another_context_may_have_been_set_meanwhile(device: Runtime) -> None:
    x = ones()
    i, v = device.upload(np.array([0, 2])), ones(2)
    add = CudaBackend.into["scatter_add"]
    add(x, x, i, v, axis=0)
    for call in (
        lambda: ADD(x, x),
        lambda: ADD.into(x, x, x),
        lambda: add(x, x, i, v, axis=0),
        lambda: device.wait("cuda"),
        ones,
    ):
        nobody_s(device)
        call()
    nobody_s(device)
    assert device.download(x).tolist() == [5.0, 2.0, 5.0, 2.0]


def test_a_thread_may_begin_with_an_in_place_kernel(device: Runtime) -> None:
    x, i, v = ones(), device.upload(np.array([0, 2])), ones(2)
    add = CudaBackend.into["scatter_add"]
    add(x, x, i, v, axis=0)
    in_threads(1, lambda k: add(x, x, i, v, axis=0))
    assert device.download(x).tolist() == [3.0, 1.0, 3.0, 1.0]


def test_an_error_that_comes_to_light_on_entering(
    device: Runtime, emulated: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def set_current(self) -> None:
            raise RuntimeError("CUDA_ERROR_LAUNCH_FAILED: the driver's answer")

    x = ones()
    with monkeypatch.context() as patch:
        patch.setattr(device, "device", Broken())
        with pytest.raises(DeviceError, match=r"^add: cuda:0: CUDA_ERROR_LAUNCH_FAILED.*; a kernel was stopped"):
            ADD(x, x)
    with pytest.raises(DeviceError, match="add: cuda:0 is unusable in this process"):
        ADD(x, x)


# -- threads


def test_threads_share_the_device(device: Runtime) -> None:
    def work(k: int) -> None:
        for n in range(12):
            x = device.upload(np.full(50 + n, k, np.float32))
            for _ in range(4):
                x = ADD(x, x)
            assert device.download(x).tolist() == [16.0 * k] * (50 + n)

    in_threads(6, work)


def test_threads_that_want_the_same_kernel_build_it_once(device: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_kernels", {})
    monkeypatch.setattr(elementwise.OPS["mul"], "_plans", {})
    builds = device.counters.builds
    in_threads(6, lambda k: elementwise.OPS["mul"](ones(9), ones(9)))
    assert device.counters.builds == builds + 1


def test_a_runtime_is_made_once() -> None:
    assert runtime.of("0") is runtime.of("0")
