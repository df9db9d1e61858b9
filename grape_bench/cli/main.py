"""The command `grape-bench`: imports the subcommand and prints user errors."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from grape_bench.cli.say import say
from grape_bench.cli.sweep import OWN_PROCESS
from grape_bench.cli.system import check_system
from grape_bench.errors import UserError
from grape_bench.execute.faults import fault

# Each name is a module of this package with a click command called `command`. Only the one that runs is imported.
COMMANDS = (
    *("run", "plan", "tune", "list", "report", "show", "compare", "ui"),
    *("publish", "verify", "leaderboard", "claims"),
    *("merge", "sync", "data"),
    *("new", "check", "blocks", "profile", "doctor"),
)


class Commands(click.Group):
    """Finds subcommands by the names of their modules."""

    def list_commands(self, context: click.Context) -> list[str]:
        """List the commands in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import and return the command."""
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"grape_bench.cli.{name}").command
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that will run. Raises UserError for all but `doctor` on a system without support."""
        found = super().resolve_command(context, args)
        if found[0] != "doctor":
            check_system()
        return found

    def invoke(self, context: click.Context) -> Any:
        """Run the subcommand. A bug prints a traceback.

        A user error, or a fault of the machine, prints one message and exits with code 2.
        """
        try:
            return super().invoke(context)
        except (UserError, OSError, MemoryError) as error:
            message = error if isinstance(error, UserError) else fault(error)
            if message is None:
                raise
            say(f"error: {message}", err=True)
            context.exit(2)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="grape-bench")
def cli() -> None:
    """Benchmark learning rules against backpropagation.

    Start with `grape-bench run quickstart`.
    """


def main() -> None:
    """The entry point of the installed command."""
    cli(prog_name="grape-bench", obj=OWN_PROCESS)


if __name__ == "__main__":
    main()
