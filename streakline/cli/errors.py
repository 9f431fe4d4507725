"""How a command fails: one sentence on stderr, and an exit code that means something."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Every exit code there is."""

    DONE = 0
    BAD_INPUT = 1
    """something in the input was wrong or missing; whatever could be done without it was done"""
    USAGE = 2
    """an argument, an option or a setting cannot be right; nothing was done"""
    UNAVAILABLE = 3
    """the broker is away, or its topics are not as they have to be"""
    FAILED = 70
    """a worker could not go on; nothing is lost, and its log says why"""
    INTERRUPTED = 130
    """Ctrl-C"""
    CLOSED_PIPE = 141
    """whoever read stdout left, as in ``| head``; what a shell shows of any tool then"""


class CommandError(Exception):
    """Ends the command. The message says what happened and what to do; an empty one is not shown."""

    def __init__(self, message: str, exit_code: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ClosedPipe(CommandError):
    """Nobody reads stdout any more."""

    def __init__(self) -> None:
        super().__init__("", ExitCode.CLOSED_PIPE)


def bad_input(message: str) -> CommandError:
    """Something in the input was wrong or missing."""
    return CommandError(message, ExitCode.BAD_INPUT)


def not_installed(what: str, missing: str | None, extra: str) -> CommandError:
    """The base install is not enough for `what`: the module `missing` is."""
    return CommandError(
        f"{what} needs more than is installed ({missing}): pip install 'streakline[{extra}]'", ExitCode.USAGE
    )


def known_error(error: Exception) -> CommandError | None:
    """What to say of `error`, or None where it is a defect of ours."""
    # Imported here, so that a command that does not fail does not pay for the Kafka client.
    from producers.settings import SettingsError
    from producers.topics import TopicsError
    from streakline.broker import BrokerError
    from streakline.redis_server import RedisServerError
    from streakline.stack import StackError
    from workers.errors import DiffError, FailureLimitReached

    match error:
        case CommandError():
            return error
        case SettingsError():
            return CommandError(str(error), ExitCode.USAGE)
        case DiffError():
            return bad_input(str(error))
        case FailureLimitReached():
            return CommandError(str(error), ExitCode.FAILED)
        case TopicsError() | BrokerError() | RedisServerError() | StackError():
            return CommandError(str(error), ExitCode.UNAVAILABLE)
        case _:
            return None
