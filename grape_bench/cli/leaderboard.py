"""`grape-bench leaderboard`: build a static site from all published results."""

from __future__ import annotations

from pathlib import Path

import click

from grape_bench.cli.say import say


@click.command("leaderboard")
@click.argument("results", type=click.Path(path_type=Path), default=Path("results"))
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("site"), show_default=True)
def command(results: Path, output: Path) -> None:
    """Build one page per suite and an overview from RESULTS (default: ./results)."""
    from grape_bench.publish.site import build
    from grape_bench.record.deadline import FOLDER_S, deadline

    with deadline(FOLDER_S, str(results)):
        boards = build(results, output)
    for board in boards:
        badges = ", ".join(f"{entry.rule} {entry.badge}" for entry in board.entries) or "recorded, not published"
        say(f"{output}/{board.suite}/index.html  {badges}")
    say(f"{output}/index.html")
