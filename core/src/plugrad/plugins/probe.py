"""Asks whether something can be used here: once, with a time limit, on a thread that nobody waits for afterwards."""

from __future__ import annotations

import os
import pkgutil
import threading
from dataclasses import dataclass
from typing import Any

from ..errors import PluginError
from .names import BROKEN, cause

TIMEOUT = 5.0


@dataclass(frozen=True)
class Outcome:
    """``status`` is "available", "unavailable", "timed out" or "raised"; ``reason`` says why it is not available."""

    status: str
    reason: str = ""

    @property
    def available(self) -> bool:
        return self.status == "available"

    def __str__(self) -> str:
        return f"{self.status}: {self.reason}" if self.reason else self.status


AVAILABLE = Outcome("available")


def time_limit() -> float:
    """Seconds that a probe may take: PLUGRAD_PROBE_TIMEOUT, or 5."""
    text = os.environ.get("PLUGRAD_PROBE_TIMEOUT", "")
    try:
        seconds = float(text) if text else TIMEOUT
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise PluginError(f"PLUGRAD_PROBE_TIMEOUT: {text!r} is not a number of seconds above 0; write for example 5")
    return seconds


class Probe:
    """The question, asked at the first call of ``outcome()`` and never again."""

    def __init__(self, target: str, what: str) -> None:
        self._target, self._what = target, what
        self._lock = threading.Lock()
        self._outcome: Outcome | None = None

    def outcome(self) -> Outcome:
        """The answer of the probe. Any number of threads may ask; it runs once."""
        with self._lock:
            if self._outcome is None:
                self._outcome = self._ask(time_limit())
            return self._outcome

    def _ask(self, seconds: float) -> Outcome:
        answers: list[Outcome] = []
        thread = threading.Thread(target=lambda: answers.append(self._run()), name=f"probe {self._what}", daemon=True)
        thread.start()
        thread.join(seconds)
        if answers:
            return answers[0]
        reason = f"its probe {self._target} gave no answer in {seconds:g} s; PLUGRAD_PROBE_TIMEOUT sets the limit"
        return Outcome("timed out", reason)

    def _run(self) -> Outcome:
        try:
            answer: Any = pkgutil.resolve_name(self._target)()
        except BROKEN as error:
            return Outcome("raised", f"its probe {self._target} raised {cause(error)}")
        if answer is True:
            return AVAILABLE
        if isinstance(answer, str) and answer:
            return Outcome("unavailable", answer)
        return Outcome("raised", f"its probe {self._target} answered {answer!r}; it must return True or a reason")
