"""Exact values and gradients by compiled loops over gates; needs numba."""
