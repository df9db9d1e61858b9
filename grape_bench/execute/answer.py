"""Ask a child process a question that needs torch, so that the scheduler need not import it."""

from __future__ import annotations

import pickle
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from grape_bench.errors import UserError
from grape_bench.execute.pool import Pool

_KEY = "question"


def ask(pool: Pool, function: str, *arguments: Any) -> Any:
    """What `function`, "module:name", returns in a child of `pool`; the arguments are JSON types.

    Raises the UserError that it raised, and RuntimeError where the child died of something else.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answer"
        request = {"function": function, "arguments": arguments, "answer": str(path)}
        pool.start(_KEY, "grape_bench.execute.answer:give", request)
        code = None
        while code is None:
            code = dict(pool.ended(None)).get(_KEY)
        if code != 0:
            raise RuntimeError(f"{function} ended with exit code {code}:\n{pool.log()[-4000:]}")
        content = pickle.loads(path.read_bytes())
    if isinstance(content, UserError):
        raise content
    return content


def give(request: dict[str, Any]) -> int:
    """In the child: call the function, write what it returned or the UserError that it raised; the exit code."""
    module, _, name = request["function"].partition(":")
    try:
        content = getattr(import_module(module), name)(*request["arguments"])
    except UserError as error:
        content = error
    Path(request["answer"]).write_bytes(pickle.dumps(content))
    return 0
