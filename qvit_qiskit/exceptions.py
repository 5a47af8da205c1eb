"""What can go wrong: one shallow tree.

Every message is one or two sentences that say what was expected, what came and what to do next.
The command line prints it and exits with 2; nothing that was on disk before is lost.
"""


class QvitError(Exception):
    """Base of every error a user can cause and mend.

    Example:
        >>> from qvit_qiskit import load
        >>> from qvit_qiskit.exceptions import QvitError
        >>> try:
        ...     load("brestmnist")
        ... except QvitError as error:
        ...     print(type(error).__name__)
        DataError
    """


class CircuitError(QvitError):
    """A circuit, its parameters or its observables cannot be used.

    Example:
        >>> from qvit_qiskit import build_circuit
        >>> build_circuit("ry-rings", 4)
        Traceback (most recent call last):
            ...
        qvit_qiskit.exceptions.CircuitError: Unknown circuit family 'ry-rings'. ...
    """


class ConfigError(QvitError):
    """A model or training configuration is unusable.

    Example:
        >>> from qvit_qiskit import ViTConfig
        >>> ViTConfig(width=9, heads=2)
        Traceback (most recent call last):
            ...
        qvit_qiskit.exceptions.ConfigError: width 9 cannot be split over 2 heads; choose a ...
    """


class DataError(QvitError):
    """A data set is missing, damaged, or does not fit the model.

    Example:
        >>> from qvit_qiskit import load
        >>> load("brestmnist")
        Traceback (most recent call last):
            ...
        qvit_qiskit.exceptions.DataError: Expected the name of a data set, or the path of a ...
    """


class CheckpointError(QvitError):
    """A checkpoint is missing, damaged or does not fit.

    Example:
        >>> from qvit_qiskit import load_checkpoint
        >>> load_checkpoint("no-such-file")
        Traceback (most recent call last):
            ...
        qvit_qiskit.exceptions.CheckpointError: The checkpoint no-such-file does not exist. ...
    """


class ProfileError(QvitError):
    """A backend profile is missing or malformed.

    Example:
        >>> from qvit_qiskit import registry
        >>> registry.open("aer-exactly")
        Traceback (most recent call last):
            ...
        qvit_qiskit.exceptions.ProfileError: Unknown backend profile 'aer-exactly'. ...
    """


class RouteError(QvitError):
    """A profile cannot do what it was asked to do.

    Example:
        >>> from qvit_qiskit import registry
        >>> registry.open("ibm-boston")
        Traceback (most recent call last):
            ...
        qvit_qiskit.exceptions.RouteError: The profile 'ibm-boston' runs on ibm_boston and ...
    """


class JobError(QvitError):
    """A job spec or a run's folder is unusable, or a run cannot go on.

    Example:
        >>> from qvit_qiskit import resume
        >>> resume("no-such-run")
        Traceback (most recent call last):
            ...
        qvit_qiskit.exceptions.JobError: no-such-run is no run folder: it has no journal.jsonl.
    """


class ServiceError(QvitError):
    """IBM's service failed or did not answer; the same call may succeed later.

    Example:
        >>> from qvit_qiskit.exceptions import QvitError, ServiceError
        >>> issubclass(ServiceError, QvitError)
        True
    """
