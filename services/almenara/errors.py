"""Which errors can Almenara raise, and what must the caller do about each?

AlmenaraError
  Refused            bad for ever: keep it in quarantine, answer the author, do not retry
    RecordRefused    a Kafka record that proves nothing about its author
    StatementRefused a signed statement that breaks the protocol
    DirectoryRefused directory files that do not prove themselves: the last good ones stay in force
    MessageRefused   a business document that breaks DOMAIN rules; carries every fault
  Held               not to be judged yet: a newer directory or an earlier statement is needed
  Unavailable        bad for now: wait and try again (carries retry_after_s)
    Superseded       another node speaks for this member by now: this process must end
  Misconfigured      a file, key or setting must be put right by a person
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Code(StrEnum):
    """Name the reason of a refusal; one stable set for errors, logs, receipts and the console."""

    # the record (nothing is known about its author yet)
    OVERSIZE = "OVERSIZE"
    UNKNOWN_SCHEMA = "UNKNOWN_SCHEMA"
    MALFORMED = "MALFORMED"
    NOT_CANONICAL = "NOT_CANONICAL"
    PAYLOAD_TYPE = "PAYLOAD_TYPE"
    UNSIGNED = "UNSIGNED"
    UNKNOWN_KEY = "UNKNOWN_KEY"
    KEY_NOT_VALID = "KEY_NOT_VALID"
    BAD_SIGNATURE = "BAD_SIGNATURE"
    CONTENT_HASH = "CONTENT_HASH"
    # the statement (its author is proven)
    STREAM_OWNER = "STREAM_OWNER"
    WRONG_STREAM = "WRONG_STREAM"
    UNKNOWN_AUDIENCE = "UNKNOWN_AUDIENCE"
    UNKNOWN_MEMBER = "UNKNOWN_MEMBER"
    NOT_IN_AUDIENCE = "NOT_IN_AUDIENCE"
    AUDIENCE_CLOSED = "AUDIENCE_CLOSED"
    DIRECTORY_BEHIND = "DIRECTORY_BEHIND"
    DIRECTORY_FELL = "DIRECTORY_FELL"
    DIRECTORY_EXPIRED = "DIRECTORY_EXPIRED"
    DIRECTORY_INVALID = "DIRECTORY_INVALID"
    DIRECTORY_MISSING = "DIRECTORY_MISSING"
    SIGNATURES_MISSING = "SIGNATURES_MISSING"
    KEY_RESET = "KEY_RESET"
    EQUIVOCATION = "EQUIVOCATION"
    OLD_EPOCH = "OLD_EPOCH"
    BROKEN_LINK = "BROKEN_LINK"
    TRUNCATED = "TRUNCATED"
    # the seal
    KEY_MISSING = "KEY_MISSING"
    NOT_FOR_ME = "NOT_FOR_ME"
    KEY_COMMITMENT = "KEY_COMMITMENT"
    UNSEALABLE = "UNSEALABLE"
    PADDING = "PADDING"
    NOT_A_RECIPIENT = "NOT_A_RECIPIENT"
    SCHEMA_NOT_ALLOWED = "SCHEMA_NOT_ALLOWED"
    # the message
    SHAPE = "SHAPE"
    JSON = "JSON"
    CHECK_DIGIT = "CHECK_DIGIT"
    UNKNOWN_CODE = "UNKNOWN_CODE"
    FORMAT = "FORMAT"
    RANGE = "RANGE"
    REQUIRED = "REQUIRED"
    CONFLICT = "CONFLICT"
    NO_SELECTOR = "NO_SELECTOR"
    PERSONAL_DATA = "PERSONAL_DATA"
    RED_NEEDS_LIST = "RED_NEEDS_LIST"
    MESSAGE_ID_REUSED = "MESSAGE_ID_REUSED"
    NOT_THE_ISSUER = "NOT_THE_ISSUER"
    UNKNOWN_MESSAGE = "UNKNOWN_MESSAGE"
    # the machine
    BROKER_DOWN = "BROKER_DOWN"
    BROKER_REFUSES = "BROKER_REFUSES"
    BROKER_AHEAD = "BROKER_AHEAD"
    STORE_LOCKED = "STORE_LOCKED"
    STORE_MISSING = "STORE_MISSING"
    STORE_FULL = "STORE_FULL"
    STORE_AWAY = "STORE_AWAY"
    OUTBOX_FULL = "OUTBOX_FULL"
    NODE_DOWN = "NODE_DOWN"
    TIMED_OUT = "TIMED_OUT"
    CONFIGURATION = "CONFIGURATION"
    CERTIFICATE_EXPIRED = "CERTIFICATE_EXPIRED"
    CERTIFICATE_REVOKED = "CERTIFICATE_REVOKED"
    KEY_UNREADABLE = "KEY_UNREADABLE"
    KEY_AWAY = "KEY_AWAY"


class Fault:
    """Say which field breaks which rule: `path` is JSON-path like, `$.goods[0].hs`."""

    __slots__ = ("code", "path", "text")

    def __init__(self, code: Code, path: str, text: str) -> None:
        self.code = code
        self.path = path
        self.text = text

    def __repr__(self) -> str:
        return f"{self.path}: {self.text} [{self.code}]"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fault) and (self.code, self.path, self.text) == (
            other.code,
            other.path,
            other.text,
        )

    def __hash__(self) -> int:
        return hash((self.code, self.path, self.text))


class AlmenaraError(Exception):
    """Carry a stable code and a text of the form `subject: fault; what to do`."""

    exit_status = 1

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    def __str__(self) -> str:
        return f"{self.text} [{self.code}]"


class Refused(AlmenaraError):
    """Bad for ever: name it, keep it, never retry it."""


class RecordRefused(Refused):
    """A record whose author is not proven: it must not touch any chain."""


class StatementRefused(Refused):
    """A statement validly signed by its author that breaks the protocol."""


class DirectoryRefused(Refused):
    """Directory files that do not prove themselves: keep working with the last that did."""


class MessageRefused(Refused):
    """A message that breaks its shape (one fault) or its rules (all faults together)."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        first = faults[0]
        super().__init__(first.code, "; ".join(f"{f.path}: {f.text}" for f in faults))
        self.faults = tuple(faults)

    def __str__(self) -> str:
        return "; ".join(repr(fault) for fault in self.faults)


class Held(AlmenaraError):
    """Not to be judged yet: keep it and judge it again when what it waits for has come."""


class Unavailable(AlmenaraError):
    """Bad for now: a dependency is away; nothing accepted is lost; try again later."""

    exit_status = 3

    def __init__(self, code: Code, text: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(code, text)
        self.retry_after_s = retry_after_s


class Superseded(Unavailable):
    """Another node of this member has taken over: this one must end, and may be started again."""


class Misconfigured(AlmenaraError):
    """A person must put a file, a key or a setting right before this can work."""

    exit_status = 2
