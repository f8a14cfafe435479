"""The contract's checks can fail: each backend of ``plugrad.testing.broken`` is caught by the checks that it names."""

from __future__ import annotations

import pytest

from plugrad.op import OPS
from plugrad.plugins import load_ops
from plugrad.testing import backend_checks
from plugrad.testing.broken import Fault, caught, faults
from plugrad.testing.broken.backends.base import Honest, loaded
from plugrad.testing.broken.backends.queued import Queued

load_ops()
NAMES = [name for name, _ in backend_checks()]
FAULTS = [fault for fault in faults("backend") if set(fault.needs) <= set(OPS)]


@pytest.mark.parametrize("base", [Honest, Queued])
def test_an_honest_backend_passes(base: type) -> None:
    assert caught(Fault("backend.none", "nothing is wrong", (), lambda: loaded(base=base))) == {}


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_is_caught_and_named(fault: Fault) -> None:
    failed = caught(fault, quick=True)
    assert fault.unnoticed(failed) == []
    silent = {name: text for name, text in failed.items() if "broken_" not in text}
    assert silent == {}, "these messages do not name the device"
    text = next(text for name, text in failed.items() if f"{name}.".startswith(f"{fault.caught_by[0]}."))
    assert [word for word in fault.says if word not in text] == [], text


def test_faults_name_checks_that_there_are() -> None:
    assert len({f.name for f in faults()}) == len(faults())
    for fault in FAULTS:
        assert fault.name.startswith("backend.") and fault.caught_by, fault
        assert [name for name in fault.unnoticed(NAMES) if not name.startswith("op.")] == [], fault
