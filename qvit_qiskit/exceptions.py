"""What can go wrong: one shallow tree.

Every message is one or two sentences that say what was expected, what came and what to do next.
The command line prints it and exits with 2; nothing that was on disk before is lost.
"""


class QvitError(Exception):
    """Base of every error a user can cause and mend."""


class CircuitError(QvitError):
    """A circuit, its parameters or its observables cannot be used."""


class ConfigError(QvitError):
    """A model or training configuration is unusable."""


class DataError(QvitError):
    """A data set is missing, damaged, or does not fit the model."""


class CheckpointError(QvitError):
    """A checkpoint is missing, damaged or does not fit."""


class ProfileError(QvitError):
    """A backend profile is missing or malformed."""


class RouteError(QvitError):
    """A profile cannot do what it was asked to do."""


class JobError(QvitError):
    """A job spec or a run's folder is unusable, or a run cannot go on."""


class ServiceError(QvitError):
    """IBM's service failed or did not answer; the same call may succeed later."""
