"""Registration is data: what is legal, what is refused, and what an entry says."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from plugrad.backend import API, Kernel
from plugrad.errors import DTypeError, PluginError
from plugrad.plugins import Registrar
from plugrad.plugins.registrar import IncompatibleError, Provider, check_api

WHO = Provider("plugrad-x", "1.2", "x")


@pytest.fixture
def registrar() -> Registrar:
    return Registrar(WHO)


def twice(x: Any) -> Any:
    return 2 * x


def test_every_kind_becomes_a_frozen_entry_with_its_provider(registrar: Registrar) -> None:
    registrar.backend("x", "m:B", probe="m:p", priority=7)
    registrar.ops("x", "m.ops")
    registrar.kernel("nn.attention", "cuda", "m:k", dtypes="f4 f8", priority=60, when=lambda *specs: True, scalars=True)
    registrar.component("optimizer", "AdamW-8bit", "m:A")
    registrar.samples("m:samples")
    registrar.compile_pass("fuse", "m:fuse", order=3)
    registrar.observer("nan", "m:nan")
    registrar.command("new", "m:main", help="write a skeleton")
    assert [str(e) for e in registrar.entries] == [
        "backend x",
        "ops x",
        "kernel nn.attention on cuda",
        "optimizer AdamW-8bit",
        "samples m:samples",
        "pass fuse",
        "observer nan",
        "command new",
    ]
    assert {e.provider for e in registrar.entries} == {WHO}
    assert len({e.key for e in registrar.entries}) == 8
    with pytest.raises(dataclasses.FrozenInstanceError):
        registrar.entries[0].name = "y"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("method", "args", "says"),
    [
        ("backend", ("Cuda", "m:B"), "'Cuda'"),
        ("backend", ("cuda:0", "m:B"), "'cuda:0'"),
        ("backend", ("", "m:B"), "''"),
        ("backend", (3, "m:B"), "3"),
        ("backend", ("x", "m.B"), "'m.B'"),
        ("backend", ("x", "m:B", "m.p"), "'m.p'"),
        ("backend", ("x", "m:B", None, "1.0"), "API is '1.0'"),
        ("backend", ("x", "m:B", None, (1, 0), 1.5), "1.5 is not an integer"),
        ("ops", ("nn.", "m.ops"), "'nn.'"),
        ("ops", ("nn", "m/ops"), "'m/ops'"),
        ("kernel", ("Add", "cpu", "m:k"), "'Add'"),
        ("kernel", ("add", "cpu:0", "m:k"), "'cpu:0'"),
        ("kernel", ("add", "cpu", "k"), "'k'"),
        ("kernel", ("add", "cpu", "m:k", None, 0), "priority 0 is for the backend's own kernels"),
        ("kernel", ("add", "cpu", "m:k", None, 10, "when"), "'when'"),
        ("component", ("op timizer", "sgd", "m:S"), "'op timizer'"),
        ("component", ("optimizer", "s gd", "m:S"), "'s gd'"),
        ("samples", (None,), "None"),
        ("compile_pass", ("fuse", "m:f", "first"), "'first' is not an integer"),
        ("observer", ("-x", "m:o"), "'-x'"),
        ("command", ("two words", "m:c"), "'two words'"),
    ],
)
def test_a_bad_registration_is_refused_and_shown(
    registrar: Registrar, method: str, args: tuple[Any, ...], says: str
) -> None:
    with pytest.raises(PluginError, match=r".") as caught:
        getattr(registrar, method)(*args)
    assert says in str(caught.value)
    assert registrar.entries == []


def test_kernel_dtypes_are_checked_at_registration(registrar: Registrar) -> None:
    with pytest.raises(DTypeError, match="f5"):
        registrar.kernel("add", "cpu", "m:k", dtypes="f5")
    assert registrar.entries == []


def test_a_ready_kernel_keeps_its_fields_and_gets_a_priority_and_the_provider(registrar: Registrar) -> None:
    registrar.kernel("add", "cpu", Kernel(twice, dtypes="f4", scalars=True))
    registrar.kernel("add", "cpu", Kernel(twice, priority=40))
    first, second = registrar.entries
    assert second.kernel and first.kernel == Kernel(twice, "f4", True, None, 10, "plugrad-x")
    assert second.kernel.priority == 40
    assert first.load() is twice


def test_a_kernel_target_is_imported_at_its_first_call(registrar: Registrar) -> None:
    registrar.kernel("add", "cpu", "operator:add", when="math:isfinite")
    (entry,) = registrar.entries
    assert entry.kernel and entry.kernel.when
    assert entry.kernel.fn(2, 3) == entry.kernel.fn(2, 3) == 5
    assert entry.kernel.when(1.0) is True


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("plugrad_absent:f", "plugrad_absent"),
        ("math:sinn", "sinn"),
        ("math:pi", "is a float; name a function instead"),
    ],
)
def test_a_kernel_that_cannot_be_imported_is_named_at_the_call(registrar: Registrar, target: str, says: str) -> None:
    registrar.kernel("add", "cpu", target)
    (entry,) = registrar.entries
    assert entry.kernel
    for _ in range(2):
        with pytest.raises(PluginError, match=says) as caught:
            entry.kernel.fn(1)
        assert str(caught.value).startswith("kernel add on cpu of plugrad-x 1.2: ")


def test_the_protocol_version_rule() -> None:
    major, minor = API
    for served in {(major, 0), API}:
        check_api(served, "x")
    for refused, remedy in (
        ((major + 1, 0), "upgrade plugrad"),
        ((major, minor + 1), "upgrade plugrad"),
        ((major - 1, 9), "upgrade the plugin"),
    ):
        with pytest.raises(IncompatibleError, match=remedy):
            check_api(refused, "x")
    for malformed in (None, 1, "1.0", [1, 0], (1,), (1, 0, 0), (1, "0"), (True, 0)):
        with pytest.raises(PluginError, match="write API = "):
            check_api(malformed, "x")
