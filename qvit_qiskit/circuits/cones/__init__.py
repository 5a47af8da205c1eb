"""What an expectation value depends on: observables followed backwards through a circuit."""
