"""The rules of ops: one that keeps them passes, and each fault of ``plugrad.testing.broken.ops`` is seen and named."""

from __future__ import annotations

import pytest

from plugrad.testing.broken import Fault, caught, faults
from plugrad.testing.broken.ops.base import NAME, made

FAULTS = faults("op")


def test_an_honest_op_passes() -> None:
    assert caught(Fault("op.none", "nothing is wrong", (), made, "op")) == {}


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_is_caught_and_named(fault: Fault) -> None:
    assert fault.caught_by and fault.kind == "op"
    failed = caught(fault, quick=True)
    assert fault.unnoticed(failed) == []
    assert [text for text in failed.values() if NAME not in text] == []
