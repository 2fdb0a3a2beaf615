"""Which commands does `almenara` have? One line here for each; its module is imported when called."""

from __future__ import annotations

import sys

import click

from almenara.cli.app import Lazy, LazyGroup, run

COMMANDS = {
    "federation": Lazy("almenara.cli.federation:federation", "Found a federation (the coordinator's side)."),
    "member": Lazy("almenara.cli.member:member", "Make a member's folder; admit a member."),
    "audience": Lazy("almenara.cli.audience:audience", "Say who shares what with whom."),
    "broker": Lazy("almenara.cli.broker:broker", "Run the embedded Kafka broker."),
    "schema": Lazy("almenara.cli.schema:schema", "See and check the Avro schemas."),
    "coordinator": Lazy("almenara.cli.coordinator:coordinator", "Keep the cluster as the directory says."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100},
)
@click.version_option(package_name="almenara", message="%(prog)s %(version)s")
def almenara() -> None:
    """Share risk alerts among customs administrations: signed, sealed, over Kafka.

    \b
    A federation from nothing, each step telling the next:
      almenara federation init --state D --name ams
      almenara broker run --state D
      almenara member init --id PE --state PE
      almenara member admit PE/enrolment.json --federation D

    Exit status: 0 ok, 1 refused, 2 configuration or usage, 3 unavailable or timed out.
    """


def main() -> None:
    """Run the command line and end the process with its exit status."""
    sys.exit(run(almenara))


if __name__ == "__main__":
    main()
