"""The command line, ``qvit``."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Run ``qvit`` and exit.

    0 on success, 1 if IBM's service failed (the same command may succeed later), 2 on bad input,
    130 when interrupted.

    Args:
        argv: Arguments without the program's name; by default those of the process.
    """
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Run ``qvit`` and return its exit code. A user's mistake is one sentence, no traceback."""
    from typer.exceptions import Abort, TyperException
    from typer.main import get_command

    from qvit_qiskit.cli.app import app
    from qvit_qiskit.exceptions import QvitError, ServiceError

    try:
        args = list(argv) or ["--help"]
        code = get_command(app).main(args=args, prog_name="qvit", standalone_mode=False)
    except (Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return 130
    except TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "qvit"
        message = error.format_message().rstrip(".")
        _say(f"error: {message}. See `{command} --help`.")
        return 2
    except QvitError as error:
        _say(f"error: {error}")
        return 1 if isinstance(error, ServiceError) else 2
    except BrokenPipeError:
        return 0
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        _say(f"error: {error.strerror or error}{where}. Check the path.")
        return 2
    return int(code) if isinstance(code, int) else 0


def _say(message: str) -> None:
    """Print an error; a terminal gets it in lines that cut no word or path."""
    import shutil

    from qvit_qiskit.card import wrapped

    if sys.stderr.isatty():
        message = wrapped(message, shutil.get_terminal_size().columns)
    print(message, file=sys.stderr)
