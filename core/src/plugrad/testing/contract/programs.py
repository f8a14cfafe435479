"""Programs: what ``compile`` hands to a backend computes what the backend's own kernels do, one by one.

Asked of every backend. One that neither takes programs nor groups is asked about the core's own executor on its memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...backend import Spec
from ...compiler import passes
from ...compiler.plan import materialised, planned
from ...compiler.replay import executor
from ...compiler.target import Target, caller
from ...program import Eqn, Lit, Program
from ...tensor import tupled
from ..kit.check import NotHere
from ..plans import check_plan
from ..programs import F4, RandomProgram
from .subject import Subject

SEEDS, FEW = range(30), range(8)
"""Of the random programs; few where a quick run is asked for."""
CLOSE = 1e-4
"""Relative to the largest element: groups may add in another order."""


def checks() -> list[tuple[str, Callable[[str], None]]]:
    """Values, memory, layouts, threads and errors of programs."""
    return [
        ("programs.values", values),
        ("programs.groups", groups),
        ("programs.layouts", layouts),
        ("programs.operands", operands),
        ("programs.results_stay", results_stay),
        ("programs.donated", donated),
        ("programs.carve", carve),
        ("programs.threads", threads),
        ("programs.failures", failures),
        ("programs.host_numbers", host_numbers),
    ]


def seeds(device: str) -> range:
    """Which programs are asked for."""
    return FEW if Subject(device).quick else SEEDS


class Ready:
    """A random program on a device: inputs there, planned after all passes, with the backend's executor."""

    def __init__(self, device: str, seed: int, give_up: bool = False) -> None:
        subject = Subject(device)
        subject.needs("f4", "i4", "b1")
        self.target, self.subject = Target(subject.index, subject.ordinal), subject
        made = RandomProgram(seed, tame=True)
        self.what = f"random program {seed} on {device}"
        self.source, self.arrays = made.program, made.values()
        consts = {v: self.there(a) for v, a in made.program.consts.items()}
        self.source = made.program.replace(consts=consts)
        self.program = finished(self.source, self.target, made.donations() if give_up else ())
        self.run = executor(self.program, self.target)

    def there(self, array: np.ndarray) -> Any:
        return self.target.backend.from_host(array, self.target.dev)

    def inputs(self) -> list[Any]:
        """The inputs, anew."""
        return [self.there(a) for a in self.arrays]

    def expected(self) -> list[np.ndarray]:
        """The outputs by the backend's kernels, one by one."""
        env: dict[int, Any] = dict(zip(self.source.inputs, self.inputs(), strict=True)) | dict(self.source.consts)
        for eqn in self.source.eqns:
            found = caller(eqn, self.source.specs, self.target)(*[env[v] for v in eqn.values])
            env.update(zip(eqn.outs, tupled(found), strict=True))
        return [np.array(self.subject.host(env[v])) for v in self.source.outputs]

    def check(self, found: Sequence[Any], expected: Sequence[np.ndarray], when: str = "") -> None:
        """What a run gave against what it should have."""
        assert len(found) == len(expected), f"{self.what}{when}: {len(found)} outputs, not {len(expected)}"
        for k, (value, wanted) in enumerate(zip(found, expected, strict=True)):
            got, spec = np.asarray(self.subject.host(value)), self.target.backend.spec(value)
            assert tuple(spec) == (wanted.shape, wanted.dtype), f"{self.what}{when}: output {k} is {spec}"
            bound = CLOSE * max(1.0, float(np.abs(wanted).max(initial=0)))
            wrong = ~np.isclose(got, wanted, rtol=CLOSE, atol=bound, equal_nan=True)
            assert not wrong.any(), (
                f"{self.what}{when}: output {k} has {got[wrong][0]!r} where its own kernels give {wanted[wrong][0]!r}; "
                f"the program:\n{self.program}"
            )


