"""All mutants, from the bytes up."""

from __future__ import annotations

from mutants import bytes_of_the_wire, machinery, sealing, trusting

MUTANTS = (*bytes_of_the_wire.MUTANTS, *sealing.MUTANTS, *trusting.MUTANTS, *machinery.MUTANTS)
