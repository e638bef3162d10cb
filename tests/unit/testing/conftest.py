"""pytest run by a test, for the tests of the pytest plugin."""

from __future__ import annotations

import os
import sys

import pytest

# pytester forgets what a run has imported, and cryptography cannot be imported a second time in one process.
import pywasm_filter.testing.certificates  # noqa: F401 - for the import itself, as said above

# By them pytest knows a CI server, where it shortens nothing in its summary, and a terminal that wants colours.
_OF_SURROUNDINGS = ("CI", "BUILD_NUMBER", "FORCE_COLOR", "PY_COLORS")


@pytest.fixture
def plugin_pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """pytest with this plugin alone, wherever it is installed, and the same output wherever it runs."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "pywasm_filter.testing.pytest_plugin")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("COLUMNS", "80")
    for variable in _OF_SURROUNDINGS:
        monkeypatch.delenv(variable, raising=False)
    return pytester