def finished(program: Program, target: Target, donations: Sequence[tuple[int, int]] = ()) -> Program:
    """A program as ``compile`` hands it to the backend."""
    program = planned(materialised(passes.apply(program, target, passes.BUILTIN)), donations)
    check_plan(program)
    return program.replace(calls=tuple([caller(e, program.specs, target) for e in program.eqns]))


def values(device: str) -> None:
    """A program gives what its equations give one by one, the first time and again."""
    for seed in seeds(device):
        ready = Ready(device, seed)
        expected = ready.expected()
        for _ in range(2):
            ready.check(ready.run(*ready.inputs()), expected)


def groups(device: str) -> None:
    """The kernel for groups gives what a group's equations give one by one."""
    target = Target(Subject(device).index, Subject(device).ordinal)
    if "fused" not in target.backend.kernels:
        raise NotHere(f"{device} has no kernel for groups")
    seen = 0
    for seed in seeds(device):
        ready = Ready(device, seed)
        env: dict[int, Any] = dict(zip(ready.program.inputs, ready.inputs(), strict=True)) | dict(ready.program.consts)
        for eqn, call in zip(ready.program.eqns, ready.program.calls, strict=True):
            given = [env[v] for v in eqn.values]
            found = tupled(call(*given))
            if eqn.op == "fused":
                seen += 1
                alone = _one_by_one(eqn, given, target)
                for k, (a, b) in enumerate(zip(found, alone, strict=True)):
                    got, wanted = np.asarray(ready.subject.host(a)), np.asarray(ready.subject.host(b))
                    assert got.shape == wanted.shape and np.allclose(got, wanted, CLOSE, CLOSE, equal_nan=True), (
                        f"{ready.what}: result {k} of the group {[part.op for part in eqn.attr('body').eqns]} is not "
                        f"that of its ops"
                    )
            env.update(zip(eqn.outs, found, strict=True))
    assert seen, f"fuses of {device} lists no op of which groups could be made, but it has a kernel for groups"


def _one_by_one(eqn: Eqn, given: Sequence[Any], target: Target) -> list[Any]:
    body = eqn.attr("body")
    env: list[Any] = [*given, *[None] * (len(body.specs) - len(given))]
    for part in body.eqns:
        found = tupled(caller(part, body.specs, target)(*[env[v] for v in part.values]))
        for v, value in zip(part.outs, found, strict=True):
            env[v] = value
    return [env[v] for v in body.outputs]


def layouts(device: str) -> None:
    """Inputs may have any layout that the backend's own kernels give: transposed, flipped, pieces, repeated."""
    for seed in seeds(device)[:10]:
        ready = Ready(device, seed)
        expected = ready.expected()
        for form in (_transposed, _flipped, _piece):
            inputs = [form(ready, a) for a in ready.arrays]
            ready.check(ready.run(*inputs), expected, f", inputs {form.__name__[1:]}")


def _moved(ready: Ready, op: str, value: Any, array: np.ndarray, **attrs: Any) -> Any:
    """A view of a value by the backend's movement op."""
    spec = Spec(array.shape, array.dtype)
    program = Program((spec, spec), (0,), {}, (Eqn(op, (0,), (1,), tuple(sorted(attrs.items()))),), (1,))
    return caller(program.eqns[0], program.specs, ready.target)(value)


def _transposed(ready: Ready, a: np.ndarray) -> Any:
    axes = tuple(range(a.ndim))[::-1]
    turned = a.transpose(axes).copy()
    return _moved(ready, "permute", ready.there(turned), turned, axes=axes)


def _flipped(ready: Ready, a: np.ndarray) -> Any:
    if not a.ndim:
        return ready.there(a)
    turned = a[::-1].copy()
    start, step = (a.shape[0] - 1, *(0,) * (a.ndim - 1)), (-1, *(1,) * (a.ndim - 1))
    return _moved(ready, "slice", ready.there(turned), turned, start=start, size=a.shape, step=step)


