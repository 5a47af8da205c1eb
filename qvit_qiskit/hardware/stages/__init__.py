"""Stages of a run: what one asks, how it is planned and split into jobs, how a folder holds it."""
