"""`grape-bench leaderboard`: build a static site from all published results."""

from __future__ import annotations

from pathlib import Path

import click

from grape_bench.cli.say import say


@click.command("leaderboard")
@click.argument("results", type=click.Path(path_type=Path), default=Path("results"))
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("site"), show_default=True)
@click.option(
    "--claims",
    type=click.Path(path_type=Path),
    default=Path("claims"),
    show_default=True,
    help="Folder with one TOML file per claim. Without it, the site has no page of claims.",
)
def command(results: Path, output: Path, claims: Path) -> None:
    """Build one page per suite, a page of claims and an overview from RESULTS (default: ./results)."""
    from grape_bench.publish.site import build
    from grape_bench.record.deadline import FOLDER_S, deadline
    from grape_bench.record.write import write_text
    from grape_bench.report.claims import judged, page, read_claims, total

    with deadline(FOLDER_S, str(results)):
        found = judged(read_claims(claims), results) if claims.is_dir() else []
        boards = build(results, output, claims=total(found) if found else "")
        if found:
            write_text(output / "claims.html", page(found))
    for board in boards:
        badges = ", ".join(f"{entry.rule} {entry.badge}" for entry in board.entries) or "recorded, not published"
        say(f"{output}/{board.suite}/index.html  {badges}")
    for archive in sorted(results.glob("*/*.zip")):
        say(f"{archive} is a zip and not shown: unzip it in {results}")
    say(f"{output}/index.html")
