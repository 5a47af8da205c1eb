"""A plan: what was chosen, what else was looked at, and what each is predicted to lose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from qvit_qiskit.hardware.shot_shares import Quiet
from qvit_qiskit.runs.planning.request import Accuracy


@dataclass(frozen=True)
class Option:
    """One way to run the evaluation, with its price and what it is predicted to lose."""

    shots: int
    """Of every row."""
    k: int
    """Copies side by side."""
    buffer: int
    """Free qubits between two copies."""
    resilience_level: int
    """IBM's: 0, 1 or 2."""
    readout: str
    seconds: float
    """QPU seconds."""
    executions: int
    """Of circuits, over all stages: nearly everything that is billed."""
    auc_loss: float
    """The mean over draws of shots, seats and labels."""
    auc_bound: float
    """What the loss of AUC stays below with a probability of 95 %."""
    acc_loss: float
    """The mean over draws of shots, seats and labels."""
    acc_bound: float
    """What the loss of ACC stays below with a probability of 95 %."""
    agreement: float
    """The mean share of answers that are the exact model's."""
    agreement_bound: float
    """What that share stays above with a probability of 95 %."""
    draws: int
    """Of shots and seats."""
    meets: bool
    """Whether the request is met with a probability of 95 %."""
    quiet_shots: int | None = None
    """Of the rows of projections that hardly move a logit; None where all have equal shots."""
    quiet_projections: tuple[int, ...] | None = None
    """These projections, by their numbers in the order in which the model asks them."""

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Option:
        """What `dataclasses.asdict` made JSON of.

        Args:
            record: As JSON holds it.
        """
        quiet = record.get("quiet_projections")
        return cls(**{**record, "quiet_projections": None if quiet is None else tuple(quiet)})

    @property
    def quiet(self) -> Quiet | None:
        """Projections with fewer shots; None where all have as many."""
        if self.quiet_shots is None or self.quiet_projections is None:
            return None
        return Quiet(self.quiet_shots, self.quiet_projections)

    @property
    def both_shots(self) -> str:
        """Shots in a table: of every row, or of loud and quiet projections."""
        return f"{self.shots:,}" + (f" / {self.quiet_shots:,}" if self.quiet_shots else "")

    def settings(self) -> dict[str, Any]:
        """The choice as fields of a job spec."""
        quiet = {"quiet_shots": self.quiet_shots, "quiet_projections": self.quiet_projections}
        return {"shots": self.shots, **self.of_profile(), **(quiet if self.quiet_shots else {})}

    def of_profile(self) -> dict[str, Any]:
        """What of the choice is a field of a profile, but for the shots."""
        return {
            "k": self.k,
            "buffer": self.buffer,
            "resilience_level": self.resilience_level,
            "readout": self.readout,
        }

    def describe(self) -> str:
        """One line for people."""
        copies = "1 copy" if self.k == 1 else f"{self.k} copies"
        shots = shots_in_words(self.shots, self.quiet)
        return f"{shots}, {copies}, level {self.resilience_level}, read by {self.readout}"


@dataclass(frozen=True)
class Check:
    """What the choice is predicted to lose on the validation split, by its true labels."""

    images: int
    """How many the validation split has."""
    auc_loss: float
    """The mean over draws of shots and seats."""
    auc_bound: float
    """What the loss stays below with a probability of 95 %."""


