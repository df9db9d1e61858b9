import os
import re
from pathlib import Path

from grape_bench.execute.capped_log import CappedLog


def test_a_short_output_is_kept_as_it_is(tmp_path: Path) -> None:
    log = CappedLog(tmp_path / "log", head=10, tail=20)
    for part in (b"one\n", b"two\n"):
        log.write(part)
    log.close()
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"


def test_of_a_long_output_head_and_tail_are_kept_and_the_rest_is_counted(tmp_path: Path) -> None:
    output = b"".join(b"%07d\n" % number for number in range(5000))
    log = CappedLog(tmp_path / "log", head=80, tail=160)
    for start in range(0, len(output), 100):
        log.write(output[start : start + 100])
        assert (tmp_path / "log").stat().st_size <= 80 + 2 * 160 + 50
    log.close()
    text = (tmp_path / "log").read_bytes()
    head, left_out, tail = re.fullmatch(
        rb"(.{80})\n\[\.\.\. ([\d,]+) bytes left out \.\.\.\]\n(.*)", text, re.S
    ).groups()
    assert output.startswith(head) and output.endswith(tail) and len(tail) >= 160
    assert int(left_out.replace(b",", b"")) == len(output) - len(head) - len(tail)


def test_processes_of_one_job_share_a_log(tmp_path: Path) -> None:
    logs = [CappedLog(tmp_path / "log", how, head=100, tail=100) for how in (os.O_TRUNC, 0)]
    for number, log in enumerate(logs):
        log.write(b"process %d\n" % number)
        log.close()
    assert (tmp_path / "log").read_text() == "process 0\nprocess 1\n"
