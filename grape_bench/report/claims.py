"""Claims from the literature next to what the recorded runs say: in the terminal, and as a page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from grape_bench.arguments import schema_error
from grape_bench.errors import UserError
from grape_bench.plan.read import read_document
from grape_bench.record.folder import read_records
from grape_bench.record.manifest import MANIFEST
from grape_bench.report.page import policy, style
from grape_bench.report.templates import page_template
from grape_bench.score.cell import Grid, cells
from grape_bench.score.claim import FAILS, HOLDS, OPEN, Claim, Observed, judge, overall, p_value
from grape_bench.score.inference import LEVEL, holm
from grape_bench.score.quantity import ABSENT

WORDS = (HOLDS, FAILS, OPEN)
NOTES = (
    "Rule - reference by task, with the 95 % interval, in points of the metric or in cosine. *: also after Holm's "
    "correction over all claims."
)
STYLES = {HOLDS: "green", FAILS: "red", OPEN: "dim"}


@dataclass(frozen=True)
class Judged:
    """A claim, the name of its file, the word on it, and what was observed. `missing` says why there are no runs.

    `adjusted` is the p-value of the word after Holm's correction over all claims.
    """

    name: str
    claim: Claim
    word: str
    observed: tuple[Observed, ...]
    missing: str = ""
    adjusted: float = math.nan

    @property
    def p(self) -> float:
        """The p-value of the word, without a correction for the other claims."""
        return p_value(self.observed)

    @property
    def confirmed(self) -> bool:
        """Whether the claim keeps its word when all claims are tested together."""
        return self.word != OPEN and self.adjusted < LEVEL

    @property
    def shown_by(self) -> str:
        """The comparison, in words."""
        claim = self.claim
        size = f", by more than {claim.by:g}" if claim.by else ""
        more = f", more than on {claim.more_than_on}" if claim.more_than_on else ""
        return f"{claim.rule} {claim.direction} {claim.than} in {claim.quantity}{size}{more} ({claim.suite})"

    @property
    def values(self) -> dict[str, Any]:
        """Everything as plain values, for `--json`. An unknown number is NaN."""
        rows = [
            {
                "task": one.task,
                "word": one.word,
                "difference": one.difference.mean,
                "half_width": one.difference.half_width,
                "n": one.difference.n,
                "margin": one.margin,
                "reason": one.reason,
            }
            for one in self.observed
        ]
        return {
            "name": self.name, **self.claim.model_dump(), "word": self.word, "missing": self.missing,
            "p": self.p, "p_adjusted": self.adjusted, "observed": rows,
        }  # fmt: skip


def read_claims(folder: Path) -> dict[str, Claim]:
    """The claims in `folder`, by file name. Raises UserError if there are none, or if one is wrong."""
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise UserError("no claims in this folder", where=str(folder), hint="a folder with one TOML file per claim")
    found = {}
    for path in paths:
        document = read_document(path)
        try:
            found[path.stem] = Claim.model_validate(document)
        except ValidationError as error:
            raise schema_error(error, Claim, document, where=str(path)) from error
    return found


def judged(claims: Mapping[str, Claim], results: Path) -> list[Judged]:
    """Each claim with the word that the runs in `results`/SUITE/runs give it, and its p-value among all of them."""

    @cache
    def grid(suite: str) -> Grid | None:
        runs = results / suite / "runs"
        return cells(read_records(runs)) if (runs / MANIFEST).is_file() else None

    found = []
    for name, claim in claims.items():
        if (known := grid(claim.suite)) is None:
            found.append(Judged(name, claim, OPEN, (), f"{results} has no runs of {claim.suite}"))
            continue
        observed = tuple(judge(claim, known))
        found.append(Judged(name, claim, overall(observed), observed))
    adjusted = holm({one.name: one.p for one in found})
    return [replace(one, adjusted=adjusted[one.name]) for one in found]


def render(every: Iterable[Judged]) -> RenderableType:
    """One table, within 80 columns: the word, the sentence, and the difference on each task."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, width=80, show_lines=False)
    table.add_column("claim", ratio=1)
    table.add_column("difference (n)", no_wrap=True)
    table.add_column("word", no_wrap=True)
    found = in_order(every)
    for one in found:
        numbers = "\n".join(short_text(seen) for seen in one.observed) or ABSENT
        table.add_row(
            Text.assemble(one.claim.sentence, (f"  {one.name}", "dim")), numbers, Text(starred(one), STYLES[one.word])
        )
    return Group(table, Text(total(found)), Text(NOTES, "dim"))


def describe(one: Judged) -> RenderableType:
    """One claim with its source, its numbers, and what differs from the source."""
    claim, table = one.claim, Table.grid(padding=(0, 2))
    facts = [
        ("claim", claim.sentence),
        ("source", claim.source),
        ("published", claim.published),
        ("shown by", one.shown_by),
        *[(seen.task, long_text(seen)) for seen in one.observed],
        ("differs", claim.differs),
        ("word", one.word + (f": {one.missing}" if one.missing else "")),
        *([("p", p_text(one))] if math.isfinite(one.p) else []),
    ]
    for word, text in facts:
        table.add_row(word, text)
    return table


def page(every: Iterable[Judged]) -> str:
    """All claims as one self-contained HTML page. It links to index.html in the same folder."""
    found = in_order(every)
    return page_template("claims.html.j2").render(
        every=found, words=WORDS, counts=Counter(one.word for one in found), total=total(found),
        short_text=short_text, long_text=long_text, p_text=p_text, style=style(), policy=policy(),
    )  # fmt: skip


def in_order(every: Iterable[Judged]) -> list[Judged]:
    """The claims by word, and those with a star first."""
    return sorted(every, key=lambda one: (WORDS.index(one.word), not one.confirmed))


def total(every: Iterable[Judged]) -> str:
    """How many claims got each word, alone and after a correction for the number of claims, in two sentences."""
    found = list(every)
    counts, kept = Counter(one.word for one in found), Counter(one.word for one in found if one.confirmed)
    words = {HOLDS: "hold here", FAILS: "do not hold here", OPEN: OPEN}
    return (
        f"{counts.total()} claims: " + ", ".join(f"{counts[word]} {plural}" for word, plural in words.items()) + ". "
        f"After Holm's correction over all claims (*), {kept[HOLDS]} still hold and {kept[FAILS]} still do not."
    )


def starred(one: Judged) -> str:
    """The word on a claim, with a star if the claim keeps it after the correction for the number of claims."""
    return f"{one.word} *" if one.confirmed else one.word


def p_text(one: Judged) -> str:
    """The p-value of a claim's word, and the same after the correction: "0.0012; 0.080 among all claims"."""
    return f"{one.p:.2g}; {one.adjusted:.2g} among all claims"


def long_text(seen: Observed) -> str:
    """The word on one task, with every number behind it."""
    margin = f", margin {seen.margin:.3g}" if math.isfinite(seen.margin) else ""
    reason = f" ({seen.reason})" if seen.reason else ""
    return f"{seen.word}{reason}: {short_text(seen)}{margin}"


def short_text(seen: Observed) -> str:
    """The difference on one task with its interval and the seeds: `+6.67 ± 0.49 (5)`."""
    if seen.difference.n == 0:
        return ABSENT
    digits = 3 if abs(seen.difference.mean) < 1 and seen.margin < 1 else 2
    return f"{seen.difference.mean:+.{digits}f} ± {seen.difference.half_width:.{digits}f} ({seen.difference.n})"