@dataclass(frozen=True, repr=False)
class RunPlan:
    """The cheapest way to run an evaluation that meets a request.

    What is predicted holds if the device errs as its calibration says.

    Example:
        >>> from qvit_qiskit import ViTConfig, build_model, load, plan
        >>> model = build_model(ViTConfig(width=2, heads=1, patch_size=14), seed=0)
        >>> images = load("phantom").val
        >>> chosen = plan(model, images, "fake-boston", agreement=0.8, settings={"k": 1})
        >>> sorted(set(chosen.settings()) - {"quiet_projections", "quiet_shots"})
        ['buffer', 'k', 'readout', 'resilience_level', 'shots']
    """

    device: str
    """The device whose calibration was used."""
    images: int
    """How many are to be evaluated."""
    request: Accuracy
    choice: Option
    options: tuple[Option, ...]
    """All that were looked at, cheapest first; the choice is among them."""
    check: Check | None = None
    """None where there is no validation split."""

    def settings(self) -> dict[str, Any]:
        """The choice as fields of a job spec: ``shots``, ``k``, ``buffer`` and so on."""
        return self.choice.settings()

    def record(self) -> dict[str, Any]:
        """The same as JSON."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> RunPlan:
        """The inverse of `record`.

        Args:
            record: As JSON holds it.

        Raises:
            JobError: If the accuracy in it is none that can be asked for.
        """
        return cls(
            record["device"],
            record["images"],
            Accuracy(**record["request"]),
            Option.from_record(record["choice"]),
            tuple(Option.from_record(one) for one in record["options"]),
            Check(**record["check"]) if record["check"] else None,
        )

    def facts(self) -> dict[str, str]:
        """What was asked, chosen and predicted, for people."""
        best = self.choice
        return {
            "planned for": self.request.describe(),
            "chosen": f"{best.describe()}, for {best.seconds:,.1f} QPU seconds",
            "predicted": f"loss of AUC {signed(best.auc_loss)}, with 95 % probability at most "
            f"{signed(best.auc_bound)}; {best.agreement:.1%} of the answers as the exact model's",
        }

    def lines(self) -> list[str]:
        """The answer in a few sentences."""
        best = self.choice
        out = [
            f"{best.describe()}: {best.seconds:,.1f} QPU seconds for {self.images:,} images on "
            f"{self.device}.",
            f"Predicted loss of AUC {signed(best.auc_loss)}, with 95 % probability at most "
            f"{signed(best.auc_bound)}; of ACC {signed(best.acc_loss)}, at most "
            f"{signed(best.acc_bound)}.",
            f"{best.agreement:.1%} of the answers as the exact model's, at least "
            f"{best.agreement_bound:.1%}.",
            f"Asked: {self.request.describe()}.",
        ]
        if self.check:
            out.append(
                f"Check on {self.check.images:,} validation images by their labels: loss of AUC "
                f"{signed(self.check.auc_loss)}, at most {signed(self.check.auc_bound)}."
            )
        return out

    def __repr__(self) -> str:
        return "\n".join(["RunPlan", *(f"  {line}" for line in self.lines())])

    def _repr_html_(self) -> str:
        """The answer and the table, on one screen of a notebook."""
        said = "<br>".join(escape(line) for line in self.lines())
        heads = "".join(f"<th>{escape(head)}</th>" for head in rows_of(self.options[:1])[0])
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row.values()) + "</tr>"
            for row in rows_of(self.shown(12))
        )
        return f"<p>{said}</p><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"

    def shown(self, most: int) -> list[Option]:
        """Of the options so many, the choice and those of the nearest prices among them."""
        near = sorted(self.options, key=lambda o: abs(o.seconds - self.choice.seconds))[:most]
        return [option for option in self.options if option in near]


def shots_in_words(shots: int, quiet: Quiet | None) -> str:
    """Shots of a row, for people.

    Args:
        shots: Of every row, or of the rows of the projections that are not quiet.
        quiet: Projections with fewer shots.
    """
    if quiet is None:
        return f"{shots:,} shots"
    return f"{shots:,} shots ({quiet.shots:,} for {len(quiet.projections)} quiet projections)"


def rows_of(options: Sequence[Option], choice: Option | None = None) -> list[dict[str, Any]]:
    """Options as the rows of a table.

    Args:
        options: Cheapest first.
        choice: The one to mark.
    """
    return [
        {
            "": "→" if option == choice else "",
            "QPU s": f"{option.seconds:,.1f}",
            "shots": option.both_shots,
            "k": str(option.k),
            "level": str(option.resilience_level),
            "read by": option.readout,
            "AUC lost": signed(option.auc_loss),
            "95 %": signed(option.auc_bound),
            "agree": f"{option.agreement:.1%}",
            "meets": "yes" if option.meets else "no",
        }
        for option in options
    ]


def signed(value: float) -> str:
    """A loss to four decimals, with a true minus sign."""
    return f"{value:.4f}".replace("-", "−")
