"""How do the daemons log? Events with fields: for a person on a terminal, as JSON lines elsewhere.

Everything goes to standard error, so that standard output stays for what a command was asked for.
Libraries that use the standard logging module come out the same way, from WARNING on, but for the
Kafka clients. With ALMENARA_LOG=debug all of them say all they have to say. No secret is among it, and
no content of a message: what holds one does not show it (hidden.py).
"""

from __future__ import annotations

import io
import logging
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import msgspec
import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from structlog.typing import EventDict, Processor, WrappedLogger

LIBRARY_LEVEL = logging.WARNING
"""What libraries say below this is about their own work, not about the federation's."""

LEVEL_VARIABLE = "ALMENARA_LOG"
"""The environment's word on the level, above a program's own."""

LEVELS = ("debug", "info", "warning", "error")

SILENCED = ("aiokafka", "kafka")
"""Libraries that raise what matters, and besides repeat it every second while a broker is away."""


class _Whatever(io.TextIOBase):
    """A stream on which a line that cannot be written is lost: no daemon ends for a full disk of logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def isatty(self) -> bool:
        return self._stream.isatty()

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def configure(*, stream: TextIO | None = None, level: str = "info", as_json: bool | None = None) -> None:
    """Send all logs from `level` on to the stream, standard error if none is given.

    `as_json` None means JSON unless the stream is a terminal. Call it once, when a program starts.
    """
    wanted = os.environ.get(LEVEL_VARIABLE, "").lower()
    level = wanted if wanted in LEVELS else level
    target = cast("TextIO", _Whatever(sys.stderr if stream is None else stream))
    terminal = target.isatty()
    as_json = not terminal if as_json is None else as_json
    renderer: Processor = (
        structlog.processors.JSONRenderer(serializer=_json)
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=terminal,
            sort_keys=False,
            # The default prints the local variables of each frame where rich is installed: keys, messages.
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    shared: Sequence[Processor] = (
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.StackInfoRenderer(),
        *((structlog.processors.format_exc_info,) if as_json else ()),
        inert,
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # A line and its end in one write: the processes of a node share one standard error.
        logger_factory=structlog.WriteLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    everything = level == "debug"
    logging.basicConfig(handlers=[handler], level=logging.DEBUG if everything else LIBRARY_LEVEL, force=True)
    for library in SILENCED:
        silence = logging.NOTSET if everything else logging.CRITICAL
        logging.root.manager.getLogger(library).setLevel(silence)
    if wanted not in {"", *LEVELS}:
        structlog.get_logger().warning("log.level_unknown", variable=LEVEL_VARIABLE, known=" ".join(LEVELS))


def inert(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape control characters in every text: what others wrote must not steer a terminal."""
    for key, value in event.items():
        if isinstance(value, str) and key not in {"exception", "stack"} and not value.isprintable():
            event[key] = printable(value)
    return event


def printable(text: str) -> str:
    r"""Return the text with each character that does not print as an escape, `\x1b` or `\n`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _json(event: Any, **_options: Any) -> str:  # noqa: ANN401 - structlog hands over what was logged
    return msgspec.json.encode(event, enc_hook=str).decode()
