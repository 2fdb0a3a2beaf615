"""Almenara: a signed, sealed message bus on which customs administrations share risk alerts.

`almenara.connect` is the SDK. It is loaded on first use, so that `import almenara` stays cheap for
the command line and for code that only wants the models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from almenara.client import connect

__version__: str

__all__ = ["__version__", "connect"]


def __getattr__(name: str) -> object:
    """Load `connect` and `__version__` on first use; raise AttributeError for any other name."""
    if name == "connect":
        from almenara.client import connect

        return connect
    if name == "__version__":
        from importlib.metadata import version

        return version("almenara")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
