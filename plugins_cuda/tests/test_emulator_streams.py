"""Streams, events and graphs of the emulated driver: work that lags behind, in the orders that CUDA allows."""

from __future__ import annotations

import ctypes
import gc
from typing import Any

import emu
import numpy as np
import pytest
from emu import lab as labs
from emu.lab import N, ones

pytestmark = pytest.mark.usefixtures("clean")

SOURCE = r"""
extern "C" __global__ void scale(float* x, float by, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) x[i] *= by;
}
extern "C" __global__ void add(float* x, const float* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) x[i] += y[i];
}
"""
NAMES = ["scale", "add"]


# ---- streams that lag


def test_waiting_for_the_device_is_waiting_for_all_its_streams(lab: labs.Lab) -> None:
    emu.configure(deferred=True)
    streams = [lab.device.create_stream() for _ in range(2)]
    values = [ones(lab), ones(lab)]
    lab.stream.sync()
    for stream, x in zip(streams, values, strict=True):
        lab.launch("scale", x, np.float32(2), N, block=64, stream=stream)
    assert emu.report().pending == 2
    lab.device.sync()
    assert emu.report().pending == 0 and all((lab.get(x, "f4") == 2).all() for x in values)
    lab.launch("scale", np.uint64(0), np.float32(2), N, block=64)
    with pytest.raises(Exception, match="cudaErrorIllegalAddress"):
        lab.device.sync()


def test_deferred_work_waits_for_a_wait(lab: labs.Lab) -> None:
    emu.configure(deferred=True)
    x = ones(lab)
    launches, pending = emu.report().launches, emu.report().pending
    lab.launch("scale", x, np.float32(2), N, block=64)
    assert (emu.report().launches, emu.report().pending) == (launches, pending + 1)
    event = lab.stream.record()
    assert not event.is_done
    event.sync()
    assert event.is_done and emu.report().launches == launches + 1


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("deferred", [False, True])
def test_a_missing_wait_between_streams_shows_in_deferred_mode(lab: labs.Lab, waits: bool, deferred: bool) -> None:
    other = lab.device.create_stream()
    x, y = ones(lab), lab.put(np.zeros(64, "f4"))
    lab.stream.sync()
    emu.configure(deferred=deferred)
    lab.launch("scale", x, np.float32(5), N, block=64)
    if waits:
        other.wait(lab.stream)
    lab.launch("add", y, x, N, block=64, stream=other)
    right = (lab.get(y, "f4", stream=other) == 5).all()
    assert right == (waits or not deferred)
    lab.stream.sync()


def test_staging_memory_that_is_used_again_too_early_shows(lab: labs.Lab) -> None:
    from cuda.core import LegacyPinnedMemoryResource

    emu.configure(deferred=True)
    staging = LegacyPinnedMemoryResource().allocate(256)
    view = np.from_dlpack(staging).view("f4")
    x = lab.empty(256)
    view[:] = 1
    x.copy_from(staging, stream=lab.stream)
    view[:] = 2  # the copy has not been waited for
    assert (lab.get(x, "f4") == 2).all()
    array = np.full(64, 3, "f4")
    x.copy_from(labs.host(array), stream=lab.stream)
    array[:] = 4  # the host's own memory was read before the call returned
    assert (lab.get(x, "f4") == 3).all()
    staging.close()


def test_the_default_stream_and_blocking_streams_keep_their_order(lab: labs.Lab) -> None:
    from cuda.core import StreamOptions

    blocking = lab.device.create_stream(options=StreamOptions(nonblocking=False))
    x, y = ones(lab), ones(lab)
    lab.stream.sync()
    emu.configure(deferred=True)
    lab.launch("scale", x, np.float32(2), N, block=64, stream=blocking)
    lab.launch("add", y, x, N, block=64, stream=lab.device.default_stream)
    lab.launch("scale", y, np.float32(2), N, block=64, stream=blocking)
    assert (lab.get(y, "f4", stream=blocking) == 6).all()


def test_the_order_of_streams_follows_the_setting(lab: labs.Lab) -> None:
    streams = [lab.device.create_stream() for _ in range(2)]
    results = {}
    for order in ("forward", "reverse"):
        emu.configure(order=order, deferred=False)
        x, y = ones(lab), ones(lab)
        emu.configure(deferred=True)
        lab.launch("scale", x, np.float32(3), N, block=64, stream=streams[0])  # nothing orders these two
        lab.launch("add", x, x, np.int32(1), block=64, stream=streams[1])
        lab.launch("scale", x, np.float32(0), N, block=64, stream=streams[1])
        lab.launch("add", x, y, N, block=64, stream=streams[0])
        lab.device.sync()
        results[order] = lab.get(x, "f4")[0]
    assert results == {"forward": 0.0, "reverse": 1.0}


