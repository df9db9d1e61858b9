"""Call functions that need torch or the user's code in a child process, which may return, raise UserError or die."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from grape_bench.errors import UserError, log_error, printable, raised, shortened
from grape_bench.execute.child import Child, Send
from grape_bench.execute.outcome import describe
from grape_bench.execute.pool import DiedError, Pool
from grape_bench.execute.start import called
from grape_bench.record.typed_json import ShapeError

_KEY = "question"
_TAIL = 4000  # bytes of the child's output that are kept


def ask(pool: Pool, function: str, *arguments: Any, timeout_s: float | None = None) -> Any:
    """Call `function` ("module:name") in a child of `pool`, with arguments of JSON types, and return its result.

    Raises the UserError that the function raised, TimeoutError if it takes longer than `timeout_s`, or DiedError if
    the child died for another reason. Raises UserError if the folder of temporary files is full.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answer"
        request = {"function": function, "arguments": arguments, "answer": str(path)}
        pool.start(_KEY, f"{__name__}:give", request)
        code, late = None, False
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while code is None:
            left = None if deadline is None or late else max(0.0, deadline - time.monotonic())
            code = dict(pool.ended(left)).get(_KEY)
            if code is None and left == 0:
                late = True
                pool.kill(_KEY)
        if late:
            raise TimeoutError(f"{function} took longer than {timeout_s:g} s")
        if code != 0:
            _check_space(path.with_name("space"))
            raise DiedError(describe(code) + _last_line(pool.log()))
        answer = json.loads(path.read_text(encoding="utf-8"))
    if "error" in answer:
        raise UserError(**answer["error"])
    if "value" not in answer:
        raise DiedError(answer["died"])
    return answer["value"]


def ask_about(pool: Pool, function: str, jobs: Sequence[dict[str, Any]], *more: Any) -> list[Any]:
    """Call `function` on all `jobs` (`Job.to_dict()`) in one child, and return its answer in a list.

    If the child dies, call it in a separate child for each job, because the user's code may do anything, and return one
    answer per job. Raises UserError for a job whose child dies.
    """
    try:
        return [ask(pool, function, jobs, *more)]
    except DiedError as error:
        if len(jobs) > 1:
            return [answer for job in jobs for answer in ask_about(pool, function, [job], *more)]
        raise UserError(
            f"the check of this job failed: {error}",
            where=f"task {jobs[0]['task']!r}, rule {jobs[0]['rule']!r}",
            hint="`grape-bench check RULE`, which tries a rule by itself",
        ) from error


def _check_space(path: Path) -> None:
    """Raise UserError if nothing can be written to `path`, because then this is why the child failed."""
    try:
        path.write_bytes(bytes(1 << 14))
    except OSError as error:
        hint = "free some space there, or set TMPDIR to another folder, then run the same command again to resume"
        raise UserError(f"cannot be written to: {error.strerror}", where=tempfile.gettempdir(), hint=hint) from error


def give(request: dict[str, Any]) -> int:
    """In a child of the fork server: call the function in another child, and write the outcome to a file."""
    printed = b""

    def keep(output: bytes) -> None:
        nonlocal printed
        printed = (printed + output)[-_TAIL:]

    path = Path(request["answer"])
    answers: list[dict[str, Any]] = []
    with closing(Child(f"{__name__}:call", request, keep, path.parent)) as child:
        try:
            answers += (value for kind, value in child.messages() if kind == "answer")
        except ShapeError as error:
            child.kill()
            answers = [{"died": str(error)}]
        code = child.code()
    died = {"died": describe(code) + _last_line(printed.decode(errors="replace"))}
    path.write_text(json.dumps(answers[0] if answers else died), encoding="utf-8")
    return 0


def _last_line(printed: str) -> str:
    lines = printed.split("\n") if printed.strip() else []
    return f" ({shortened(printable(lines[-1] or lines[-2].strip()))})" if lines else ""


def call(request: dict[str, Any], send: Send) -> None:
    """In that other child: call the function, and send its result, its UserError, or the text of another error."""
    try:
        value = called(request["function"])(*request["arguments"])
    except UserError as error:
        send(
            "answer", {"error": {**error.parts, "what": printable(shortened(error.what))}}
        )  # may quote the user's code
    except Exception as error:
        log_error()
        send("answer", {"died": printable(shortened(raised(error)))})
    else:
        send("answer", {"value": value})
