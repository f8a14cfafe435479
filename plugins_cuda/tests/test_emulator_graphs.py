"""Graphs of the emulated driver built node by node: orders, other parameters, and what is no graph or node any more."""

from __future__ import annotations

import ctypes
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
extern "C" __global__ void shift(float* x, float by, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) x[i] += by;
}
"""
NAMES = ["scale", "shift"]


class Node:
    """The parameters of a kernel node: ``kernel(x, by, N)`` in blocks of 64."""

    def __init__(self, lab: labs.Lab, name: str, x: Any, by: float, block: int = 64) -> None:
        from cuda.bindings import driver

        self.values = [ctypes.c_uint64(int(x.handle)), ctypes.c_float(by), ctypes.c_int(int(N))]
        self.table = (ctypes.c_void_p * 3)(*map(ctypes.addressof, self.values))
        self.parameters = driver.CUDA_KERNEL_NODE_PARAMS()
        self.parameters.kern = lab.kernels[name].handle
        self.parameters.gridDimX = self.parameters.gridDimY = self.parameters.gridDimZ = 1
        self.parameters.blockDimX, self.parameters.blockDimY, self.parameters.blockDimZ = block, 1, 1
        self.parameters.kernelParams = ctypes.addressof(self.table)


class Graph:
    """A graph under the driver's own functions; ``code`` is the last answer."""

    def __init__(self, lab: labs.Lab) -> None:
        from cuda.bindings import driver

        self.driver, self.lab, self.code = driver, lab, 0
        self.graph = self._made(driver.cuGraphCreate(0))
        self.executable: Any = None

    def _made(self, answer: tuple[Any, ...]) -> Any:
        self.code = int(answer[0])
        return answer[1] if len(answer) > 1 else None

    def add(self, node: Node, *before: Any) -> Any:
        return self._made(self.driver.cuGraphAddKernelNode(self.graph, list(before), len(before), node.parameters))

    def instantiate(self) -> None:
        self.executable = self._made(self.driver.cuGraphInstantiate(self.graph, 0))

    def change(self, handle: Any, node: Node) -> int:
        self._made(self.driver.cuGraphExecKernelNodeSetParams(self.executable, handle, node.parameters))
        return self.code

    def launch(self) -> int:
        self._made(self.driver.cuGraphLaunch(self.executable, self.lab.stream.handle))
        return self.code

    def destroy(self) -> None:
        if self.executable is not None:
            self._made(self.driver.cuGraphExecDestroy(self.executable))
        self._made(self.driver.cuGraphDestroy(self.graph))


@pytest.mark.parametrize("deferred", [False, True])
def test_nodes_run_when_launched_with_the_arguments_of_their_time(lab: labs.Lab, deferred: bool) -> None:
    x, y, graph = ones(lab), ones(lab), Graph(lab)
    emu.configure(deferred=deferred)
    first = graph.add(Node(lab, "scale", x, 3))
    second = graph.add(Node(lab, "shift", x, 1), first)
    graph.instantiate()
    assert lab.get(x, "f4")[0] == 1
    graph.launch()
    other = Node(lab, "scale", y, 5)
    assert graph.change(first, other) == graph.change(second, Node(lab, "shift", y, 2)) == 0
    other.values[1].value = 100.0  # arguments were copied when the node was changed
    graph.launch()
    assert lab.get(x, "f4")[0] == 4, "a launch that is queued keeps its arguments"
    assert lab.get(y, "f4")[0] == 7
    assert graph.launch() == 0 and lab.get(y, "f4")[0] == 37
    graph.destroy()


def test_nodes_that_nothing_orders_run_in_any_order(lab: labs.Lab) -> None:
    def results(ordered: bool) -> set[float]:
        found = set()
        for seed in range(8):
            emu.configure(order="random", seed=seed)
            x, graph = ones(lab), Graph(lab)
            first = graph.add(Node(lab, "scale", x, 3))
            graph.add(Node(lab, "shift", x, 1), *[first] * ordered)
            graph.instantiate()
            graph.launch()
            found.add(float(lab.get(x, "f4")[0]))
            graph.destroy()
        return found

    assert results(ordered=True) == {4.0}
    assert results(ordered=False) == {4.0, 6.0}
    emu.configure(order="reverse")
    assert results(ordered=True) == {4.0}


def test_wrong_nodes_are_refused(lab: labs.Lab) -> None:
    x, graph, other = ones(lab), Graph(lab), Graph(lab)
    foreign = other.add(Node(lab, "scale", x, 2))
    graph.add(Node(lab, "scale", x, 2), foreign)
    assert graph.code == 1 and "another graph" in str(emu.last_fault())
    graph.add(Node(lab, "scale", x, 2, block=2000))
    assert graph.code == 1 and "1024 threads" in str(emu.last_fault())
    empty = Node(lab, "scale", x, 2)
    empty.parameters.kern = 0
    graph.add(empty)
    assert graph.code == 400
    without = Node(lab, "scale", x, 2)
    without.parameters.kernelParams = 0
    graph.add(without)
    assert graph.code == 1 and "none was given" in str(emu.last_fault())
    graph.destroy()
    other.destroy()


def test_parameters_are_for_nodes_of_the_graph_that_was_instantiated(lab: labs.Lab) -> None:
    x, graph, other = ones(lab), Graph(lab), Graph(lab)
    node, foreign = graph.add(Node(lab, "scale", x, 2)), other.add(Node(lab, "scale", x, 2))
    graph.instantiate()
    assert graph.change(foreign, Node(lab, "scale", x, 2)) == 1
    assert graph.change(node, Node(lab, "scale", x, 2, block=2000)) == 1
    assert graph.change(node, Node(lab, "shift", x, 2)) == 0
    graph.driver.cuGraphDestroy(graph.graph)
    assert graph.change(node, Node(lab, "scale", x, 2)) == 1, "nodes are destroyed with their graph"
    assert graph.launch() == 0 and lab.get(x, "f4")[0] == 3
    executable = graph.executable
    graph.driver.cuGraphExecDestroy(executable)
    assert graph.launch() == 1
    assert graph.change(node, Node(lab, "scale", x, 2)) == 1 and "any more" in str(emu.last_fault())
    other.destroy()


def test_a_pointer_to_nowhere_is_found_when_the_graph_runs(lab: labs.Lab) -> None:
    x, graph = ones(lab), Graph(lab)
    node = Node(lab, "scale", x, 2)
    node.values[0].value = np.zeros(64).ctypes.data
    graph.add(node)
    graph.instantiate()
    assert graph.launch() == 700
    assert "points to no device memory" in str(emu.last_fault())