def test_events_measure_time(lab: labs.Lab) -> None:
    from cuda.core import EventOptions

    timed = EventOptions(timing_enabled=True)
    start = lab.stream.record(options=timed)
    lab.launch("scale", ones(lab), np.float32(2), N, block=64)
    end = lab.stream.record(options=timed)
    end.sync()
    assert 0 < end - start < 60000
    untimed = lab.stream.record()
    with pytest.raises(Exception, match=r"INVALID_HANDLE|timing"):
        end - untimed


def test_asking_for_ever_is_waiting(lab: labs.Lab) -> None:
    emu.configure(deferred=True)
    x = ones(lab)
    for _ in range(3):
        lab.launch("scale", x, np.float32(2), N, block=64)
    event = lab.stream.record()
    asked = 0
    while not event.is_done:
        asked += 1
        assert asked < 20000
    assert asked > 1000 and (lab.get(x, "f4") == 8).all()


def test_a_closed_stream_is_refused_and_its_work_still_done(lab: labs.Lab) -> None:
    from cuda.bindings import driver

    emu.configure(deferred=True)
    stream = lab.device.create_stream()
    handle, x = int(stream.handle), ones(lab)
    lab.stream.sync()
    lab.launch("scale", x, np.float32(2), N, block=64, stream=stream)
    stream.close()
    assert int(driver.cuStreamSynchronize(handle)[0]) == 400
    lab.device.sync()
    assert (lab.get(x, "f4") == 2).all()


def test_what_a_stream_is(lab: labs.Lab) -> None:
    from cuda.bindings import driver

    made = [driver.cuStreamCreateWithPriority(flags, priority)[1] for flags, priority in ((1, -2), (0, 0))]
    assert [int(driver.cuStreamGetFlags(stream)[1]) for stream in made] == [1, 0]
    assert [driver.cuStreamGetPriority(stream)[1] for stream in made] == [-2, 0]
    first, second = [driver.cuStreamGetId(stream)[1] for stream in made]
    assert second == first + 1
    assert [int(driver.cuStreamGetDevice(stream)[1]) for stream in made] == [0, 0]
    assert int(driver.cuStreamGetCtx(made[0])[1]) == int(driver.cuCtxGetCurrent()[1])
    assert [int(driver.cuStreamDestroy(stream)[0]) for stream in made] == [0, 0]
    assert [int(driver.cuStreamGetId(stream)[0]) for stream in made] == [400, 400]


def test_what_has_been_destroyed_is_refused(lab: labs.Lab) -> None:
    from cuda.bindings import driver

    event, graph = driver.cuEventCreate(0)[1], driver.cuGraphCreate(0)[1]
    assert [int(driver.cuEventDestroy(event)[0]) for _ in range(2)] == [0, 400]
    assert int(driver.cuEventQuery(event)[0]) == 400
    assert [int(driver.cuGraphDestroy(graph)[0]) for _ in range(2)] == [0, 1]
    assert int(driver.cuGraphInstantiate(graph, 0)[0]) == 1


def test_page_locked_memory_of_a_pool_is_the_hosts_as_well(lab: labs.Lab) -> None:
    from cuda.core import PinnedMemoryResource

    staging = PinnedMemoryResource().allocate(256, stream=lab.stream)
    assert staging.is_host_accessible and staging.is_device_accessible
    np.from_dlpack(staging).view("f4")[:] = 3
    lab.launch("scale", staging, np.float32(2), N, block=64)
    lab.stream.sync()
    assert (np.from_dlpack(staging).view("f4") == 6).all()
    staging.close(lab.stream)


def test_a_module_lives_until_its_queued_work_is_done(lab: labs.Lab) -> None:
    emu.configure(deferred=True)
    other = labs.Lab(SOURCE.replace("*= by", "*= by * by"), ["scale"])
    x = ones(lab)
    lab.stream.sync()
    other.launch("scale", x, np.float32(2), N, block=64)
    stream = other.stream
    del other
    gc.collect()
    stream.sync()
    assert (lab.get(x, "f4") == 4).all()


# ---- graphs


def capture(lab: labs.Lab, *steps: Any) -> Any:
    """A graph of the launches that ``steps`` make on a builder."""
    builder = lab.device.create_graph_builder().begin_building()
    for step in steps:
        step(builder)
    return builder.end_building()


