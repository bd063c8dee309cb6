"""Every error of Steadfast, sorted by what the caller should do.

SteadfastError
├── PermanentError          a retry cannot help
│   ├── ConfigError         a setting, a file or a command line is wrong
│   ├── AccessDenied        the source refuses our identity
│   ├── InvalidRequest      the source understood and said no
│   ├── QualityError        the rows must not be published
│   ├── BackupCorrupt       a backup cannot be trusted
│   └── SignatureInvalid    a message is not from whom it claims
└── TransientError          a retry may help
    ├── SourceUnavailable   the source failed, timed out or answered nonsense
    ├── WarehouseBusy       PostgreSQL is away, restarting, locked or full
    └── WaitUntil           only time is missing; `until` says how much
        ├── QuotaExhausted  the source wants us to wait
        └── BreakerOpen     we stopped asking ourselves
"""

from datetime import datetime


class SteadfastError(Exception):
    """Anything that Steadfast itself reports."""


class PermanentError(SteadfastError):
    """A retry cannot help: someone has to change something."""


class ConfigError(PermanentError):
    """A setting, a file or a command line is wrong."""


class AccessDenied(PermanentError):
    """The source refuses our identity."""


class InvalidRequest(PermanentError):
    """The source understood the request and will never answer it."""


class QualityError(PermanentError):
    """The rows break a critical rule and must not be published."""


class BackupCorrupt(PermanentError):
    """A backup is damaged or not ours."""


class SignatureInvalid(PermanentError):
    """A message does not carry a valid signature of its sender."""


class TransientError(SteadfastError):
    """A retry may help."""


class SourceUnavailable(TransientError):
    """The source failed, timed out or answered something that is not an answer."""


class WarehouseBusy(TransientError):
    """PostgreSQL is away, restarting, locked or out of space."""


class WaitUntil(TransientError):
    """Nothing is wrong but the time: ask again at `until` (aware UTC)."""

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message, until)
        self.message = message
        self.until = until

    def __str__(self) -> str:
        return f"{self.message} Next try after {self.until:%Y-%m-%d %H:%M} UTC."


class QuotaExhausted(WaitUntil):
    """The source's quota is used up until it refills."""


class BreakerOpen(WaitUntil):
    """We stopped asking after repeated failures."""
