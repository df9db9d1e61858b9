"""What the fork server imports and finds out, so that the jobs need not: only what these jobs will use."""

from __future__ import annotations

from collections.abc import Sequence

from grape_bench.record.job import Job

# By source, the part of an id before the colon: the module that builds or loads, and with it what it imports.
_MODELS = {
    "timm": "grape_bench.models.timm",
    "hf": "grape_bench.models.hugging_face",
    "torchvision": "grape_bench.models.torchvision",
}
# Sets without a file in the cache of decoded images are made here once.
_DATA = {
    "digits": "grape_bench.data.digits:read",
    "mnist1d": "grape_bench.data.mnist1d:generate",
    "hf": "grape_bench.data.hub",
}
_EVERY_JOB = (
    "torch",
    "numpy.ma",  # numpy.unique imports it at its first call
    "grape_bench.execute.local",
    "grape_bench.execute.worker",
    "grape_bench.rules.make",
    "grape_bench.network.tangents",
    "grape_bench.track.environment:software",  # a twentieth of a small job's time
)
_OTHER_DATA = "grape_bench.data.named"


def preload(jobs: Sequence[Job], trainer: str) -> list[str]:
    """Names of modules, and of functions that remember what they found; each once, none of a user's."""
    names = dict.fromkeys([*_EVERY_JOB, trainer])
    for job in jobs:
        source = job.model.partition(":")[0]
        if source in _MODELS:
            names[_MODELS[source]] = None
        names[_DATA.get(job.dataset.partition(":")[0], _OTHER_DATA)] = None
    return list(names)
