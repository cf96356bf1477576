"""The errors that are meant for the person at the keyboard."""


class InputError(ValueError):
    """Something the user gave cannot work: the message names the value and what would be right.

    The commands print it as one line and exit with code 2, having written nothing.
    """


class NoSuchSplit(InputError):
    """A dataset has no split of that name: for one's own images that may be in order."""


class TrainingDiverged(RuntimeError):
    """The loss is no longer finite: the message says at which step and what to try."""
