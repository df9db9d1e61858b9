"""`grape-bench leaderboard`: a static site over all published results."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("leaderboard")
@click.argument("results", type=click.Path(path_type=Path), default=Path("results"))
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("site"), show_default=True)
def command(results: Path, output: Path) -> None:
    """Build a page per suite, and one that lists them, from RESULTS (by default ./results)."""
    from grape_bench.publish.site import build

    for board in build(results, output):
        badges = ", ".join(f"{entry.rule} {entry.badge}" for entry in board.entries) or "recorded, not published"
        click.echo(f"{output}/{board.suite}/index.html  {badges}")
    click.echo(f"{output}/index.html")
