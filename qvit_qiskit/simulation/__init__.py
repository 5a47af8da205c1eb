"""Values without a processor: exact, with shots, and with a device's noise."""
