"""Circuits sent as jobs: compiled, chunked, journaled, fetched. No model is known here."""
