"""Devices: list, configuration, calibration, status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..wire import ApiError, Request, Response

if TYPE_CHECKING:
    from ..app import App
    from ..devices import Device


def find(app: App, name: str) -> Device:
    """A device by name.

    Raises:
        ApiError: If there is none.
    """
    if name not in app.devices or name in app.settings.retired:
        raise ApiError(404, 1007, f"Backend {name} not found.")
    return app.devices[name]


def waiting(app: App, name: str) -> int:
    """How many jobs wait for a device."""
    own = sum(job["backend"] == name for job in app.worker.queue())
    return own + app.settings.queues.get(name, 0)


def listing(app: App, request: Request) -> Response:
    """GET /backends."""
    app.accounts.check(request)
    mocks = request.flag("include_mocks")
    shown = [
        {
            "name": device.name,
            "status": {"name": "offline" if device.name in app.settings.offline else "online"},
            "queue_length": waiting(app, device.name),
            "qubits": device.num_qubits,
            "physical_qubits": device.num_qubits,
            "is_simulator": False,
            "processor_type": device.configuration.get("processor_type", {}),
            **({"class": "mock"} if device.mock else {}),
        }
        for device in app.devices.values()
        if (mocks or not device.mock) and device.name not in app.settings.retired
    ]
    return Response.of({"devices": shown})


def configuration(app: App, request: Request, name: str) -> Response:
    """GET /backends/{name}/configuration."""
    app.accounts.check(request)
    return Response.of(find(app, name).configuration)


def properties(app: App, request: Request, name: str) -> Response:
    """GET /backends/{name}/properties; there is one calibration, whatever date is asked for."""
    app.accounts.check(request)
    device = find(app, name)
    faulty = app.settings.faulty.get(name, [])
    return Response.of(device.with_faults(faulty) if faulty else device.properties)


def status(app: App, request: Request, name: str) -> Response:
    """GET /backends/{name}/status."""
    app.accounts.check(request)
    device = find(app, name)
    offline = name in app.settings.offline
    return Response.of(
        {
            "state": not offline,
            "status": "maintenance" if offline else "active",
            "message": "",
            "length_queue": waiting(app, name),
            "backend_version": device.configuration.get("backend_version", "1.0.0"),
        }
    )


ROUTES = [
    ("GET", r"/backends", listing),
    ("GET", r"/backends/([^/]+)/configuration", configuration),
    ("GET", r"/backends/([^/]+)/properties", properties),
    ("GET", r"/backends/([^/]+)/status", status),
]
