"""Where the numbers of a report come from: suite, machine, versions, commits, dates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from grape_bench.record.parts import Environment, Git
from grape_bench.record.record import Record


def facts(records: Sequence[Record]) -> dict[str, str]:
    """Names and values for people; a value that differs between records is given with all its forms."""
    environments = [record.environment for record in records]
    ended = sorted(str(record.ended) for record in records if record.ended)
    found = {
        "Suite": _each(f"{record.suite} {record.job.version}" for record in records),
        "Records": _statuses(records),
        "Hardware": _each(environment.hardware.kind for environment in environments),
        "Commit": _each(_commit(environment.git) for environment in environments),
        "Packages": _packages(environments),
        "Measured": f"{ended[0][:10]} to {ended[-1][:10]}" if ended else "",
    }
    return {name: value for name, value in found.items() if value}


def _statuses(records: Sequence[Record]) -> str:
    counts = Counter(record.status.value for record in records)
    return f"{len(records)} ({', '.join(f'{n} {status}' for status, n in counts.most_common())})"


def _commit(git: Git) -> str:
    commit = git.commit[:12]
    return f"{commit} with uncommitted changes" if git.dirty else commit


def _packages(environments: Sequence[Environment]) -> str:
    every = [{"python": e.python, **e.packages} for e in environments]
    names = dict.fromkeys(name for packages in every for name in packages)
    return ", ".join(f"{name} {_each((p[name] for p in every if name in p), ' / ')}" for name in names)


def _each(values: Iterable[str], separator: str = "; ") -> str:
    return separator.join(sorted(set(values)))
