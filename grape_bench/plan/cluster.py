"""What a job asks of a cluster: a suite's [cluster] table, or a file of the same keys.

Nothing here can change a result, so none of it is part of a job's identity.
"""

from __future__ import annotations

from pydantic import JsonValue

from grape_bench.plan.part import Count, NotNegative, Part, Positive


class Slurm(Part):
    """What Slurm alone is told."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    array_parallelism: Count | None = None  # jobs at once; None: as many as Slurm lets run
    setup: list[str] = []  # shell lines before each job
    options: dict[str, JsonValue] = {}  # any other option of sbatch, by its long name


class Ray(Part):
    """What Ray alone is told."""

    address: str | None = None  # of a running cluster, or "auto"; None: one of its own on this machine
    resources: dict[str, Positive] = {}  # custom ones


class Cluster(Part):
    """The needs of one process of a job; with `nproc` processes a job asks for that many times as much."""

    cpus: Count = 1
    gpus: NotNegative = 0.0  # a share, such as 0.25, lets several jobs have one GPU (Ray)
    memory_gb: Positive | None = None
    minutes: Count | None = None  # the time limit
    slurm: Slurm = Slurm()
    ray: Ray = Ray()

    def updated(self, other: Cluster) -> Cluster:
        """This, with what `other` says in its place."""
        mine, theirs = (one.model_dump(exclude_unset=True) for one in (self, other))
        inner = {name: {**mine.get(name, {}), **theirs.get(name, {})} for name in ("slurm", "ray")}
        return Cluster.model_validate({**mine, **theirs, **inner})
