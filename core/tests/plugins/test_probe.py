"""The probe: every answer it may give, its time limit, and that it is asked once."""

from __future__ import annotations

import threading
import time

import pytest

from plugrad.errors import PluginError
from plugrad.plugins.probe import Outcome, Probe, time_limit

asked: list[int] = []
gate = threading.Event()


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> str:
    """This module's name as a target's first half, whatever pytest imported it as."""
    import sys

    monkeypatch.setitem(sys.modules, "plugrad_test_probes", sys.modules[__name__])
    asked.clear()
    gate.clear()
    return "plugrad_test_probes"


def yes() -> bool:
    asked.append(1)
    time.sleep(0.05)
    return True


def no() -> str:
    return "no GPU here"


def odd() -> object:
    return ("yes",)


def false() -> bool:
    return False


def empty() -> str:
    return ""


def raises() -> bool:
    raise OSError("driver\nand more")


def exits() -> bool:
    raise SystemExit(1)


def waits() -> bool:
    asked.append(1)
    return gate.wait(30)


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("yes", "available", ""),
        ("no", "unavailable", "no GPU here"),
        ("odd", "raised", "answered ('yes',); it must return True or a reason"),
        ("false", "raised", "answered False"),
        ("empty", "raised", "answered ''"),
        ("raises", "raised", "raised OSError: driver"),
        ("exits", "raised", "raised SystemExit: 1"),
        ("absent", "raised", "AttributeError"),
    ],
)
def test_answers(target: str, name: str, status: str, reason: str) -> None:
    outcome = Probe(f"{target}:{name}", name).outcome()
    assert outcome.status == status
    assert outcome.available == (status == "available")
    assert reason in outcome.reason and "and more" not in outcome.reason


def test_it_is_asked_once_by_many_threads(target: str) -> None:
    probe = Probe(f"{target}:yes", "yes")
    found: list[Outcome] = []
    threads = [threading.Thread(target=lambda: found.append(probe.outcome())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and all(outcome.available for outcome in found)
    assert asked == [1]


def test_one_that_does_not_answer_is_given_up_for_good(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUGRAD_PROBE_TIMEOUT", "0.05")
    probe = Probe(f"{target}:waits", "waits")
    first = probe.outcome()
    assert first.status == "timed out" and "0.05 s" in first.reason and f"{target}:waits" in first.reason
    thread = next(t for t in threading.enumerate() if t.name == "probe waits")
    assert thread.daemon
    gate.set()
    thread.join()
    assert probe.outcome() is first
    assert asked == [1]


def test_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLUGRAD_PROBE_TIMEOUT", raising=False)
    assert time_limit() == 5.0
    monkeypatch.setenv("PLUGRAD_PROBE_TIMEOUT", "0.5")
    assert time_limit() == 0.5
    for wrong in ("soon", "0", "-1", "nan", "inf"):
        monkeypatch.setenv("PLUGRAD_PROBE_TIMEOUT", wrong)
        with pytest.raises(PluginError, match="PLUGRAD_PROBE_TIMEOUT"):
            time_limit()
