"""What is known of a processor: its qubits and errors, prices, and where circuits fit on it."""