def scaling(lab: labs.Lab, x: Any, by: float) -> Any:
    return lambda stream: lab.launch("scale", x, np.float32(by), N, block=64, stream=stream)


def test_a_captured_graph_runs_when_launched_and_again(lab: labs.Lab) -> None:
    x = ones(lab)
    graph = capture(lab, scaling(lab, x, 2), scaling(lab, x, 5)).complete()
    assert (lab.get(x, "f4") == 1).all()
    graph.upload(lab.stream)
    graph.launch(lab.stream)
    assert (lab.get(x, "f4") == 10).all()
    emu.configure(deferred=True)
    graph.launch(lab.stream)
    graph.launch(lab.stream)
    assert (lab.get(x, "f4") == 1000).all()


def test_a_graph_can_be_updated_if_it_has_the_same_form(lab: labs.Lab) -> None:
    x = ones(lab)
    graph = capture(lab, scaling(lab, x, 2)).complete()
    graph.update(capture(lab, scaling(lab, x, 7)))
    graph.launch(lab.stream)
    assert (lab.get(x, "f4") == 7).all()
    with pytest.raises(Exception, match=r"GRAPH_EXEC_UPDATE_FAILURE|[Tt]opology"):
        graph.update(capture(lab, scaling(lab, x, 7), scaling(lab, x, 7)))


def test_what_a_graph_holds_is_let_go_with_the_last_of_its_forms(lab: labs.Lab) -> None:
    from cuda.bindings import driver

    freed: list[int] = []
    callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(freed.append)
    destroy = driver.CUhostFn(_ptr=ctypes.addressof(callback))
    _, graph = driver.cuGraphCreate(0)
    _, held = driver.cuUserObjectCreate(7, destroy, 1, driver.CUuserObject_flags(1))
    assert int(driver.cuGraphRetainUserObject(graph, held, 1, 1)[0]) == 0  # 1: the graph takes the reference over
    code, executable = driver.cuGraphInstantiate(graph, 0)
    assert int(code) == 0
    driver.cuGraphDestroy(graph)
    assert freed == []
    driver.cuGraphExecDestroy(executable)
    assert freed == [7]


def test_a_graph_may_fork_and_join(lab: labs.Lab) -> None:
    x, y = ones(lab), ones(lab)

    def forked(builder: Any) -> None:
        left, right = builder.split(2)
        scaling(lab, x, 2)(left)
        scaling(lab, y, 3)(right)
        builder.join(left, right)
        lab.launch("add", x, y, N, block=64, stream=builder)

    graph = capture(lab, forked).complete()
    graph.launch(lab.stream)
    assert (lab.get(x, "f4") == 5).all()


@pytest.mark.parametrize(("joins", "code"), [(True, 0), (False, 904)])
def test_the_work_of_a_fork_must_be_joined(lab: labs.Lab, joins: bool, code: int) -> None:
    from cuda.bindings import driver

    def wait(waiter: Any, other: Any) -> None:
        _, event = driver.cuEventCreate(0)
        assert int(driver.cuEventRecord(event, int(other.handle))[0]) == 0
        assert int(driver.cuStreamWaitEvent(int(waiter.handle), event, 0)[0]) == 0
        driver.cuEventDestroy(event)

    origin, fork = lab.device.create_stream(), lab.device.create_stream()
    x = ones(lab)
    driver.cuStreamBeginCapture(int(origin.handle), driver.CUstreamCaptureMode(0))
    wait(fork, origin)
    lab.launch("scale", x, np.float32(2), N, block=64, stream=fork)
    if joins:
        wait(origin, fork)
    ended, graph = driver.cuStreamEndCapture(int(origin.handle))
    assert int(ended) == code
    if joins:
        driver.cuGraphDestroy(graph)
    lab.launch("scale", x, np.float32(3), N, block=64, stream=fork)  # the fork is a stream as any again
    fork.sync()
    assert (lab.get(x, "f4") == 3).all()


def test_waiting_inside_a_capture_is_refused(lab: labs.Lab) -> None:
    from cuda.bindings import driver

    stream = lab.device.create_stream()
    assert int(driver.cuStreamBeginCapture(int(stream.handle), driver.CUstreamCaptureMode(0))[0]) == 0
    assert int(driver.cuStreamSynchronize(int(stream.handle))[0]) == 900
    code, graph = driver.cuStreamEndCapture(int(stream.handle))
    assert int(code) == 0
    driver.cuGraphDestroy(graph)
