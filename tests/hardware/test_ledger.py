"""The bill of a run: whatever is charged within the limits, the budget is not overdrawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qvit_qiskit.devices.prices import MAX_JOB_SECONDS
from qvit_qiskit.hardware.ledger import (
    HEADROOM,
    LEAST_HEADROOM,
    MOST_HEADROOM,
    SPARE,
    Charge,
    Clock,
    Ledger,
    session_cost,
    whole_seconds,
)


class Service:
    """Charges jobs and sessions as it pleases, within the limits that they were sent with."""

    def __init__(self, rng: np.random.Generator, budget: float, *, session: bool) -> None:
        self.rng, self.session = rng, session
        self.ledger = Ledger(budget, [], {})
        self.truth: list[float] = []
        """What every job will be billed in the end."""
        self.clocks: list[float] = []
        """What every session's own clock will be billed in the end, beyond its jobs."""

    def send(self, estimates: list[float], limits: list[int]) -> None:
        """Take jobs of such estimates, in a session of their own if these are used."""
        name = f"session{len(self.clocks)}" if self.session else None
        seconds = self.ledger.session_seconds(limits) if self.session else 0
        charges = list(self.ledger.charges)
        used = 0.0
        for estimate, limit in zip(estimates, limits, strict=True):
            started = not self.session or used < seconds
            wanted = estimate * self.rng.uniform(0.2, 5.0) + self.rng.choice([0.0, 3.0])
            billed = min(float(limit), wanted) if started else 0.0
            used += billed
            if self.session:  # idle time counts too, up to the session's end
                used = max(used, min(used + self.rng.uniform(0, 2), seconds))
            tag = f"tag{len(self.truth)}"
            charges.append(Charge(tag, estimate, limit, None, name, wanted > limit))
            self.truth.append(billed)
        clocks = dict(self.ledger.clocks or {})
        if name:
            self.clocks.append(used)
            clocks[name] = Clock(name, float(seconds))
        self.ledger = replace(self.ledger, charges=charges, clocks=clocks)

    def bill(self, chance: float) -> None:
        """Let some of the bills become final."""
        charges = [
            replace(charge, billed=truth)
            if charge.billed is None and self.rng.random() < chance
            else charge
            for charge, truth in zip(self.ledger.charges, self.truth, strict=True)
        ]
        clocks = {
            name: replace(clock, billed=clock.billed if clock.billed is not None else used)
            if self.rng.random() < chance
            else clock
            for (name, clock), used in zip(
                (self.ledger.clocks or {}).items(), self.clocks, strict=True
            )
        }
        self.ledger = replace(self.ledger, charges=charges, clocks=clocks)

    @property
    def total(self) -> float:
        """What the run costs once all is billed."""
        if not self.session:
            return sum(self.truth)
        inside = {charge.workload: 0.0 for charge in self.ledger.charges}
        for charge, truth in zip(self.ledger.charges, self.truth, strict=True):
            inside[charge.workload] += truth
        clocks = zip(inside.items(), self.clocks, strict=True)
        return sum(max(jobs, used) for (_, jobs), used in clocks)


@pytest.mark.parametrize("session", [False, True])
@pytest.mark.parametrize("trial", range(50))
def test_no_bill_within_the_limits_overdraws_the_budget(
    rng: np.random.Generator, trial: int, session: bool
) -> None:
    service = Service(rng, float(rng.uniform(1, 300)), session=session)
    chance = rng.choice([0.0, 0.3, 1.0])
    for _ in range(30):
        estimates = list(rng.uniform(0.5, 30, rng.integers(1, 5)))
        share = float(rng.uniform(0.5, 8))
        limits = [service.ledger.limit(estimate, share) for estimate in estimates]
        count = service.ledger.fits(limits, session)
        if count:
            service.send(estimates[:count], limits[:count])
        service.bill(chance)
        assert service.total <= service.ledger.budget + 1e-9
        assert service.ledger.billed + service.ledger.reserved <= service.ledger.budget + 1e-9
    service.bill(1.0)
    assert service.ledger.final
    assert service.ledger.billed == pytest.approx(service.total)
    assert service.ledger.left == pytest.approx(service.ledger.budget - service.total)


def test_a_job_counts_at_its_limit_until_its_bill_is_final() -> None:
    out = Charge("a", estimate=10.0, limit=15.0)
    ledger = Ledger(100.0, [out])
    assert (ledger.left, ledger.spent, ledger.billed, ledger.final) == (85.0, 10.0, 0.0, False)
    billed = Ledger(100.0, [replace(out, billed=4.0)])
    assert (billed.left, billed.spent, billed.billed, billed.final) == (96.0, 4.0, 4.0, True)


def test_headroom_is_learnt_from_bills() -> None:
    assert Ledger(1.0).headroom == HEADROOM
    cheap = Charge("a", 10.0, 15.0, billed=5.0)
    assert Ledger(1.0, [cheap]).headroom == LEAST_HEADROOM
    dear = Charge("b", 10.0, 60.0, billed=40.0)
    assert Ledger(1.0, [cheap, dear]).headroom == SPARE * 4.0
    cut = Charge("c", 10.0, 15.0, billed=15.0, cut=True)
    assert Ledger(1.0, [cut]).headroom == 3.0
    assert Ledger(1.0, [cut, dear]).headroom == SPARE * 4.0


def test_limits_are_whole_seconds_and_share_out_a_large_budget() -> None:
    ledger = Ledger(600.0)
    assert ledger.limit(2.388) == 4
    assert ledger.limit(10.0, share=3.0) == 30
    assert ledger.limit(10.0, share=100.0) == MOST_HEADROOM * 10
    assert ledger.limit(0.01) == 1
    assert ledger.limit(1e9) == MAX_JOB_SECONDS == whole_seconds(1e9)


def test_jobs_that_do_not_fit_together_go_one_after_another() -> None:
    ledger = Ledger(10.0)
    assert ledger.fits([4, 4, 4], session=False) == 2
    assert ledger.fits([11], session=False) == 0
    assert session_cost([4]) == 5
    assert ledger.fits([4], session=True) == 1
    assert ledger.fits([6], session=True) == 1
    assert ledger.fits([9, 9], session=True) == 1
    assert ledger.session_seconds([4]) == 6
    assert Ledger(1000.0).session_seconds([4, 4]) == 68


def test_a_bill_above_its_limit_is_told() -> None:
    charge = Charge("a", 10.0, 15.0, billed=16.0)
    assert Ledger(20.0, [charge]).overcharged == (charge,)
    assert not Ledger(20.0, [replace(charge, billed=15.0)]).overcharged
