"""Rebuild the golden records from their inputs: `make conformance`. No byte changes unless the code does.

With --new-wraps it first makes new slots of the sender keys, which are random, and with them every
record that announces one. Only a change of what the slots are bound to calls for that. With
--new-signatures it first signs the golden checkpoints anew, which any change of their bytes calls for.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Write all vectors, and remove records that are no longer made."""
    parser = argparse.ArgumentParser(description="Rebuild the golden records.")
    parser.add_argument("--new-wraps", action="store_true", help="make new random slots first")
    parser.add_argument("--new-signatures", action="store_true", help="sign the checkpoints anew first")
    wanted = parser.parse_args()
    if wanted.new_wraps:
        from conformance.wraps import new_wraps

        (HERE / "inputs" / "wraps.json").write_text(new_wraps(), encoding="utf-8")
    from conformance.signatures import GoldenKey

    GoldenKey.renewing = wanted.new_signatures
    from conformance.vectors import build

    files = build()
    for old in (HERE / "vectors").rglob("*.json"):
        if old.relative_to(HERE).as_posix() not in files:
            old.unlink()
    for name, text in files.items():
        (HERE / name).write_text(text, encoding="utf-8")
    print(f"conformance: {len(files)} files under tests/conformance/vectors")


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    main()
