"""How does an error cross the node's socket, so that the other side raises the very same?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from almenara.errors import (
    AlmenaraError,
    Code,
    DirectoryRefused,
    Fault,
    Held,
    MessageRefused,
    Misconfigured,
    RecordRefused,
    Refused,
    StatementRefused,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_CLASSES: Mapping[str, type[AlmenaraError]] = {
    kind.__name__: kind
    for kind in (Refused, RecordRefused, StatementRefused, DirectoryRefused, Held, Misconfigured)
}


class FaultBody(msgspec.Struct, frozen=True, kw_only=True):
    """One fault of a message."""

    code: Code
    path: str
    text: str


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """An error as it travels; `kind` is the class, `exit_status` what a command should end with."""

    kind: str
    code: Code
    text: str
    exit_status: int
    faults: tuple[FaultBody, ...] = ()
    retry_after_s: float | None = None


def error_body(error: AlmenaraError) -> ErrorBody:
    """Return the error as it travels."""
    faults = error.faults if isinstance(error, MessageRefused) else ()
    return ErrorBody(
        kind=_kind(error),
        code=error.code,
        text=error.text,
        exit_status=error.exit_status,
        faults=tuple(FaultBody(code=fault.code, path=fault.path, text=fault.text) for fault in faults),
        retry_after_s=error.retry_after_s if isinstance(error, Unavailable) else None,
    )


def _kind(error: AlmenaraError) -> str:
    # Why a dependency is away is its own affair: who called waits and asks again.
    bases = (base for base in (MessageRefused, Unavailable) if isinstance(error, base))
    return next(bases, type(error)).__name__


def http_status(error: AlmenaraError) -> int:
    """Return the HTTP status: 422 for what is bad for ever, 503 for what is bad for now."""
    match error:
        case Unavailable() | Held():
            return 503
        case Refused():
            return 422
        case _:
            return 500


def error_of(body: ErrorBody) -> AlmenaraError:
    """Return the error that `error_body` was called on."""
    if body.kind == "MessageRefused":
        return MessageRefused([Fault(fault.code, fault.path, fault.text) for fault in body.faults])
    if body.kind == "Unavailable":
        return Unavailable(body.code, body.text, retry_after_s=body.retry_after_s or 1.0)
    return _CLASSES.get(body.kind, AlmenaraError)(body.code, body.text)
