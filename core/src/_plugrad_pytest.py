"""The pytest plugin of plugrad: it does nothing but for a run that names ``plugrad.testing.conformance``.

A module of its own, which imports nothing of plugrad: pytest imports it in every run in this environment. The options
are added only where the kit is named, so that a project's own ``--backend`` stays its own.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

KIT = "plugrad.testing.conformance"


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: Any, parser: Any, args: list[str]) -> Generator[None, object, object]:
    """Load the kit's part if an argument names the kit, by its module or by a path to it."""
    result = yield
    if any(KIT in str(word).replace("/", ".").replace("\\", ".") for word in args):
        early_config.pluginmanager.import_plugin(f"{KIT}.plugin")
        plugin = early_config.pluginmanager.get_plugin(f"{KIT}.plugin")
        try:
            plugin.add_options(parser)
        except ValueError as error:
            remedy = "add --noconftest, or run the kit from another folder"
            raise pytest.UsageError(f"conftest.py and the kit have an option of one name: {error}; {remedy}") from None
    return result