def _piece(ready: Ready, a: np.ndarray) -> Any:
    wide = np.zeros([n + 2 for n in a.shape], a.dtype)
    wide[tuple([slice(1, n + 1) for n in a.shape])] = a
    ones = (1,) * a.ndim
    return _moved(ready, "slice", ready.there(wide), wide, start=ones, size=a.shape, step=ones)


def operands(device: str) -> None:
    """Nothing is written but what was given up: neither inputs nor constants."""
    for seed in seeds(device):
        ready = Ready(device, seed)
        inputs = ready.inputs()
        ready.run(*inputs)
        for k, (value, before) in enumerate(zip(inputs, ready.arrays, strict=True)):
            same = np.array_equal(ready.subject.host(value), before, equal_nan=True)
            assert same, f"{ready.what}: input {k} was written, and nobody gave it up"


def results_stay(device: str) -> None:
    """Results are memory of their own: a second run, and what is written to another result, does not show in them."""
    for seed in seeds(device):
        ready = Ready(device, seed)
        first = ready.run(*ready.inputs())
        expected = ready.expected()
        before, ready.arrays = ready.arrays, [a + 1 for a in ready.arrays]
        ready.run(*ready.inputs())
        ready.arrays = before
        ready.check(first, expected, ", results of a first run after a second one")


def donated(device: str) -> None:
    """Inputs that were given up may be written; those that were not are as before, and the values are the same."""
    given = 0
    for seed in SEEDS:
        if given and seed not in seeds(device):
            break
        ready = Ready(device, seed, give_up=True)
        expected, inputs = ready.expected(), ready.inputs()
        found = ready.run(*inputs)
        ready.check(found, expected, ", inputs given up")
        gone = {i for i, _ in ready.program.donated}
        given += len(gone)
        for k, (value, before) in enumerate(zip(inputs, ready.arrays, strict=True)):
            kept = k in gone or np.array_equal(ready.subject.host(value), before, equal_nan=True)
            assert kept, f"{ready.what}: input {k} was written, and nobody gave it up"
    assert given


def carve(device: str) -> None:
    """Pieces of a block are apart, contiguous, and keep what is written to them."""
    subject = Subject(device)
    subject.needs("f4", "u1")
    backend = subject.backend
    block = backend.empty((1024,), np.dtype(np.uint8), subject.ordinal)
    one = NotImplemented if block is NotImplemented else backend.carve(block, 0, (3, 4), F4)
    if one is NotImplemented or "mul" not in backend.into:
        raise NotHere(f"{device} does not carve values out of blocks, or has no mul that writes into one")
    pieces = [one, *[backend.carve(block, at, (3, 4), F4) for at in (64, 128, 192)]]
    factors = [np.full((3, 4), k + 1, F4) for k in range(4)]
    numbers = np.arange(12, dtype=F4).reshape(3, 4)
    for piece, factor in zip(pieces, factors, strict=True):
        spec = backend.spec(piece)
        assert tuple(spec) == ((3, 4), F4), f"carve: a piece of float32 (3, 4) on {device} is {spec}"
        backend.into["mul"](piece, *[backend.from_host(a, subject.ordinal) for a in (numbers, factor)])
    for k, (piece, factor) in enumerate(zip(pieces, factors, strict=True)):
        got = np.asarray(subject.host(piece))
        assert np.array_equal(got, numbers * factor), f"carve: piece {k} of a block on {device} holds {got.tolist()}"


def threads(device: str) -> None:
    """Several threads run one program at once, each on inputs of its own."""
    ready = Ready(device, 5)
    shifts = range(4)
    arrays = [[a + k for a in ready.arrays] for k in shifts]
    expected = []
    for own in arrays:
        ready.arrays = own
        expected.append(ready.expected())
    problems: list[str] = []
    barrier = threading.Barrier(len(arrays))

    def work(k: int) -> None:
        try:
            barrier.wait()
            for _ in range(30):
                found = ready.run(*[ready.there(a) for a in arrays[k]])
                ready.check(found, expected[k], ", several threads at once")
        except BaseException as error:
            problems.append(str(error))

    workers = [threading.Thread(target=work, args=(k,)) for k in shifts]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not problems, problems[0]


