"""Exact simulation of many rows through one shared circuit."""
