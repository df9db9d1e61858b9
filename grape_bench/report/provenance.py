"""Where the numbers of a report come from: suite, machine, versions, commits, dates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from grape_bench.score.cell import Record


def facts(records: Sequence[Record]) -> dict[str, str]:
    """Names and values for people; a value that differs between records is given with all its forms."""
    environments = [record["environment"] for record in records]
    ended = sorted(str(record["ended"]) for record in records if record.get("ended"))
    found = {
        "Suite": _each(f"{record['suite']} {record['suite_version']}" for record in records),
        "Records": _statuses(records),
        "Hardware": _each(environment["hardware"]["class"] for environment in environments),
        "Commit": _each(_commit(environment.get("git") or {}) for environment in environments),
        "Packages": _packages(environments),
        "Measured": f"{ended[0][:10]} to {ended[-1][:10]}" if ended else "",
    }
    return {name: value for name, value in found.items() if value}


def _statuses(records: Sequence[Record]) -> str:
    counts = Counter(str(record["status"]) for record in records)
    return f"{len(records)} ({', '.join(f'{n} {status}' for status, n in counts.most_common())})"


def _commit(git: dict[str, object]) -> str:
    commit = str(git.get("commit") or "unknown")[:12]
    return f"{commit} with uncommitted changes" if git.get("dirty") else commit


def _packages(environments: Sequence[dict]) -> str:
    every = [{"python": e["python"], **e.get("packages", {})} for e in environments if "python" in e]
    names = dict.fromkeys(name for packages in every for name in packages)
    return ", ".join(f"{name} {_each((p[name] for p in every if name in p), ' / ')}" for name in names)


def _each(values: Iterable[str], separator: str = "; ") -> str:
    return separator.join(sorted(set(values)))
