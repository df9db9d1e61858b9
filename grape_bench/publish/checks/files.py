"""Every file is there, unchanged, and no other."""

from __future__ import annotations

from collections.abc import Iterator

from grape_bench.publish.index import LINK, SCHEMA, content_id, contents
from grape_bench.publish.submission import Submission


def problems(submission: Submission) -> Iterator[str]:
    """Against the hashes of the index."""
    index = submission.index
    found = contents(submission.folder)
    if index["schema"] != SCHEMA:
        yield f"index of schema {index['schema']}, not {SCHEMA}"
    yield from (f"{name} is a link" for name, digest in found.items() if digest == LINK)
    for name, digest in index["files"].items():
        if name not in found:
            yield f"{name} is missing"
        elif found[name] != digest:
            yield f"{name} is not the file that was published"
    yield from (f"{name} is not in the index" for name in found if name not in index["files"])
    if content_id(index["files"]) != index["id"]:
        yield "the content id is not that of the files"
