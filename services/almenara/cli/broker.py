"""`almenara broker`: the embedded Kafka, for a single site, a demonstration and tests."""

from __future__ import annotations

from pathlib import Path

import click

from almenara.cli.options import federation_folder


@click.group()
def broker() -> None:
    """Run a real Apache Kafka without Docker or a system Java.

    It asks every client for its certificate and grants what the coordinator has granted, nothing
    else. For more than one site, run your own brokers and name them with `--bootstrap`.
    """


@broker.command()
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Take the files from this folder instead of the network.",
)
def fetch(source: Path | None) -> None:
    """Bring Kafka's files into the cache, each checked by its SHA-256.

    44 MB, once for all federations of this user. `broker run` does it by itself where there is a
    network; where there is none, copy the cache folder of another machine and name it with `--from`.

    \b
    Example:
      almenara broker fetch --from /media/usb/almenara
    """
    from almenara.bus import artifacts
    from almenara.cli.progress import shown

    cache = artifacts.cache_folder()
    with shown() as progress:
        jars = artifacts.fetch(cache, progress=progress, source=source)
    click.echo(f"{len(jars)} files of Kafka are in {cache}")


@broker.command()
@click.option("--state", type=federation_folder, required=True, help="The federation's folder.")
@click.option(
    "--nodes",
    type=click.Choice(("1", "3")),
    help="Kafka processes: of 3 each holds every record, and one may be away. Chosen at the first start. "
    "[default: as before, else 1]",
)
@click.option(
    "--port",
    default=0,
    help="Port to listen on, and those behind it with several nodes; 0 keeps the last one, or chooses.",
)
@click.option(
    "--forwarded",
    type=(int, int),
    multiple=True,
    metavar="PORT TOLD",
    help="A further port for clients who come through a forwarder on this machine (a tunnel, NAT), and its "
    "port, which they are told; with several nodes those behind both too. May be given again.",
)
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path),
    help="JSON with the addresses and process ids; it stands while the broker answers.",
)
def run(
    state: Path, nodes: str | None, port: int, forwarded: tuple[tuple[int, int], ...], ready_file: Path | None
) -> None:
    """Run the broker in the foreground until Ctrl-C or SIGTERM; its data survive.

    Its certificate comes from `almenara federation init` and is renewed at each start when due.

    With `--nodes 3` a site goes on while one of three Kafka processes is away: what ends by itself is
    started again, and what must be started anew takes its turn. They share this machine and take 1.2 GB.
    Without a machine there is no broker; for that, run your own on three.

    \b
    Example:
      almenara broker run --state D
      almenara broker run --state D --nodes 3
    """
    import asyncio

    from almenara import clock, logs
    from almenara.bus.broker import run as run_broker
    from almenara.bus.configuration import Forwarded
    from almenara.cli.progress import shown
    from almenara.coordinator.federation import Federation
    from almenara.coordinator.upkeep import renew_certificates

    logs.configure()
    renew_certificates(Federation.open(state), clock.now())
    with shown() as progress:
        asyncio.run(
            run_broker(
                state,
                nodes=None if nodes is None else int(nodes),
                port=port,
                forwarded=[Forwarded(*each) for each in forwarded],
                ready_file=ready_file,
                progress=progress,
            )
        )
