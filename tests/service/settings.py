"""What a service is started with, and which of it can be changed while it runs."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

PLANS = {"open": "free", "premium": "paid", "pay-as-you-go": "paygo", "flex": "subscription"}
"""Plans and the pricing type that the catalog tells of each."""

TUNABLE = (
    "noiseless",
    "restless",
    "queue_delay",
    "run_delay",
    "billing_delay",
    "rate_limit",
    "max_executions",
    "subjob_executions",
    "interactive_ttl",
    "consumed",
    "allowance",
    "token_ttl",
    "offline",
    "retired",
    "faulty",
    "queues",
    "bill_factor",
    "bill_surcharge",
    "max_bytes",
)
"""Settings that the control endpoint may change."""


@dataclass
class Settings:
    """Everything that shapes a service; times in seconds."""

    store: Path
    port: int = 0
    devices: tuple[str, ...] = ("fake_torino", "fake_fez", "fake_boston")
    plans: tuple[str, ...] = ("premium",)
    """One instance per plan; the first is the one in ``QISKIT_IBM_INSTANCE``."""
    token: str = "loopback-api-key"
    token_ttl: float = 3600.0
    noiseless: bool = False
    restless: bool = False
    """Whether waiting qubits do not decay, as in the service that stored folders were made with."""
    queue_delay: float = 0.0
    """How long a job waits at least."""
    run_delay: float = 0.0
    """How long a job runs at least."""
    billing_delay: float = 0.0
    """How long after its end a job's usage is pending."""
    rate_limit: int = 0
    """Job creations a minute; 0 is no limit, the platform's is 5."""
    max_executions: int = 10_000_000
    max_seconds: float = 10_800.0
    subjob_seconds: float = 2.0
    subjob_executions: int = 0
    """Executions of one sub-job; 0 makes every job one sub-job."""
    interactive_ttl: float = 60.0
    consumed: float = 0.0
    """Seconds that the instances had used before."""
    allowance: float | None = None
    """Seconds that an instance may use; None is 600 on the Open plan, no limit elsewhere."""
    offline: tuple[str, ...] = ()
    """Devices under maintenance."""
    retired: tuple[str, ...] = ()
    """Devices that were taken away; their jobs and results stay."""
    faulty: dict[str, list[int]] = field(default_factory=dict)
    """Qubits that the calibration calls not operational, by device."""
    bill_factor: float = 1.0
    """What jobs use, as a multiple of the documented formula."""
    bill_surcharge: float = 0.0
    """What every job uses beside."""
    max_bytes: int = 0
    """Size of a request that creates a job; 0 is no limit."""
    queues: dict[str, int] = field(default_factory=dict)
    """Jobs of other people that wait, by device."""

    def __post_init__(self) -> None:
        unknown = [plan for plan in self.plans if plan not in PLANS]
        if unknown:
            raise ValueError(f"Expected plans of {sorted(PLANS)}, but got {unknown}.")

    def tune(self, changes: dict[str, Any]) -> None:
        """Change tunable settings.

        Raises:
            ValueError: If a name is not tunable.
        """
        wrong = sorted(set(changes) - set(TUNABLE))
        if wrong:
            raise ValueError(f"Expected settings of {TUNABLE}, but got {wrong}.")
        for name, value in changes.items():
            setattr(self, name, value)


def parse(arguments: list[str] | None) -> tuple[Settings, bool]:
    """Settings and ``--with-parent`` from a command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.service", description=__doc__)
    parser.add_argument("--store", type=Path, required=True, help="folder of jobs and results")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--devices", default=",".join(Settings.devices), help="fake_x,fake_y")
    parser.add_argument("--plan", action="append", choices=sorted(PLANS), help="repeatable")
    parser.add_argument("--noiseless", action="store_true", help="ideal devices")
    parser.add_argument("--restless", action="store_true", help="waiting qubits do not decay")
    parser.add_argument("--with-parent", action="store_true", help="end with the parent process")
    other = {"store", "port", "devices", "plans", "noiseless", "restless", "offline", "queues"}
    other |= {"retired", "faulty"}
    for entry in fields(Settings):
        if entry.name not in other:
            kind = {"str": str, "int": int}.get(str(entry.type), float)
            flag = "--" + entry.name.replace("_", "-")
            parser.add_argument(flag, type=kind, default=entry.default)
    values = vars(parser.parse_args(arguments))
    with_parent = values.pop("with_parent")
    values["plans"] = tuple(values.pop("plan") or Settings.plans)
    values["devices"] = tuple(name for name in values["devices"].split(",") if name)
    return Settings(**values), with_parent
