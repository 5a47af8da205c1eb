"""Stored things bear the number of their format, which says whether this version can read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qvit_qiskit import __version__
from qvit_qiskit.exceptions import QvitError


@dataclass(frozen=True)
class Format:
    """One kind of stored thing. The file that writes it owns its format.

    The number rises when a version writes something that earlier versions would not understand.
    Fields that came in between need no number of their own: a record that lacks them means their
    old value (`Spec.later`).
    """

    what: str
    """Such as ``"run folder"``."""
    number: int
    """What this version writes; it reads this one and all before."""
    refusal: type[QvitError]
    """What is raised where it cannot be read."""
    unnumbered: bool = False
    """Whether some bear no number, since they were stored before there was one; they count as 0."""

    def check(self, number: object, place: Path | str) -> int:
        """The number of a stored thing, which this version can read.

        Args:
            number: What stands in it, as JSON holds it; None if nothing does.
            place: The file or folder, for messages.

        Returns:
            From 1 to `number`; 0 where there is none and need not be.

        Raises:
            QvitError: Of the kind `refusal`, if a later version stored it, or no version did.
        """
        if number is None and self.unnumbered:
            return 0
        if type(number) is int and 1 <= number <= self.number:
            return number
        if type(number) is int and number > self.number:
            raise self.refusal(
                f"{place} is a {self.what} of format {number}, but this version of qvit-qiskit "
                f"({__version__}) reads formats up to {self.number}. Upgrade qvit-qiskit to the "
                "version that wrote it; nothing was changed."
            )
        version = "no format number" if number is None else f"the format {number!r}"
        raise self.refusal(
            f"Expected a {self.what} with a format from 1 to {self.number}, but {place} has "
            f"{version}. Restore it from a copy."
        )
