"""The version of this package, as far as it is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str | None:
    """The installed version; None in a checkout that is not installed."""
    try:
        return version("pywasm-filter")
    except PackageNotFoundError:
        return None
