"""Compiled programs on the device: recorded, repeated, as graphs; against NumPy's replay of the same programs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from device_lab import get, in_threads, put
from programs_lab import F4, Written, agree, by_numpy, compiled, layers, normals, prepared, same, target

from plugrad.backend import Kernel
from plugrad.compiler.replay import replay
from plugrad.errors import DeviceError
from plugrad.program import Lit
from plugrad.testing.programs import RandomProgram
from plugrad_cuda import executor, recorder, runtime
from plugrad_cuda.array import DeviceArray
from plugrad_cuda.elementwise import OPS
from plugrad_cuda.errors import LateIndexError
from plugrad_cuda.recorder import Unrecordable
from plugrad_cuda.recording import Call
from plugrad_cuda.runtime import Runtime

pytestmark = pytest.mark.usefixtures("cuda")


@pytest.fixture
def device(cuda: str) -> Runtime:
    return runtime.of("0")


def counted(device: Runtime, work: Any) -> tuple[Any, int, int, int]:
    """What a call gives; and how many kernels, graphs and updates of nodes it took."""
    c = device.counters
    before = c.launches, c.graphs, c.updates
    found = work()
    return found, c.launches - before[0], c.graphs - before[1], c.updates - before[2]


# -- random programs


@pytest.mark.parametrize("seed", range(8))
def test_random_programs(seed: int) -> None:
    """Three runs with other inputs: launches, then graphs."""
    made = RandomProgram(seed)
    program, donations = made.program, made.donations()
    run = compiled(program, donations)
    given_up = {i for i, _ in run.program.donated}
    for k in range(3):
        arrays = [a * np.float32(k + 1) for a in made.values()]
        values = [put(a) for a in arrays]
        found = run(*values)
        same(found, by_numpy(program, arrays), f"seed {seed}, run {k}")
        for i, (value, array) in enumerate(zip(values, arrays, strict=True)):
            if i not in given_up:
                np.testing.assert_array_equal(get(value), array, err_msg=f"seed {seed}, input {i} was written")
        for i, out in run.program.donated:
            assert found[out].pointer == values[i].pointer
        addresses = [v.pointer for v in (*values, *found) if v.layout.nbytes]
        assert len(set(addresses)) == len(addresses) - len(run.program.donated)
    (recording,) = run.recordings.values()
    assert recording.why == {}


@pytest.mark.parametrize("seed", range(100, 104))
def test_random_programs_without_passes(seed: int) -> None:
    """Every equation for itself."""
    made = RandomProgram(seed)
    run = compiled(made.program, made.donations(), chosen=())
    for k in range(2):
        agree(run, made.program, made.values(), f"seed {seed}, run {k}")


@pytest.mark.parametrize("seed", range(3))
def test_the_core_replays_programs_on_carved_memory(seed: int) -> None:
    """What it does where a backend takes no program: groups by the kernel ``fused``, results in one arena."""
    made, cuda = RandomProgram(seed), target("cuda")
    consts = {v: put(a) for v, a in made.program.consts.items()}
    program = prepared(made.program.replace(consts=consts), cuda)
    run = replay(program, cuda)
    for _ in range(2):
        same(run(*[put(a) for a in made.values()]), by_numpy(made.program, made.values()), f"seed {seed}")


def test_carved_values_are_parts_of_their_block() -> None:
    cuda = target("cuda").backend
    block = put(np.arange(64, dtype=np.float32).view(np.uint8))
    part = cuda.carve(block, 64, (3, 4), F4)
    assert part.pointer == block.pointer + 64 and part.buffer is block.buffer and part.layout.dense
    np.testing.assert_array_equal(get(part), np.arange(16, 28, dtype=np.float32).reshape(3, 4))


def test_every_family_of_kernels_is_recorded(device: Runtime) -> None:
    """Creation, random bits, joining, updates in the memory of what dies and in their own, positions."""
    made = Written(((5, 3), F4), ((4,), np.int64), ((4, 3), F4), ((2,), np.uint32))
    rows = made.add("gather", 0, 1, axis=0)
    added = made.add("scatter_add", made.add("exp", 0), 1, 2, axis=0)
    kept = made.add("scatter_add", 0, 1, rows, axis=0)
    bits = made.add("random_bits", 3, shape=(5, 3))
    joined = made.add("concat", added, kept, made.add("cast", bits, dtype=F4), axis=0)
    low, high = (
        made.add("pad", joined, low=(1, 0), high=(0, 2), interior=(0, 1)),
        made.add("argmax", joined, axis=1, keepdims=False),
    )
    written = made.add("slice_update", joined, 2, start=(3, 0), size=(4, 3), step=(2, 1))
    sums = made.add("cumsum", made.add("permute", joined, axes=(1, 0)), axis=1)
    places = made.add("iota", size=15, dtype=F4, device="0")
    shifted = made.add("add", places, made.add("full", shape=(15,), value=0.5, dtype=F4, device="0"))
    program = made.program(rows, low, high, written, sums, shifted)
    run = compiled(program, chosen=())
    rng = np.random.default_rng(2)
    for k in range(3):
        x, v = [rng.standard_normal(shape, dtype=np.float32) for shape in ((5, 3), (4, 3))]
        at, key = np.array([0, 4, -5, 2 - k]), np.array([k, 7], np.uint32)
        agree(run, program, [x, at, v, key], f"run {k}")
    (recording,) = run.recordings.values()
    assert recording.why == {}


# -- graphs


def test_the_second_run_is_one_graph(device: Runtime) -> None:
    program = layers()
    run = compiled(program)
    values = [put(a) for a in normals(program, 1)]
    wanted = by_numpy(program, normals(program, 1))
    for count in ((6, 0), (0, 1), (0, 1)):
        found, launches, graphs, _ = counted(device, lambda: run(*values))
        assert (launches, graphs) == count
        same(found, wanted)


def test_a_graph_reads_and_writes_where_this_run_has_its_values(device: Runtime) -> None:
    program = layers()
    run = compiled(program)
    kept = []
    for k in range(5):
        arrays = normals(program, k)
        values = [put(a) for a in arrays]
        found, _, _, updates = counted(device, lambda values=values: run(*values))
        assert updates == (4 if k > 1 else 0)  # the first layer's x, three times w, the output: in four launches
        kept.append((values, found, by_numpy(program, arrays)))
    for _, found, wanted in kept:  # none was overwritten by a later run
        same(found, wanted)
    values, _, wanted = kept[-1]
    found, _, _, updates = counted(device, lambda: run(*values))
    assert updates == 1, "only the output is new"
    same(found, wanted)


def test_donated_memory_is_written_by_a_graph_without_updates(device: Runtime) -> None:
    made = Written(((3, 5), F4), ((5, 5), F4))
    x = made.add("mul", 0, Lit(0.5, F4))
    y = made.add("matmul", x, 1)
    z = made.add("matmul", y, 1)
    made.add("tanh", z)
    program = made.program(made.add("sub", 0, len(made.specs) - 1))
    run = compiled(program, [(0, 0)])
    assert run.program.donated == ((0, 0),)
    (p, w), x = [put(a) for a in normals(program, 3)], normals(program, 3)[0]
    for k in range(4):
        (found,), _, graphs, updates = counted(device, lambda p=p: run(p, w))
        assert found.pointer == p.pointer and updates == 0 and graphs == (k > 0)
        (x,) = by_numpy(program, [x, normals(program, 3)[1]])
        same([found], [x])
        p = found


def test_strided_memory_that_is_given_up_is_left_alone() -> None:
    program = Written(((4, 4), F4))
    run = compiled(program.program(program.add("exp", 0)), [(0, 0)])
    a = normals(run.program, 1)[0]
    x = put(a)
    (found,) = run(x.view((4, 4), (1, 4)))
    same([found, x], [np.exp(a.T), a])
    assert found.layout.dense and found.pointer != x.pointer


def test_no_graphs_where_they_are_not_wanted_or_not_to_be_had(device: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    program = layers()
    arrays = normals(program, 1)
    with monkeypatch.context() as patch:
        patch.setenv(executor.GRAPHS, "0")
        run = compiled(program)
        assert [counted(device, lambda: agree(run, program, arrays))[1:3] for _ in range(3)] == [(6, 0)] * 3
    refused = device.driver.cuGraphInstantiate(0, 0)
    monkeypatch.setattr(device.driver, "cuGraphInstantiate", lambda *_: refused)
    run = compiled(program)
    assert [counted(device, lambda: agree(run, program, arrays))[1:3] for _ in range(3)] == [(6, 0)] * 3


# -- layouts of inputs


def test_inputs_of_other_layouts_are_recorded_anew_up_to_a_limit(device: Runtime) -> None:
    program = layers(4, 4, 1)
    run = compiled(program)
    a, b = normals(program, 2)
    whole = np.zeros((40, 40), np.float32)
    for k in range(executor.MOST_KINDS + 4):
        lies = put(whole)
        x = lies.view((4, 4), (5 + k, 1), k)
        spread = np.lib.stride_tricks.as_strided(whole.reshape(-1)[k:], (4, 4), ((5 + k) * 4, 4))
        spread[...] = a
        lies = put(whole)
        x = lies.view((4, 4), (5 + k, 1), k)
        same(run(x, put(b)), by_numpy(program, [a, b]), f"kind {k}")
    assert len(run.recordings) <= executor.MOST_KINDS + 1


def test_memory_of_a_program_goes_with_it(device: Runtime) -> None:
    program = layers()
    run = compiled(program)
    for k in range(3):
        agree(run, program, normals(program, k))
    (recording,) = run.recordings.values()
    assert recording.scratch == 0 and executor.size_of(recording.plan, recording)[2] > 0
    # the fixture finds what the executor leaves behind


# -- what is not recorded


def test_what_cannot_be_recorded_is_a_call_between_graphs(device: Runtime) -> None:
    made = Written(((6, 4), F4), ((4, 4), F4))
    x = 0
    for op in ("tanh", "tanh", "exp", "tanh"):
        x = made.add("matmul", x, 1)
        x = made.add(op, made.add("permute", x, axes=(1, 0)))
        x = made.add("permute", x, axes=(1, 0))
    program = made.program(x, made.add("exp", 0))
    run = compiled(program, without=("exp",))
    for k in range(4):
        agree(run, program, normals(program, k), f"run {k}")
    (recording,) = run.recordings.values()
    kinds = [type(step) for step in recording.steps]
    assert kinds.count(Call) == 2 and list in kinds
    assert set(recording.why.values()) == {"exp: there is no kernel"}


def test_an_error_in_a_call_leaves_nothing_half_done() -> None:
    """The graph behind it takes over the addresses of the run that works."""
    made = Written(((6, 4), F4), ((4, 4), F4))
    x = made.add("exp", made.add("matmul", 0, 1))
    for _ in range(3):
        x = made.add("tanh", made.add("matmul", x, 1))
    program = made.program(x)
    run = compiled(program, without=("exp",))
    (i,) = [i for i, e in enumerate(run.program.eqns) if e.op == "exp"]
    for k in range(3):
        agree(run, program, normals(program, k))
    calls = run.program.calls
    broken = lambda value: (_ for _ in ()).throw(ValueError("exp: not this time"))  # noqa: E731
    run.program = run.program.replace(calls=(*calls[:i], broken, *calls[i + 1 :]))
    values = [put(a) for a in normals(program, 8)]
    with pytest.raises(ValueError, match="not this time"):
        run(*values)
    run.program = run.program.replace(calls=calls)
    same(run(*values), by_numpy(program, normals(program, 8)))


def test_nothing_of_a_recording_reaches_the_host_or_the_device(device: Runtime) -> None:
    noted = recorder.of(device)
    for name in ("download", "upload", "wait", "stream"):
        with pytest.raises(Unrecordable, match=name):
            getattr(noted, name)
    with pytest.raises(Unrecordable, match="after its end"):
        noted.empty(put(np.zeros(3, "f4")).layout, "add")
    made_up = noted.value(recorder.base(3) + 8, put(np.zeros(3, "f4")).layout)
    assert recorder.piece(made_up.pointer) == (3, 8) and recorder.piece(device.report_pointer) is None
    OPS["copy"](put(np.zeros(3, "f4")))
    kernel = next(iter(device._kernels.values()))
    with pytest.raises(DeviceError, match="too large"):
        device.launch("copy", kernel, device.config(1, 1), made_up.pointer)


def test_a_kernel_that_goes_to_the_host_is_a_call() -> None:
    """What it had noted before is forgotten."""

    def exp(x: DeviceArray) -> DeviceArray:
        return put(np.exp(get(OPS["neg"](OPS["neg"](x)))))

    made = Written(((6, 4), F4), ((4, 4), F4))
    program = made.program(made.add("cumsum", made.add("exp", made.add("matmul", 0, 1)), axis=0))
    run = compiled(program)
    run.tables = run.tables._replace(kernels={**run.tables.kernels, "exp": Kernel(exp)})
    for k in range(3):
        agree(run, program, normals(program, k))
    (recording,) = run.recordings.values()
    assert [type(step) for step in recording.steps] == [list, Call, list] and recording.launches == 2
    assert "a recorded program cannot use it" in next(iter(recording.why.values()))


def test_a_run_within_a_run_has_memory_of_its_own() -> None:
    made = Written(((6, 4), F4), ((4, 4), F4))
    x = made.add("exp", made.add("matmul", 0, 1))
    made.add("tanh", made.add("sub", made.add("matmul", x, 1), x))
    program = made.program(len(made.specs) - 1)
    run = compiled(program, without=("exp",), chosen=())
    calls, (i,) = run.program.calls, [i for i, e in enumerate(run.program.eqns) if e.op == "exp"]
    depth = [0]

    def nested(value: Any) -> Any:
        depth[0] += 1
        found = calls[i](value)
        if depth[0] % 2:
            agree(run, program, normals(program, 40 + depth[0]), "the inner run")
        return found

    run.program = run.program.replace(calls=(*calls[:i], nested, *calls[i + 1 :]))
    for k in range(3):
        agree(run, program, normals(program, k), "the outer run")
    assert depth[0] == 6


# -- memory


def test_results_of_another_dtype_are_not_written_over_an_operand(device: Runtime) -> None:
    """The plan has it so; a compiler might write one before it reads the other."""
    made = Written(((300,), F4), ((300,), F4))
    x = made.add("mul", 0, 1)
    y = made.add("cumsum", x, axis=0)
    z = made.add("cast", made.add("add", y, 0), dtype=np.dtype("i4"))
    program = made.program(made.add("cumsum", z, axis=0))
    run = compiled(program)
    places = run.program.plan.places
    (group,) = [e for e in run.program.eqns if e.op == "fused" and run.program.specs[e.outs[0]].dtype == "i4"]
    over = [v for v in group.values for w in group.outs if places[v] == places[w] and places[v].kind == "arena"]
    assert any(run.program.specs[v].dtype == F4 for v in over)
    for k in range(2):
        agree(run, program, normals(program, k))
    (recording,) = run.recordings.values()
    assert [x.op for x in recording.steps[0]].count("copy") == 1


def test_partial_results_of_one_kernel_lie_apart() -> None:
    made = Written(((70_000,), F4))
    y = made.add("exp", 0)
    both = [made.add(op, y, axis=(0,), keepdims=False) for op in ("sum", "max")]
    program = made.program(*both)
    run = compiled(program)
    assert [e.op for e in run.program.eqns] == ["fused"]
    for k in range(2):
        agree(run, program, normals(program, k))
    (recording,) = run.recordings.values()
    assert recording.launches == 3


# -- errors


def test_a_bad_index_comes_late_in_launches_and_in_graphs() -> None:
    made = Written(((5, 3), F4), ((4,), np.int64))
    x = made.add("gather", 0, 1, axis=0)
    for _ in range(3):
        x = made.add("cumsum", x, axis=0)
    program = made.program(x)
    run = compiled(program)
    a = np.arange(15, dtype=np.float32).reshape(5, 3)
    for k in range(3):
        with pytest.raises(LateIndexError, match="gather: index 7 is out of range for an axis of size 5"):
            get(run(put(a), put(np.array([0, 7, 1, 1])))[0])
        agree(run, program, [a, np.array([0, -1, 4, k])])


def test_waiting_after_each_kernel_names_the_op(device: Runtime, emulated: None) -> None:
    device.waits_always = True
    try:
        program = layers()
        run = compiled(program)
        for k in range(3):
            _, launches, graphs, _ = counted(device, lambda k=k: agree(run, program, normals(program, k)))
            assert (launches, graphs) == (6, 0)
        values = [put(a) for a in normals(program, 1)]
        lost = DeviceArray(device, values[1].buffer, values[1].pointer + (1 << 40), values[1].layout)
        with pytest.raises(DeviceError, match="matmul"):
            run(values[0], lost)
    finally:
        device.waits_always = False


# -- threads


def test_several_threads_at_once(device: Runtime) -> None:
    program = layers(7, 5)
    run = compiled(program)

    def work(k: int) -> None:
        for seed in range(3):
            agree(run, program, normals(program, 10 * k + seed), f"thread {k}")

    in_threads(4, work)
    assert len(run.recordings) == 1
