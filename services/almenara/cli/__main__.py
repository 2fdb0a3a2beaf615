"""Which commands does `almenara` have? One line here for each; its module is imported when called."""

from __future__ import annotations

import sys

import click

from almenara.cli.app import Lazy, LazyGroup, run

# In the order in which a newcomer needs them.
COMMANDS = {
    "demo": Lazy("almenara.cli.demo:demo", "Run a whole federation on this machine, and audit it."),
    "federation": Lazy("almenara.cli.federation:federation", "Found a federation (the coordinator's side)."),
    "broker": Lazy("almenara.cli.broker:broker", "Run the embedded Kafka broker."),
    "member": Lazy("almenara.cli.member:member", "Make a member's folder; admit a member."),
    "key": Lazy("almenara.cli.key:key", "See, protect, back up and restore a member's keys."),
    "node": Lazy("almenara.cli.node:node", "Run a member's node."),
    "publish": Lazy("almenara.cli.publish:publish", "Publish messages, and see who has confirmed."),
    "import": Lazy("almenara.cli.import_:import_", "Publish the rows of a CSV file."),
    "inbox": Lazy("almenara.cli.inbox:inbox", "Read, follow and export what was received."),
    "sent": Lazy("almenara.cli.sent:sent", "See who has confirmed one's own message."),
    "streams": Lazy("almenara.cli.streams:streams", "See how every stream stands."),
    "doctor": Lazy("almenara.cli.doctor:doctor", "Find out what is wrong, and what to do."),
    "evidence": Lazy("almenara.cli.evidence:evidence", "Prove who said what to whom, and when."),
    "verify": Lazy("almenara.cli.verify:verify", "Prove who signed an exported record, offline."),
    "audience": Lazy("almenara.cli.audience:audience", "Say who shares what with whom."),
    "directory": Lazy("almenara.cli.directory:directory", "Sign the directory in a quorum of coordinators."),
    "coordinator": Lazy("almenara.cli.coordinator:coordinator", "Keep the cluster as the directory says."),
    "quarantine": Lazy("almenara.cli.quarantine:quarantine", "See what was refused, and why."),
    "store": Lazy("almenara.cli.store:store", "See, back up, restore and upgrade a member's store."),
    "epoch": Lazy("almenara.cli.epoch:epoch", "Begin anew after the store was restored."),
    "schema": Lazy("almenara.cli.schema:schema", "See and check the Avro schemas."),
    "completion": Lazy("almenara.cli.completion:completion", "Let the shell complete commands."),
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
      almenara node run --config PE/member.toml
      almenara publish alert.json --config PE/member.toml --wait 10s

    Exit status: 0 ok, 1 refused, 2 configuration or usage, 3 unavailable or timed out.
    """


def main() -> None:
    """Run the command line and end the process with its exit status."""
    sys.exit(run(almenara))


if __name__ == "__main__":
    main()
