"""Every test that takes ``device`` runs on the reference backend, and on the CPU backend where that is installed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import plugrad as pg
from plugrad.errors import BackendUnavailableError


@pytest.fixture(params=["numpy", "cpu"])
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    try:
        pg.zeros((), device=request.param)
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    with pg.device(request.param):
        yield request.param


@pytest.fixture(autouse=True)
def _seeded() -> None:
    pg.manual_seed(0)
