"""Backends that are right and store less than others pass the kit, and what it cannot ask of them it does not list."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plugrad.op import Op
from plugrad.testing import NotHere, checks
from plugrad.testing.broken.backends.base import loaded

FEWER = {"single": "b1 i4 i8 u4 f4", "no_uint32": "b1 i4 i8 f4 f8", "no_int32": "b1 i8 u4 f4 f8"}
"""Dtypes of a backend that differ from the usual ones, by what is different."""
OPS = (
    "bitcast",
    "conj",
    "eig",
    "exp",
    "full",
    "iota",
    "mul",
    "searchsorted",
    "signbit",
    "norm.dropout",
    "norm.layer_norm",
)
"""Some of each sort: without operands, without derivatives, of complex numbers, with operands of other dtypes."""


@pytest.fixture(params=FEWER)
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    with loaded({"dtypes": FEWER[request.param]}) as name:
        yield name


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the ops that are called."""
    found: list[str] = []
    plain = Op.__call__

    def call(self: Op, *values: object, **attrs: object) -> object:
        found.append(self.name)
        return plain(self, *values, **attrs)

    monkeypatch.setattr(Op, "__call__", call)
    return found


def asked(device: str, calls: list[str]) -> set[str]:
    """Run the checks of the ops; their names. Each must have called its op."""
    done = set()
    for check in checks(device, quick=True):
        if check.subject in OPS and not check.name.endswith(".pickling"):
            calls.clear()
            check()
            assert check.subject in calls, f"{check}: nothing was called"
            done.add(check.name)
    return done


def test_a_backend_with_fewer_dtypes_passes(device: str, calls: list[str]) -> None:
    done = asked(device, calls)
    assert {"values.exp.float32", "op.exp.gradients", "op.mul.each_alone", "op.norm.layer_norm.gradients"} <= done
    assert not done & {"op.exp.each_alone", "op.full.batching", "op.signbit.derivatives", "values.eig.float32"}


def test_nothing_passes_unasked_on_the_reference(calls: list[str]) -> None:
    done = asked("numpy", calls)
    assert {"op.conj.gradients", "op.conj.recorded", "values.eig.float32", "op.norm.dropout.errors"} <= done


def test_derivatives_are_compared_with_differences_where_there_is_double_precision() -> None:
    for dtypes, listed in FEWER.items():
        with loaded({"dtypes": listed}) as device:
            names = {check.name for check in checks(device, quick=True)}
            assert ("op.exp.derivatives" in names) is (dtypes != "single")
            assert ("optimizer.sgd.differentiable" in names) is (dtypes != "single")
            assert "layer.linear.low_precision" not in names


def test_layers_and_optimizers_need_no_uint32() -> None:
    with loaded({"dtypes": FEWER["no_uint32"]}) as device:
        for named in ({"layer": "linear"}, {"layer": "dropout"}, {"optimizer": "sgd"}):
            for check in checks(device, quick=True, **named):
                check()
        for check in checks(device, only="capabilities."):
            check()


def test_what_a_device_cannot_hold_is_not_here() -> None:
    with loaded({"dtypes": FEWER["no_uint32"]}) as device:
        for check in checks(device, only="values.random_"):
            with pytest.raises(NotHere, match=f"{device} does not store uint32"):
                check()


def test_devices_with_numbers() -> None:
    with loaded({"numbered": True, "devices": lambda self: ("0", "1")}) as backend:
        found = [
            check for check in checks(f"{backend}:1", quick=True) if check.subject in ("exp", "full", "linear", "sgd")
        ]
        assert {check.kind for check in found} == {"backend", "op", "layer", "optimizer"}
        for check in found:
            check()
