"""``CudaBackend.compile``: a program as launches that are prepared once and repeated, as CUDA graphs from the second
time on.

A program is recorded for each kind of inputs: their layouts, and how their addresses are aligned. A recording is run in
instances; each has memory for what lies between inputs and outputs, the arguments of the launches, and the graphs of
them, and one thread at a time uses it. Since all work of a device is queued on one stream, an instance is free for the
next run as soon as its work is queued.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np

from plugrad.errors import DeviceError
from plugrad.program import Program

from . import recorder, runtime
from .array import DeviceArray
from .elementwise import copy_into
from .launching import Graph, Launches
from .layout import Layout, dense
from .movement import contiguous
from .recording import ARENA, EXTRA, FIRST, SCRATCH, Call, Lies, Recording, Tables, size_of
from .runtime import Runtime

MOST_KINDS = 8
"""Recordings of a program. Inputs of yet another kind are copied, so that all are dense."""
FEW = 2
"""Launches that are not worth a graph."""
GRAPHS = "PLUGRAD_CUDA_GRAPHS"
"""0: never use graphs."""


class Executor:
    """A program, ready to run: call it with the values of its inputs."""

    def __init__(self, program: Program, tables: Tables, device: str) -> None:
        self.program, self.tables = program, tables
        self.runtime = runtime.of(device)
        self.graphs = os.environ.get(GRAPHS, "") != "0" and not self.runtime.waits_always
        self.recordings: dict[Any, Recording] = {}
        self._idle: dict[Any, list[_Instance]] = {}
        self._recording = threading.Lock()

    def __call__(self, *values: DeviceArray) -> tuple[DeviceArray, ...]:
        device = self.runtime
        device.enter("compile")
        key = tuple([(v.layout, v.pointer & 15) for v in values])
        recording = self.recordings.get(key)
        if recording is None:
            if len(self.recordings) >= MOST_KINDS:
                values = tuple([_aligned(v) for v in values])
                key = tuple([(v.layout, v.pointer & 15) for v in values])
            recording = self._recorded(key)
        idle = self._idle[key]
        try:
            instance = idle.pop()
        except IndexError:
            instance = _Instance(self, recording)
        try:
            return instance.run(values)
        finally:
            idle.append(instance)

    def _recorded(self, key: Any) -> Recording:
        with self._recording:
            found = self.recordings.get(key)
            if found is None:
                found = Recording(self.program, self.tables, recorder.of(self.runtime), key)
                self._idle[key] = []
                self.recordings[key] = found
            return found


def _aligned(v: DeviceArray) -> DeviceArray:
    """A dense value at an aligned address."""
    return contiguous(v) if not v.pointer & 15 else copied(v)


def copied(v: DeviceArray) -> DeviceArray:
    """The same elements in memory of their own."""
    out = v.runtime.empty(dense(v.dtype, v.shape), "compile")
    copy_into(out, v)
    return out


class _Instance:
    """Memory, arguments and graphs of a recording, for one run at a time."""

    def __init__(self, executor: Executor, recording: Recording) -> None:
        self.executor, self.recording = executor, recording
        self.runtime: Runtime = executor.runtime
        extra, scratch, size = size_of(recording.plan, recording)
        self.memory = self.runtime.empty(dense(np.dtype(np.uint8), (size,)), "compile")
        begin = self.memory.pointer
        n = len(recording.inputs)
        self.outputs = self._outputs()
        self.begins: list[int] = [begin, begin + extra, begin + scratch, *[-1] * (n + len(self.outputs))]
        self.parts: list[Launches | Call] = [
            x if isinstance(x, Call) else Launches(self.runtime, x) for x in recording.steps
        ]
        self.prepared = [x for x in self.parts if isinstance(x, Launches)]
        for part in self.prepared:
            for piece in (ARENA, EXTRA, SCRATCH):
                part.place(piece, self.begins[piece])
        self.used = [k for k in range(FIRST, len(self.begins)) if any(k in part.places for part in self.prepared)]
        self.graphs: list[Graph | None] | None = None
        self.changed: list[set[int]] = [set() for _ in self.prepared]
        """For each part the launches whose arguments its graph has not taken over yet."""
        self.runs = 0

    def _outputs(self) -> list[tuple[Layout, int | None]]:
        """Layouts of the outputs, and the input in whose memory each lies."""
        program, donors = self.executor.program, self.recording.donors
        specs = [program.specs[v] for v in program.outputs]
        return [(dense(s.dtype, s.shape), donors.get(k)) for k, s in enumerate(specs)]

    def run(self, values: tuple[DeviceArray, ...]) -> tuple[DeviceArray, ...]:
        """Queue the program's work on these inputs; its outputs."""
        device = self.runtime
        if self.recording.reports:
            device.reporter(self.recording.reports[0])
        outs = []
        for layout, donor in self.outputs:
            if donor is None:
                outs.append(device.empty(layout, "compile"))
            else:
                outs.append(DeviceArray(device, values[donor].buffer, values[donor].pointer, layout))
        self._place([*values, *outs])
        self.runs += 1
        if self.runs > 1 and self.graphs is None and self.executor.graphs:
            self._make_graphs()
        k = 0
        for part in self.parts:
            if isinstance(part, Call):
                self._call(part, values, outs)
                continue
            graph = self.graphs[k] if self.graphs is not None else None
            if graph is None:
                part.launch()
            else:
                graph.update(self.changed[k])
                self.changed[k].clear()
                graph.launch()
            k += 1
        return tuple(outs)

    def _make_graphs(self) -> None:
        """Graphs of all launches. Where the driver makes none, the program keeps to launches."""
        try:
            self.graphs = [Graph(x) if len(x.calls) > FEW else None for x in self.prepared]
        except DeviceError:
            if self.runtime.fault:
                raise
            self.executor.graphs = False
        else:
            self.changed = [set() for _ in self.prepared]

    def _place(self, values: list[DeviceArray]) -> None:
        """Take over the addresses of inputs and outputs."""
        begins = self.begins
        for piece in self.used:
            begin = values[piece - FIRST].pointer
            if piece < FIRST + len(self.recording.inputs):
                begin -= begin & 15  # offsets are from there
            if begin == begins[piece]:
                continue
            begins[piece] = begin
            for changed, part in zip(self.changed, self.prepared, strict=True):
                changed.update(part.place(piece, begin))

    def _call(self, call: Call, values: tuple[DeviceArray, ...], outs: list[DeviceArray]) -> None:
        """An equation by the core, its results copied to where the launches look for them."""
        memory = [*[self.memory] * FIRST, *values, *outs]
        found = self.executor.program.calls[call.equation](*[self._at(x, memory) for x in call.operands])
        for value, place in zip(found if type(found) is tuple else (found,), call.results, strict=True):
            if place.layout.nbytes:
                copy_into(self._at(place, memory), value)

    def _at(self, lies: Lies, memory: list[DeviceArray]) -> DeviceArray:
        piece, offset, layout = lies
        if piece is None:
            return DeviceArray(self.runtime, None, offset, layout)
        owner = memory[piece]
        begin = self.begins[piece] if piece < FIRST else owner.pointer - (owner.pointer & 15)
        return DeviceArray(self.runtime, owner.buffer, begin + offset, layout)
