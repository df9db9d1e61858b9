"""`grape-bench publish`: pack a rule's runs so that others can verify them."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from grape_bench.cli.names import RuleReference, RunFolder
from grape_bench.cli.say import say
from grape_bench.cli.verification import show
from grape_bench.errors import UserError


@click.command("publish")
@click.argument("runs", type=RunFolder())
@click.option(
    "--rule",
    required=True,
    type=RuleReference(),
    metavar="R",
    help="The rule to publish, as named in the table.",
)
@click.option("--rule-version", default="1.0", show_default=True, metavar="V", help="The rule's own version.")
@click.option("--paper", default="", metavar="TEXT", help="The paper that describes the rule.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("results"), show_default=True)
@click.option("--replace", is_flag=True, help="Replace an existing publication.")
@click.option("--anonymous", is_flag=True, help="Write one zip for double-blind review, without names and paths.")
@click.option(
    "--allow",
    multiple=True,
    metavar="TEXT",
    help="With --anonymous: allow a text that looks as if it names someone but does not; may be repeated.",
)
def command(
    runs: Path,
    rule: str,
    rule_version: str,
    paper: str,
    output: Path,
    replace: bool,
    anonymous: bool,
    allow: tuple[str, ...],
) -> None:
    """Pack one rule of RUNS, along with bp, frozen, head-only and dfa, into OUTPUT/SUITE/RULE, and verify it.

    With --anonymous the result is OUTPUT/SUITE/RULE-anonymous.zip. It is refused if any text in it, such as code, names
    the author. Exit code 0: every check passed; 1: the publication was written, but a check failed.
    """
    from grape_bench.publish.archive import opened
    from grape_bench.publish.pack import About, pack, pack_anonymous
    from grape_bench.publish.verify import verify

    if allow and not anonymous:
        raise UserError("--allow belongs to --anonymous", where="publish --allow", hint="add --anonymous")
    if anonymous:
        target = pack_anonymous(runs, rule, output, rule_version, allow, replace=replace)
        say("withheld: the paper, commits, folders, messages of errors, the kernel")
    else:
        target = pack(runs, rule, output, About(rule_version, paper), replace=replace)
    say(f"published to {target}")
    with opened(target) as folder:
        verification = verify(folder)
        show(verification, target)
    sys.exit(0 if verification.ok else 1)
