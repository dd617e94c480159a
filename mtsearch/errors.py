"""The errors a person sees. Each is one line that says where, the rule, the value found, and the remedy.

::

    MtsearchError                 exit code 2, printed without a traceback
    ├── ConfigError               a space, a config or a --set that breaks a rule
    ├── DataError                 a data set that is missing, unreadable or broken
    ├── EncoderError              an encoder that is missing, damaged or of another kind
    ├── ResourceError             hardware asked for that is not there
    ├── RunError                  a run folder that cannot be used for this
    └── PluginError               a module named under ``plugins:`` that cannot be used

Anything else that escapes is a fault of ours and keeps its traceback.
"""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "DataError",
    "EncoderError",
    "MtsearchError",
    "PluginError",
    "ResourceError",
    "RunError",
]


class MtsearchError(Exception):
    """A user's mistake or a refusal of the outside world, told in one line.

    Args:
        message: one line: where, the rule, the value found, the remedy.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class ConfigError(MtsearchError):
    """A space, a config or a ``--set`` that breaks a rule."""


class DataError(MtsearchError):
    """A data set that is missing, unreadable or broken."""


class EncoderError(MtsearchError):
    """An encoder that is missing, damaged or of another kind."""


class ResourceError(MtsearchError):
    """Hardware asked for that is not there."""


class RunError(MtsearchError):
    """A run folder that cannot be used for what was asked."""


class PluginError(MtsearchError):
    """A module named under ``plugins:`` that cannot be used."""
