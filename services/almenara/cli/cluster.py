"""How does a coordinator's command bring its change to the cluster at once, if the cluster is there?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from almenara import clock
from almenara.errors import AlmenaraError, Code, Misconfigured

if TYPE_CHECKING:
    from almenara.coordinator.federation import Federation
    from almenara.coordinator.sync import Outcome


def synchronize(federation: Federation) -> Outcome:
    """Make the cluster hold what the directory says, now.

    Raises what `Cluster.sync` raises, Misconfigured if kafka-python is not installed.
    """
    try:
        from almenara.coordinator.sync import Cluster
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] != "kafka":
            raise
        raise Misconfigured(
            Code.CONFIGURATION,
            "coordinator: the Python package kafka-python is not installed; "
            "pip install 'almenara[coordinator]'",
        ) from exc

    async def once() -> Outcome:
        async with Cluster.connect(federation) as cluster:
            return await cluster.sync(federation, now=clock.now())

    return asyncio.run(once())


def bring_to_cluster(federation: Federation) -> None:
    """Synchronize and say so; say who will do it later if the cluster is away."""
    from almenara import logs

    logs.configure(level="error")
    try:
        outcome = synchronize(federation)
    except AlmenaraError as error:
        click.echo(f"not on the cluster yet: {error.text}", err=True)
        click.echo(
            f"  almenara coordinator run --state {federation.folder}   # does it when it is back", err=True
        )
        return
    click.echo(
        f"on the cluster: directory {outcome.version}, {len(outcome.changed.topics_created)} topics and "
        f"{len(outcome.changed.acls_created)} access rules new, {len(outcome.changed.acls_removed)} gone"
    )
    if outcome.turned_away is not None and federation.settings.bootstrap:
        from almenara.bus.principals import mapping_rules

        rules = mapping_rules(federation.name, turned_away=outcome.turned_away)
        click.echo("connections that are open stay open until each broker was restarted with")
        click.echo(f"  ssl.principal.mapping.rules={rules}")
