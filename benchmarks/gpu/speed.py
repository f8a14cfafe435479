"""Section: benchmarks against torch and cupy. A fast wrong kernel must not look good, so results are compared first."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from . import mlp
from .cases import CASES, Case
from .peers import CAREFUL, ONCE, OURS, Effort, Library, batch_seconds, found, host_seconds, in_turn
from .records import DEVICE, NotHereError, Section, section

MLP = "training step, MLP, Adam"
STEPS = {MLP: False, f"{MLP}, compiled": True}
"""Whether a row's step is compiled."""
COMPARED = 1 << 21
"""Elements of a result that are compared; the step between them is odd, so that no column or lane is left out."""


def on_device(library: Library, array: np.ndarray, dtype: str) -> Any:
    """An input; floating ones in the dtype of the case."""
    tensor = library.put(array)
    if array.dtype.kind != "f" or dtype == "float32":
        return tensor
    wanted = getattr(library.module, dtype)
    return tensor.to(wanted) if library.name == "torch" else tensor.astype(wanted)


def prepared(case: Case, library: Library, arrays: Any, wanted: np.ndarray) -> Callable[[], Any] | None:
    """What is timed, after its result was compared; None where the library has no such thing."""
    work = case.work_in(library.name)
    if work is None:
        return None
    inputs = [on_device(library, array, case.dtype) for array in arrays]
    got = np.asarray(library.get(work(library.module, *inputs)))
    agree(got, wanted, case.tolerance)
    return lambda: work(library.module, *inputs)


def agree(got: np.ndarray, wanted: np.ndarray, tolerance: float) -> None:
    """AssertionError unless they are alike; of large results, elements of every column and row are compared."""
    if got.shape != wanted.shape:
        raise AssertionError(f"expected the shape {wanted.shape}, came {got.shape}")
    step = got.size // COMPARED | 1
    some, others = got.reshape(-1)[::step].astype(np.float64), wanted.reshape(-1)[::step]
    np.testing.assert_allclose(some, others, rtol=min(tolerance, 0.02), atol=tolerance)


def stored() -> set[str]:
    """The names of the dtypes that the backend stores."""
    pg, dtypes = importlib.import_module("plugrad"), importlib.import_module("plugrad.dtypes")
    backend = pg.backend.BACKENDS[pg.plugins.backend_index(DEVICE.partition(":")[0])]
    return {dtypes.DTYPES[code].name for code in dtypes.parse(backend.dtypes)}


def reference(case: Case, arrays: Any) -> np.ndarray:
    """The result in float64; large ones in the inputs' own dtype, for time."""
    if sum(array.size for array in arrays) < 1 << 22:
        arrays = [array.astype(np.float64) if array.dtype.kind == "f" else array for array in arrays]
    return np.asarray(case.expected(*arrays))


def measure(running: Section, case: Case, libraries: list[Library], effort: Effort) -> None:
    """One row."""
    if case.dtype not in stored():
        raise NotHereError(f"the backend does not store {case.dtype} yet")
    arrays = case.inputs(case.sizes[running.emulated])
    wanted = reference(case, arrays)
    works = {}
    for library in libraries:
        try:
            work = prepared(case, library, arrays, wanted)
        except Exception as error:
            left_out(running, case.name, library, error)
            continue
        if work is not None:
            works[library.name] = work, library.wait
    row(running, case.name, works, effort, case.host, case.amount(*arrays), case.unit)


def left_out(running: Section, name: str, library: Library, error: Exception) -> None:
    """Say that a peer's work failed; our own failing is the row's failure."""
    if library.name == OURS:
        raise error
    running.note(f"{name}: {library.name} is left out: {type(error).__name__}: {str(error)[:300]}")


def row(
    running: Section, name: str, works: Any, effort: Effort, host: bool = False, amount: float = 0.0, unit: str = ""
) -> None:
    """Time in turn, and record."""
    seconds, ratios = in_turn(works, effort, host_seconds if host else batch_seconds)
    rate = amount / seconds[OURS]
    running.write("figure", name=name, seconds=seconds, ratios=ratios, rate=rate, unit=unit, rounds=effort.rounds)


def training(running: Section, name: str, libraries: list[Library], effort: Effort) -> None:
    """A row of the training step; of the compiled one another with the host's time alone."""
    compiled = STEPS[name]
    task, works, last = mlp.Task(running.emulated), {}, {}
    for library in libraries:
        if library.name not in mlp.STEPS:
            continue
        try:
            step, last[library.name] = mlp.checked(task, library, compiled)
        except Exception as error:
            left_out(running, name, library, error)
        else:
            works[library.name] = step, library.wait
    if max(last.values()) - min(last.values()) > 1e-2:
        raise AssertionError(f"losses after five steps differ: {last}")
    row(running, name, works, effort)
    if compiled:
        row(running, f"{name}, until it returns", works, effort, host=True)
    running.note(f"{name}: {launches(works[OURS][0])}")


def launches(step: Callable[[], Any]) -> str:
    """What one step queues."""
    counters = importlib.import_module("plugrad_cuda.runtime").of(DEVICE.partition(":")[2]).counters
    before = counters.launches, counters.graphs, counters.updates
    step()
    kernels, graphs, updates = counters.launches - before[0], counters.graphs - before[1], counters.updates - before[2]
    return f"a step is {kernels} launches and {graphs} graphs, of which {updates} nodes get new arguments"


def main() -> None:
    """Measure one case after the other."""
    with section() as running:
        running.emulate()
        warnings.simplefilter("ignore", importlib.import_module("plugrad.errors").FallbackWarning)
        libraries, lacking = found(running.emulated)
        for name, why in lacking.items():
            running.note(f"no ratios to {name}: {why}")
        effort = ONCE if running.emulated else CAREFUL
        cases: dict[str, Callable[[], None]] = {
            name: lambda name=name: training(running, name, libraries, effort) for name in STEPS
        }
        cases |= {case.name: lambda case=case: measure(running, case, libraries, effort) for case in CASES}
        wanted = [(name, work) for name, work in cases.items() if running.wants(name)]
        pg = importlib.import_module("plugrad")
        for name, work in running.until_time_is_up(wanted, "benchmarks", 0.5 if running.emulated else 6.0):
            pg.reset_fallback_report()
            running.check(name, work)
            if fallen := sorted({f"{count.op} of {count.dtype}" for count in pg.fallback_report()}):
                running.note(f"{name}: ran partly on the host for lack of kernels: {', '.join(fallen)}")


if __name__ == "__main__":
    main()
