"""`grape-bench claims`: what the recorded runs say about claims in the literature."""

from __future__ import annotations

from pathlib import Path

import click

from grape_bench.cli.say import as_json, say_json


@click.command("claims")
@click.argument("name", required=False)
@click.option(
    "--claims",
    "folder",
    type=click.Path(path_type=Path),
    help="Folder with one TOML file per claim.  [default: ./claims, or the claims of the checkout]",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    help="Folder with SUITE/runs.  [default: results, beside the folder of claims]",
)
@as_json
def command(name: str | None, folder: Path | None, results: Path | None, json: bool) -> None:
    """Print for each claim: holds here, does not hold here, or cannot be told.

    NAME is the file name of one claim, without .toml. That claim is printed with its source and all numbers.
    """
    from grape_bench.errors import unknown
    from grape_bench.plan.find import shipped
    from grape_bench.record.deadline import FOLDER_S, deadline
    from grape_bench.report.claims import describe, judged, read_claims, render
    from grape_bench.report.console import PlainConsole

    folder = folder or next((path for path in (Path("claims"), shipped("claims")) if path.is_dir()), Path("claims"))
    results = results or folder.parent / "results"
    with deadline(FOLDER_S, str(results)):
        claims = read_claims(folder)
        if name is not None and name not in claims:
            raise unknown("claim", name, claims, where=str(folder))
        found = [one for one in judged(claims, results) if name in (None, one.name)]
    if json:
        say_json([one.values for one in found])
    else:
        PlainConsole().print(describe(found[0]) if name is not None else render(found))
