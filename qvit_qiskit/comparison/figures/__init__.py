"""Figures of a comparison: each module draws one, with ``draw(comparison, …)``."""
