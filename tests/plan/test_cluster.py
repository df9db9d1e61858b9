"""Cluster resources: a suite's table, a file that overrides it, and no effect on a job's id."""

from __future__ import annotations

from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.plan.expand import expand
from grape_bench.plan.read import read_cluster, read_suite
from tests.plan.suites import write_suite

FILE = """\
gpus = 1
minutes = 90
[slurm]
account = "me"
"""


def test_a_file_overrides_the_suites_table_and_changes_no_id(tmp_path: Path) -> None:
    more = '[cluster]\nminutes = 10\ncpus = 4\n[cluster.slurm]\npartition = "long"\naccount = "all"\n'
    suite = read_suite(write_suite(tmp_path, more=more))
    file = tmp_path / "cluster.toml"
    file.write_text(FILE)
    cluster = suite.cluster.updated(read_cluster(file))
    assert (cluster.cpus, cluster.gpus, cluster.minutes) == (4, 1, 90)
    assert (cluster.slurm.partition, cluster.slurm.account) == ("long", "me")
    plain = read_suite(write_suite(tmp_path))
    assert [job.id for job in expand(suite)] == [job.id for job in expand(plain)]


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("minutes", "minuets", ["unknown key 'minuets'; did you mean 'minutes'"]),
        ("account", "acount", ["slurm", "unknown key 'acount'; did you mean 'account'"]),
        ("90", "0", ["minutes", "at least 1"]),
        ("gpus = 1", "gpus = -1", ["gpus", "at least 0"]),
        ("[slurm]", "[slrum]", ["unknown key 'slrum'; did you mean 'slurm'"]),
    ],
)
def test_each_mistake_has_its_own_message(tmp_path: Path, old: str, new: str, parts: list[str]) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text(FILE.replace(old, new))
    with pytest.raises(UserError) as caught:
        read_cluster(file)
    for part in ["cluster.toml", *parts]:
        assert part in str(caught.value)
