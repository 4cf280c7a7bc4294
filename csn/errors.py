"""The errors a user can meet.

Conventions
-----------
A message says what was found, where, what was expected and what to try, in one line. Jobs print
that line alone and leave with status 2, or with 1 where the run failed and its input is not to
blame (`CatalogueError`, `ClusterError`, `TrainingError`); any other exception leaves with 1 too.
"""


def in_a_line(error: BaseException) -> str:
    """Message of an error, whoever raised it, in one line; its class where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def last_line(error: BaseException) -> str:
    """Last line of an error's message, before which Ray says where it was; or its class."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__


class CsnError(Exception):
    """Anything that this project refuses with a message of its own."""


class ConfigError(CsnError, ValueError):
    """The experiment cannot be right; raised before any cluster work."""


class CorpusError(CsnError):
    """Data is not as the corpus promises."""


class StorageError(CsnError):
    """A URI cannot be read or written, or holds something else already."""


class ProtocolError(CsnError):
    """An evaluation's conditions are not met (too few tracks, no segments)."""


class ClusterError(CsnError):
    """Ray cannot be started here, or the cluster that was named cannot be joined."""


class CatalogueError(CsnError):
    """A night's work on a catalogue cannot go on; what is committed stays."""


class TrainingError(CsnError):
    """Training cannot go on (a loss that is not a number)."""


class MissingSeedsError(ProtocolError, TrainingError):
    """A comparison lacks seeds: experiments that it asks for failed, and a second call goes on."""
