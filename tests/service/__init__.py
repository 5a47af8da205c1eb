"""A loopback IBM Quantum service: real HTTP on 127.0.0.1 for the unmodified client.

By hand, from the repository root::

    python -m tests.service --port 0 --store DIR --devices fake_torino,fake_boston --plan open

prints one JSON line, ``{"port": …, "environment": {…}}``; with these variables set,
``QiskitRuntimeService()`` talks to it. In tests, `service.handle.start_service` does the same.
Nothing here imports the package under test: devices, noise, billing and sampling are its own.
"""
