"""Every mutant still fits the code, and its test exists; `make mutants` runs them."""

from __future__ import annotations

import ast

import pytest

from conftest import REPOSITORY
from mutants.mutant import Misfit, Mutant
from mutants.table import MUTANTS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_changes_one_place_and_still_compiles(mutant: Mutant) -> None:
    ast.parse(mutant.patched(REPOSITORY))
    assert mutant.old != mutant.new


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_test_of_a_mutant_exists(mutant: Mutant) -> None:
    path, _, rest = mutant.test.partition("::")
    name = rest.partition("[")[0]
    tree = ast.parse((REPOSITORY / path).read_bytes())
    functions = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert name in functions


def test_mutants_have_names_of_their_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 25


@pytest.mark.parametrize(
    ("file", "old", "fault"),
    [
        ("errors.py", "not in it", "stands 0 times"),
        ("errors.py", "class", "times"),
        ("none.py", "", "no none.py"),
    ],
)
def test_a_mutant_that_does_not_fit_is_named(file: str, old: str, fault: str) -> None:
    with pytest.raises(Misfit, match=fault):
        Mutant("a name", file, old, "", "").patched(REPOSITORY)
