"""All mutants, from the bytes up."""

from __future__ import annotations

from mutants import (
    access,
    admitting,
    bytes_of_the_wire,
    machinery,
    receiving,
    renewing,
    sealing,
    signing,
    trusting,
)

MUTANTS = (
    *bytes_of_the_wire.MUTANTS,
    *sealing.MUTANTS,
    *admitting.MUTANTS,
    *trusting.MUTANTS,
    *signing.MUTANTS,
    *receiving.MUTANTS,
    *access.MUTANTS,
    *renewing.MUTANTS,
    *machinery.MUTANTS,
)
