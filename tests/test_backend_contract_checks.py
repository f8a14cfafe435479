"""How the contract's checks behave: what they say, what they leave alone, and that they find faults of the core too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import plugrad as pg
from plugrad.backend import Spec
from plugrad.testing import FIRST_EVENING, STEPS, TRAINS_A_NET, backend_checks, check_backend, kernels_up_to
from plugrad.testing.broken.backends.base import INTO, Honest, K, kernel, loaded
from plugrad.testing.contract import fallback

CHECKS = dict(backend_checks())
Made = Callable[..., str]


@pytest.fixture
def made() -> Iterator[Made]:
    """Makes backends with other members than the honest one; they are gone after the test."""
    with ExitStack() as stack:
        yield lambda **members: stack.enter_context(loaded(members))


def test_all_faults_are_listed_by_name(made: Made) -> None:
    device = made(kernels={**K, "add": lambda x, y: np.add(x, y) + x.dtype.type(1), "exp": lambda x: 1 / 0})
    with pytest.raises(AssertionError, match=r"broken_\d+ fails \d\d of the contract's checks") as caught:
        check_backend(device, only="values.")
    lines = str(caught.value).splitlines()
    assert "values.exp.float32: AssertionError: exp((3, 4)) of float32" in lines[1] and "ZeroDivisionError" in lines[1]
    assert "values.add.bool: AssertionError: add((3, 4), (3, 4)) of bool" in lines[3]


def test_a_name_that_no_check_has() -> None:
    with pytest.raises(ValueError, match=r"contains 'vlaues\.'; did you mean values\. .*begin with host\., values\."):
        check_backend("numpy", only="vlaues.")


def test_a_device_that_is_not_there_is_said_once() -> None:
    with pytest.raises(pg.errors.BackendUnavailableError, match="'nmupy' is unknown"):
        check_backend("nmupy")


def test_nothing_is_asked_of_a_backend_whose_way_in_is_wrong(made: Made) -> None:
    class Reversing(Honest):
        def from_host(self, array: np.ndarray, device: str) -> Any:
            return super().from_host(array[::-1] if array.ndim else array, device)

    device = made(from_host=Reversing.from_host)
    with pytest.raises(AssertionError) as caught:
        check_backend(device)
    _, *lines, last = str(caught.value).splitlines()
    assert all(line.startswith("host.") for line in lines) and 1 <= len(lines) < 8
    left = len(CHECKS) - len([name for name in CHECKS if name.startswith("host.")])
    assert last == f"{left} further checks were not run: mend the way in and out first"


def test_a_slice_that_reads_a_step_wrongly_is_named_as_the_maker_of_operands(made: Made) -> None:
    def forward(x: Any, *, start: Any, size: Any, step: Any) -> Any:
        return x[tuple(slice(a, a + n * k, k) for a, n, k in zip(start, size, step, strict=True))]

    device = made(**kernel("slice", forward))
    with pytest.raises(AssertionError, match=r"a negative step operand, made by slice, .*: what came is \w+ \(0, 0\)"):
        CHECKS["values.neg.float32"](device)
    names = [name for name in CHECKS if name.startswith("values.")]
    assert names.index("values.slice.int32") < names.index("values.neg.int32") < names.index("values.tanh.float32")


# -- what is left alone


def test_the_backend_is_left_as_it_was(made: Made) -> None:
    """Also one whose ``into`` is an attribute of the instance, or a property."""
    device = made(__init__=lambda self: setattr(self, "into", dict(INTO)))
    CHECKS["inplace.into_is_used"](device)
    computed = made(into=property(lambda self: dict(INTO)))
    CHECKS["inplace.into_is_used"](computed)
    check_backend(device, "inplace.into")


@pytest.mark.parametrize("setting", ["PLUGRAD_VIEW_WRITE", "PLUGRAD_FALLBACK"])
def test_the_environment_accuses_nobody(setting: str, monkeypatch: pytest.MonkeyPatch, made: Made) -> None:
    monkeypatch.setenv(setting, "error")
    check_backend(made(kernels={name: fn for name, fn in K.items() if name != "erf"}), "inplace.")
    check_backend(made(kernels={name: fn for name, fn in K.items() if name != "erf"}), "values.erf")


def test_a_form_may_decline(made: Made) -> None:
    check_backend(made(into={**INTO, "add": lambda out, x, y: NotImplemented}), "inplace.into")


def test_random_numbers_are_not_needed(made: Made) -> None:
    check_backend(made(dtypes="b1 i8 f8"), "derivatives.differences")
    check_backend(made(dtypes="b1 i8 f8"), "values.random_")


# -- faults that would be the core's


def test_a_shape_rule_that_does_not_look(monkeypatch: pytest.MonkeyPatch, made: Made) -> None:
    device = made()
    monkeypatch.setattr(pg.OPS["concat"], "spec", lambda *xs, axis: Spec((8,), xs[0].dtype))
    with pytest.raises(AssertionError, match=r"concat \(3, 4\) and \(5,\)"):
        CHECKS["failures.shapes"](device)


def test_an_op_without_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pg.OPS, "novel", SimpleNamespace(name="novel", run=None, opaque=False))
    with pytest.raises(AssertionError, match="no calls of novel"):
        CHECKS["values.every_op_is_sampled"]("numpy")


def test_counts_that_are_wrong(monkeypatch: pytest.MonkeyPatch, made: Made) -> None:
    device, report = made(), fallback.fallback_report
    monkeypatch.setattr(fallback, "fallback_report", lambda: [c._replace(calls=c.calls * 2) for c in report()])
    with pytest.raises(AssertionError, match="expected 3 calls and .* came 6"):
        CHECKS["fallback.counted"](device)


def test_a_warning_that_points_elsewhere(monkeypatch: pytest.MonkeyPatch, made: Made) -> None:
    monkeypatch.setattr(fallback, "LINE", 3)
    with pytest.raises(AssertionError, match="it points at"):
        CHECKS["fallback.warned_once"](made())


@pytest.mark.filterwarnings("ignore::plugrad.errors.FallbackWarning")
def test_a_fallback_that_is_not_refused(monkeypatch: pytest.MonkeyPatch, made: Made) -> None:
    mode = fallback.mode
    monkeypatch.setattr(fallback, "mode", lambda value: mode(None))
    with pytest.raises(AssertionError, match="ran all the same"):
        CHECKS["fallback.refused"](made())


# -- the lists


def test_names_of_checks_are_unique() -> None:
    assert len(CHECKS) == len(backend_checks()) > 1000


def test_steps_name_ops_once() -> None:
    listed = kernels_up_to(STEPS[-1])
    assert len(set(listed)) == len(listed)
    assert len(kernels_up_to(FIRST_EVENING)) == 12 and len(kernels_up_to(TRAINS_A_NET)) == 25
    own = [name for step in STEPS for name in (*step.adds, *step.into) if "." not in name]
    assert [name for name in own if name not in pg.OPS] == []
