"""The folder holds exactly the published files, unchanged."""

from __future__ import annotations

from collections.abc import Iterator

from grape_bench.publish.index import LINK, SCHEMA, content_id, contents
from grape_bench.publish.submission import Submission


def problems(submission: Submission) -> Iterator[str]:
    """Compare the files with the hashes in the index."""
    index = submission.index
    found = contents(submission.folder)
    if index["schema"] != SCHEMA:
        yield f"the index has schema {index['schema']}, not {SCHEMA}"
    yield from (f"{name} is a link" for name, digest in found.items() if digest == LINK)
    for name, digest in index["files"].items():
        if name not in found:
            yield f"{name} is missing"
        elif found[name] != digest:
            yield f"{name} has changed since it was published"
    yield from (f"{name} is not in the index" for name in found if name not in index["files"])
    if content_id(index["files"]) != index["id"]:
        yield "the content id does not match the files"
