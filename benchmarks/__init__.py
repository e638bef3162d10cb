"""Measurements, each of which compares within one run: absolute figures belong to the machine they were taken on.

`python -m benchmarks --help` tells what there is. A module has one concern: `jobs` is what filters have to do, `peers`
who does it, `envoys` the proxies around them, `load` the traffic, `rounds` the order of events, `report` and `plots`
what becomes of the figures in docs/; `comparison`, `steps`, `growth` and `loop` are the measurements.
"""
