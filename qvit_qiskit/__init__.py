"""Quantum vision transformers: trained on Aer, evaluated on IBM quantum processors."""

__version__ = "0.1.0"
