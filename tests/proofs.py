"""Do the tests exist that a page of the documentation names?"""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROOF = re.compile(r"`(tests/[^`:]+\.py)::(\w+)`")


def wrong_proofs(cell: str, repository: Path) -> Iterator[str]:
    """Yield what is wrong with the tests that a cell names."""
    proofs = PROOF.findall(cell)
    if not proofs and "**OPEN**" not in cell:
        yield "no test"
    if cell.count("::") != len(proofs):
        yield "a test is not written as `tests/...py::test_name`"
    for path, name in proofs:
        file = repository / path
        if not file.is_file():
            yield f"there is no {path}"
        elif not name.startswith("test_") or name not in _functions(file):
            yield f"{path} has no {name}"


@cache
def _functions(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_bytes())
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
