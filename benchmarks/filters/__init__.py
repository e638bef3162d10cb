"""Filters that only the benchmarks have."""
