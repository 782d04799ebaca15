"""What went wrong, in words that a person can act on."""


class LoadError(Exception):
    """A load that did not happen; nothing was changed.

    The message names the file or URL, the row and column where there is one, and what to do.
    `retryable` tells whether the same call may succeed a little later.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class UsageError(LoadError):
    """What was asked for cannot be, whatever the files and services say: nothing was opened yet."""


class WiderSchemaNeeded(Exception):
    """A later block does not fit the inferred schema: start the slice again with this one."""

    def __init__(self, schema: object, reason: str) -> None:
        super().__init__(reason)
        self.schema = schema
