"""Errors that a user can mend."""


class InputError(ValueError):
    """Bad input, told in one line: what was wrong, what was received, what is allowed.

    Launchers print the message without a traceback and exit with code 2.
    """


def unknown(kind: str, received: object, allowed: object) -> InputError:
    """The error for a name that is not in a registry; `allowed` is an iterable of the names that are."""
    return InputError(f"Unknown {kind}. Received: {received!r}. Allowed: {', '.join(sorted(map(str, allowed)))}")
