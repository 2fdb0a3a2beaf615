"""Alerts as administrations send them, about 1 KB encoded, each with values of its own."""

from __future__ import annotations

import random
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING

from msgspec.structs import replace

from almenara import clock
from almenara.model.alert import Document, Equipment, Goods, Party, RiskAlert
from almenara.model.codes import Area, DocumentType, Language, Level, Mode, Tlp, Urgency
from almenara.model.messages import Handling, Message, Text
from almenara.model.uuid7 import uuid7

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = 20261124
POOL = 2_000
"""Different alerts; each one sent also has an id and a reference of its own."""

_AREAS = (Area.DRUGS, Area.TOBACCO, Area.IPR, Area.WASTE)
_TEXT = """contenedor declarado como fruta refrigerada con doble fondo en el suelo y precintos rehechos
despues de la salida del puerto de embarque segun informacion de la oficina de enlace; consignatario nuevo
sin historial, flete pagado en efectivo, peso bruto superior al manifestado, ruta sin sentido comercial"""


def pool() -> list[Message]:
    """Return the different alerts, the same in every run."""
    chance = random.Random(SEED)
    return [_alert(chance, number) for number in range(POOL)]


def distinct(alerts: list[Message]) -> Iterator[Message]:
    """Yield alerts without end, no two with the same id or reference."""
    for number in count():
        now = clock.now()
        yield replace(
            alerts[number % len(alerts)],
            message_id=uuid7(now),
            issued_at=now,
            reference=f"PE-2026-{number:09}",
        )


def _alert(chance: random.Random, number: int) -> Message:
    now = clock.now()
    return Message(
        message_id=uuid7(now),
        reference=f"PE-2026-{number:09}",
        issued_at=now,
        expires_at=now + timedelta(days=30),
        handling=Handling(tlp=Tlp.AMBER, purposes=("CUSTOMS_CONTROL",), legal_basis="Convenio, articulo 7"),
        texts=(
            Text(
                lang=Language("es"),
                title=_text(chance, 8),
                narrative=_text(chance, 60),
            ),
        ),
        body=RiskAlert(
            area=chance.choice(_AREAS),
            level=Level.HIGH,
            urgency=Urgency.PRIORITY,
            indicators=(_text(chance, 5), _text(chance, 4)),
            goods=(
                Goods(hs=f"08{chance.randrange(1, 15):02}", description=_text(chance, 5)),
                Goods(hs=f"03{chance.randrange(1, 9):02}", description=_text(chance, 5)),
            ),
            origin=chance.choice(("EC", "CO", "PE", "BR")),
            dispatch=chance.choice(("EC", "PA")),
            transit=("PA", "NL"),
            destination=chance.choice(("CL", "AR", "UY")),
            mode=Mode.MARITIME,
            vessel_name=f"ESTRELLA DEL SUR {chance.randrange(1000)}",
            voyage=f"{chance.randrange(1000):03}W",
            equipment=tuple(Equipment(container_no=_container(chance)) for _ in range(2)),
            documents=(Document(type=DocumentType.BL, number=f"MAEU{chance.randrange(10**9):09}"),),
            parties=(
                Party(role="CONSIGNEE", name=f"Importadora {chance.randrange(10**6)} SA", country="CL"),
            ),
        ),
    )


def _text(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(_TEXT.split(), k=words))


def _container(chance: random.Random) -> str:
    """Return a container number with its check digit (ISO 6346)."""
    stem = "MSCU" + f"{chance.randrange(10**6):06}"
    values = [int(c) if c.isdigit() else 10 + (ord(c) - 65) + (ord(c) - 65 + 9) // 10 for c in stem]
    return stem + str(sum(value << place for place, value in enumerate(values)) % 11 % 10)