def failures(device: str) -> None:
    """A position out of range raises IndexError, or is reported late; what was given up before it is as it was."""
    subject = Subject(device)
    subject.needs("f4", "i8")
    target = Target(subject.index, subject.ordinal)
    row, at = Spec((4,), F4), Spec((2,), np.dtype("int64"))
    picked = Spec((2,), F4)
    eqns = (
        Eqn("add", (0, 0), (2,)),
        Eqn("gather", (0, 1), (3,), (("axis", 0),)),
        Eqn("mul", (2, 2), (4,)),
    )
    program = Program((row, at, row, picked, row), (0, 1), {}, eqns, (3, 4))
    program = finished(program, target, ((0, 1),))
    run = executor(program, target)
    numbers = np.arange(4, dtype=F4)
    good, bad = (subject.backend.from_host(np.array(p), subject.ordinal) for p in ([1, 2], [1, 9]))
    x = subject.backend.from_host(numbers, subject.ordinal)
    assert np.array_equal(subject.host(run(x, good)[0]), numbers[1:3])
    x = subject.backend.from_host(numbers, subject.ordinal)
    late = False
    try:
        run(x, bad)
        late = subject.backend.is_async  # the device went on with what stood behind
        if not late:
            raise AssertionError(f"a program on {device} takes position 9 of 4 elements; raise IndexError")
        subject.backend.synchronize(subject.ordinal)
    except IndexError:
        got = np.asarray(subject.host(x))
        kept = late or np.array_equal(got, numbers)
        assert kept, f"a program on {device} that failed has written {got.tolist()} over an input given up for later"
    except AssertionError:
        raise
    except Exception as error:
        told = f"a program on {device} with a bad position raises {error!r}, not IndexError"
        if not subject.backend.is_async:
            raise AssertionError(told) from error


def host_numbers(device: str) -> None:
    """Numbers that stay on the host are read anew by each run, and what a program makes of them is the host's too."""
    subject = Subject(device)
    subject.needs("f4", "f8", "i8")
    target = Target(subject.index, subject.ordinal)
    if not target.backend.host_scalars:
        raise NotHere(f"{device} takes no numbers of the host")
    i8, f8 = np.dtype("int64"), np.dtype("float64")
    count, rate, row, number = Spec((), i8), Spec((), f8), Spec((4,), F4), Spec((), F4)
    eqns = (
        Eqn("add", (0, Lit(1, i8)), (3,)),
        Eqn("cast", (1,), (4,), (("dtype", F4),)),
        Eqn("cast", (3,), (5,), (("dtype", F4),)),
        Eqn("mul", (2, 4), (6,)),
        Eqn("add", (6, 5), (7,)),
    )
    specs = (count, rate, row, count, number, number, row, row)
    program = Program(specs, (0, 1, 2), {}, eqns, (3, 7), host_inputs=frozenset({0, 1}), host_outputs=frozenset({0}))
    run = executor(finished(program, target), target)
    numbers = np.arange(4, dtype=F4)
    x = subject.backend.from_host(numbers, subject.ordinal)
    for n, step in ((7, 0.5), (2**40, 0.25), (-1, -2.0)):
        given = np.array(n), np.array(step)
        new, y = run(*given, x)
        what = f"a program on {device} of {n} and {step} on the host"
        assert isinstance(new, np.ndarray) and new.shape == () and new.dtype == i8 and new.flags.writeable, (
            f"{what} gives the host {new!r}, not an int64 array of shape () that may be written"
        )
        assert new == n + 1 and given[0] == n, f"{what} gives the host {new} and leaves {given[0]}"
        got, wanted = np.asarray(subject.host(y)), numbers * F4.type(step) + F4.type(n + 1)
        assert np.allclose(got, wanted, rtol=CLOSE), f"{what} gives {got.tolist()}, not {wanted.tolist()}"
