"""Metrics as a test sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Metrics:
    """The plugin's metrics by the names under which it defined them, at one moment; 0 for those that are not used."""

    counters: Mapping[str, int]
    """What has been counted since the plugin's start. Each VM that starts counts."""
    gauges: Mapping[str, int]
    """The present values."""
    histograms: Mapping[str, int]
    """How many values have been recorded since the plugin's start: the values themselves, Envoy only sorts in."""
