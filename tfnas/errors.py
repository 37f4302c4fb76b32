"""Errors that a user can mend."""


class InputError(ValueError):
    """Bad input, told in one line: what was wrong, what was received, what is allowed.

    Launchers print the message without a traceback and exit with code 2.
    """


def unknown(kind: str, received: object, allowed: object) -> InputError:
    """The error for a name that is not in a registry; `allowed` is an iterable of the names that are."""
    return InputError(f"Unknown {kind}. Received: {received!r}. Allowed: {', '.join(sorted(map(str, allowed)))}")


def first_line(error: BaseException) -> str:
    """What a library's error says, as far as one line; the name of its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
