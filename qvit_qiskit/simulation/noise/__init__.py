"""Exact expectation values under a device's noise: compiled once, one product for all rows."""
