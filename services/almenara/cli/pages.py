"""How does a message read as a page, for a person at a terminal?

Labels stand at the left edge; what another administration wrote never does, and what does not
print in it is escaped: a text cannot pass for a field of ours, nor steer the terminal.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from almenara.logs import printable
from almenara.model.alert import Part, RiskAlert
from almenara.model.bodies import RiskAlertUpdate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from almenara.model.messages import Message, Text

_LABEL_WIDTH = 14
_MODES = {
    "0": "unspecified",
    "1": "sea",
    "2": "rail",
    "3": "road",
    "4": "air",
    "5": "mail",
    "6": "multimodal",
    "7": "pipeline or line",
    "8": "inland water",
    "9": "not applicable",
}

# Everything else of an alert is said on its lines for risk, grading, route and transport.
_ALERT_LISTS = ("modus_operandi", "indicators", "goods", "equipment", "documents", "parties", "persons")


def title(message: Message, lang: str = "") -> str:
    """Return the message's title in a language, or else the first there is."""
    texts = chosen_texts(message, lang)
    return texts[0].title if texts else ""


def alert_of(message: Message) -> RiskAlert | None:
    """Return the alert that a message brings or replaces, None if it is about something else."""
    body = message.body.alert if isinstance(message.body, RiskAlertUpdate) else message.body
    return body if isinstance(body, RiskAlert) else None


def chosen_texts(message: Message, lang: str) -> Sequence[Text]:
    """Return the texts in a language; the first of all if there is none in it or no language is given."""
    in_language = [text for text in message.texts if text.lang == lang]
    return in_language or message.texts[:1]


def message_page(message: Message, context: Sequence[tuple[str, str]], *, lang: str = "") -> list[str]:
    """Return the lines of a message; `context` is what its reader knows of it, label and text."""
    lines = [_heading(message), ""]
    for label, value in (*context, *_common(message), *_body(message)):
        lines.extend(_field(label, value))
    for text in chosen_texts(message, lang):
        lines += ["", *_text_lines(message, text, lang)]
    return lines


def _heading(message: Message) -> str:
    parts = [message.kind.replace("_", " "), message.reference, f"version {message.version}"]
    parts += [f"TLP:{message.handling.tlp.replace('_', '+')}"]
    if message.status != "ACTUAL":
        parts.append(f"*** {message.status} ***")
    return printable("  ".join(part for part in parts if part))


def _common(message: Message) -> Iterator[tuple[str, str]]:
    handling = message.handling
    yield "id", str(message.message_id)
    yield "office", _joined([message.office, message.role])
    yield "issued", _shown(message.issued_at)
    yield "valid from", _shown(message.valid_from)
    yield "expires", _shown(message.expires_at)
    yield "supersedes", _shown(message.supersedes)
    yield "answers", _shown(message.in_reply_to)
    yield "conversation", _shown(message.conversation_id)
    yield "see also", ", ".join(message.external_refs)
    yield (
        "handling",
        _joined(
            [
                ", ".join(handling.purposes),
                "personal data" if handling.personal_data else "",
                "originator control" if handling.originator_control else "",
                handling.legal_basis,
                f"keep until {_shown(handling.retention_until)}" if handling.retention_until else "",
            ],
            "; ",
        ),
    )
    for action in message.actions:
        at = f"at {action.control_point}" if action.control_point else ""
        due = f"feedback by {_shown(action.feedback_due)}" if action.feedback_due else ""
        yield "requested", _joined([action.requested, at, f"by {action.member or 'all'}", due])
    for each in message.attachments:
        yield "attachment", f"{each.name} ({each.media_type}, {each.size} bytes, sha256 {each.sha256.hex()})"


def _body(message: Message) -> Iterator[tuple[str, str]]:
    body = message.body
    if isinstance(body, RiskAlertUpdate):
        yield "change", _joined([body.change_reason, ", ".join(body.changed_fields)], "; ")
        body = body.alert
    names = body.__struct_fields__
    if isinstance(body, RiskAlert):
        names = _ALERT_LISTS
        yield from _alert(body)
    for name in names:
        for value in _values(getattr(body, name)):
            yield name.replace("_", " "), value


def _alert(body: RiskAlert) -> Iterator[tuple[str, str]]:
    yield "risk", f"{_joined([body.area, body.category])}: {body.level}, {body.urgency}"
    yield "grading", f"source {body.source_grade}, information {body.information_grade}"
    countries = [body.origin, body.dispatch, *body.transit, body.destination]
    names = ("origin", "dispatch", *("transit" for _ in body.transit), "destination")
    route = " > ".join(
        f"{country} ({name})" for country, name in zip(countries, names, strict=True) if country
    )
    yield "route", _joined([route, ", ".join(body.places)], "; ")
    parts = [_MODES.get(body.mode, "")]
    parts += [f"{name.replace('_', ' ')} {getattr(body, name)}" for name in _transport(body)]
    yield "transport", _joined(parts, "; ")


def _transport(body: RiskAlert) -> list[str]:
    names = body.__struct_fields__
    return [name for name in names[names.index("mode") + 1 : names.index("equipment")] if getattr(body, name)]


def _values(value: object) -> Iterator[str]:
    """Yield what a field says, a line for each part; nothing for an absent one."""
    match value:
        case tuple() if value and isinstance(value[0], Part):
            for part in value:
                yield _clause(part)
        case tuple():
            yield ", ".join(_shown(each) for each in value)
        case Part():
            yield _clause(value)
        case _:
            yield _shown(value)


def _clause(part: Part) -> str:
    fields = ((name, _joined(list(_values(getattr(part, name))), " / ")) for name in part.__struct_fields__)
    return "; ".join(f"{name.replace('_', ' ')} {value}" for name, value in fields if value)


def _shown(value: object) -> str:
    match value:
        case None | False:
            return ""
        case True:
            return "yes"
        case datetime():
            return f"{value:%Y-%m-%d %H:%MZ}"
        case UUID() | str():
            return str(value)
        case bytes():
            return value.hex()
        case int() | float():
            return f"{value:.15g}" if value else ""
        case _:
            raise AssertionError(value)


def _joined(parts: Sequence[str], between: str = " ") -> str:
    return between.join(part for part in parts if part)


def _field(label: str, value: str) -> list[str]:
    return [f"{label:<{_LABEL_WIDTH}} {printable(value)}"] if value else []


def _text_lines(message: Message, text: Text, lang: str) -> Iterator[str]:
    note = "" if not lang or text.lang == lang else f", there is none in {lang}"
    machine = ", translated by machine" if text.written_by == "MACHINE" else ""
    others = sorted({each.lang for each in message.texts} - {text.lang})
    also = f"; also in {', '.join(others)}" if others else ""
    yield f"text in {text.lang}{note}{machine}{also}:"
    yield f"    {printable(text.title)}"
    if text.narrative:
        yield ""
        yield from (f"    {printable(line)}".rstrip() for line in text.narrative.splitlines())
