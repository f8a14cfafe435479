"""Launches whose arguments lie ready in memory, and graphs of them. Knows no op and no program.

Every argument is a word of 8 bytes; the driver is given a table of their addresses. To run a launch at other addresses
a few words are changed.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .recording import Launch
from .runtime import Runtime, address


class Launches:
    """Launches in their order, as one that repeats them needs them. One thread at a time may use them."""

    def __init__(self, runtime: Runtime, launches: Sequence[Launch]) -> None:
        self.runtime, self.launches = runtime, launches
        count = sum([len(x.arguments) for x in launches])
        self._words = np.zeros(max(count, 1), np.uint64)
        self._table = np.uint64(address(self._words)) + np.arange(max(count, 1), dtype=np.uint64) * np.uint64(8)
        words: Any = memoryview(self._words)  # type: ignore[arg-type]
        self.words = words
        self.places: dict[int, list[tuple[int, int, int]]] = {}
        """By piece of memory: the word, the offset, and the launch that the word belongs to."""
        self.calls: list[tuple[Any, ...]] = []
        table, at = address(self._table), 0
        for i, launch in enumerate(launches):
            grid, block = launch.config.grid, launch.config.block
            parameters = table + 8 * at
            self.calls.append((launch.kernel.handle, *grid, *block, launch.config.shmem_size, parameters))
            for argument in launch.arguments:
                if type(argument) is tuple:
                    self.places.setdefault(argument[0], []).append((at, argument[1], i))
                elif type(argument) is int:
                    words[at] = argument
                else:
                    words[at] = int.from_bytes(np.asarray(argument).tobytes(), "little")
                at += 1

    def place(self, piece: int, begin: int) -> Iterable[int]:
        """Let a piece of memory begin at an address; which launches use it."""
        words, found = self.words, self.places.get(piece, ())
        for word, offset, _ in found:
            words[word] = begin + offset
        return [i for _, _, i in found]

    def launch(self) -> None:
        """All of them, one by one."""
        runtime = self.runtime
        queue, start, waits = runtime.queue, runtime.driver.cuLaunchKernel, runtime.waits_always
        for launch, call in zip(self.launches, self.calls, strict=True):
            answer = start(*call[:-1], queue, call[-1], 0)
            if answer[0]:
                runtime.check(launch.op, answer)
            if waits:
                runtime.wait(launch.op)
        runtime.counters.launches += len(self.calls)

    def parameters(self, i: int) -> Any:
        """A launch as the parameters of a graph's node."""
        handle, *sizes, shared, table = self.calls[i]
        found = self.runtime.driver.CUDA_KERNEL_NODE_PARAMS()
        found.kern = handle
        found.gridDimX, found.gridDimY, found.gridDimZ, found.blockDimX, found.blockDimY, found.blockDimZ = sizes
        found.sharedMemBytes, found.kernelParams, found.extra = shared, table, 0
        return found


class Graph:
    """Launches as one: a CUDA graph, each node behind the one before. Whoever changes words says of which launches."""

    def __init__(self, launches: Launches) -> None:
        self.launches, self.runtime = launches, launches.runtime
        driver = self.runtime.driver
        self._parameters = [launches.parameters(i) for i in range(len(launches.calls))]
        self._nodes: list[Any] = []
        graph = self._made(driver.cuGraphCreate(0))
        executable = None
        try:
            for parameters in self._parameters:
                before = self._nodes[-1:]
                self._nodes.append(self._made(driver.cuGraphAddKernelNode(graph, before, len(before), parameters)))
            executable = self._made(driver.cuGraphInstantiate(graph, 0))
        finally:
            if executable is None:
                driver.cuGraphDestroy(graph)
        self._executable = executable
        # nodes are of the graph, so it is kept for as long as they may be changed
        weakref.finalize(self, _destroy, self.runtime, executable, graph).atexit = False

    def _made(self, answer: tuple[Any, ...]) -> Any:
        self.runtime.check("compile", answer)
        return answer[1]

    def update(self, changed: Iterable[int]) -> None:
        """Take over the arguments of these launches. What is queued already keeps those it had."""
        runtime, nodes, parameters = self.runtime, self._nodes, self._parameters
        change, executable = runtime.driver.cuGraphExecKernelNodeSetParams, self._executable
        for i in changed:
            answer = change(executable, nodes[i], parameters[i])
            if answer[0]:
                runtime.check(self.launches.launches[i].op, answer)
            runtime.counters.updates += 1

    def launch(self) -> None:
        """Queue all of it."""
        self.runtime.check("compile", self.runtime.driver.cuGraphLaunch(self._executable, self.runtime.queue))
        self.runtime.counters.graphs += 1


def _destroy(runtime: Runtime, executable: Any, graph: Any) -> None:
    """What is queued is done all the same. Errors have been, or will be, told by other calls."""
    if not runtime.fault:
        runtime.driver.cuGraphExecDestroy(executable)
        runtime.driver.cuGraphDestroy(graph)
