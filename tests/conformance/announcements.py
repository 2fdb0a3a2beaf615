"""Which sender keys the golden records announce, and to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.federation import AR, CL, EPOCHS, PE

if TYPE_CHECKING:
    from almenara.model.ids import MemberId

ANNOUNCEMENTS: dict[str, tuple[int, frozenset[MemberId]]] = {
    "K1": (EPOCHS[0], frozenset({PE, AR, CL})),
    "K2": (EPOCHS[0], frozenset({PE, AR})),
    "K3": (EPOCHS[1], frozenset({PE, AR, CL})),
    "K4": (EPOCHS[0], frozenset({PE, AR})),
    "K5": (EPOCHS[0], frozenset({PE, AR, CL})),
    "K6": (EPOCHS[2], frozenset({PE, AR, CL})),
}
"""For each sender key the epoch that it is announced in, and whose slots hold it."""
