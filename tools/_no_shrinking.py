"""A plugin of pytest for the suite of the Array API: a failing example is shown as it was found.

To shrink them takes nearly all of the time of a suite with many failures.
"""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Change the profile that the suite's own conftest has loaded."""
    phases = Phase.explicit, Phase.generate
    settings.register_profile("no-shrinking", settings.get_profile("array-api-tests"), phases=phases, database=None)
    settings.load_profile("no-shrinking")
