"""Make the random inputs of the golden records: the slots of every announcement."""

from __future__ import annotations

from almenara.wire.seal import wrap_all
from conformance.announcements import ANNOUNCEMENTS
from conformance.federation import KEYS, PE, SENDER_KEYS, context, to_json


def new_wraps() -> str:
    """Return the text of inputs/wraps.json, with new slots."""
    slots = {keys.sealing.key_id: keys.sealing.public for keys in KEYS.values()}
    made = {
        name: wrap_all(
            SENDER_KEYS[name],
            context=context(PE, epoch=epoch),
            slots=slots,
            entitled={KEYS[member].sealing.key_id for member in entitled},
            own=KEYS[PE].sealing.key_id,
        )
        for name, (epoch, entitled) in ANNOUNCEMENTS.items()
    }
    return to_json({name: {slot.key_id.hex(): slot.wrap.hex() for slot in made[name]} for name in made})
