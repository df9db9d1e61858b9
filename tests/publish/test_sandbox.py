"""Code in a sandbox reaches none of its auditor's files, variables or network, and cannot exceed its limits."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

import pytest

from grape_bench.publish.sandbox import Limits, Sandbox, missing

isolated = pytest.mark.skipif(bool(missing()), reason=missing() or "isolation is available")
ENOUGH = Limits(60, 2**30, 2**26)


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOKEN", "the auditor's")
    (tmp_path / "inside").mkdir()
    path = tmp_path / "outside.txt"
    path.write_text("the auditor's")
    return path


def sandbox(
    secret: Path, limits: Limits = ENOUGH, *, confined: bool = True, readable: tuple[Path, ...] = ()
) -> Sandbox:
    return Sandbox(secret.parent / "inside", limits, readable, {"GIVEN": "1"}, confined=confined)


def said(place: Sandbox, code: str) -> str:
    assert place.python("-c", code) == ""
    return (place.folder / "output.txt").read_text()


@pytest.mark.parametrize("confined", [pytest.param(True, marks=isolated), False])
def test_the_environment_is_empty(secret: Path, confined: bool) -> None:
    place = sandbox(secret, confined=confined)
    found = said(place, "import os; print(sorted(os.environ), os.environ['HOME'])")
    names = {"PATH", "HOME", "TMPDIR", "LANG", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "GIVEN", "LC_CTYPE", "PWD"}
    assert "TOKEN" not in found and set(eval(found[: found.index("]") + 1])) <= names
    assert str(place.folder) in found


@isolated
def test_other_files_are_not_there(secret: Path) -> None:
    assert said(sandbox(secret), f"import os; print(os.path.exists({str(secret)!r}))") == "False\n"


@isolated
def test_what_is_readable_cannot_be_written(secret: Path) -> None:
    place = sandbox(secret, readable=(secret,))
    assert said(place, f"print(open({str(secret)!r}).read())") == "the auditor's\n"
    assert "Read-only" in place.python("-c", f"open({str(secret)!r}, 'w')")
    assert secret.read_text() == "the auditor's"


@isolated
def test_its_folder_is_the_only_one_that_stays(secret: Path) -> None:
    code = "open('kept', 'w').write('x'); open('/tmp/sandbox-left', 'w').write('x')"
    assert sandbox(secret).python("-c", code) == ""
    assert (secret.parent / "inside" / "kept").read_text() == "x"
    assert not Path("/tmp/sandbox-left").exists()


@isolated
def test_there_is_no_network(secret: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        failed = sandbox(secret).python("-c", f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)")
    assert "refused" in failed or "unreachable" in failed


@isolated
def test_it_sees_no_process_of_ours(secret: Path) -> None:
    assert int(said(sandbox(secret), "import os; print(sum(name.isdigit() for name in os.listdir('/proc')))")) < 5


@pytest.mark.parametrize("confined", [pytest.param(True, marks=isolated), False])
@pytest.mark.parametrize(
    ("code", "limits", "reason"),
    [
        ("while True: pass", Limits(1, 2**30, 2**26), "more than 1 s"),
        ("x = bytearray(400 * 2**20); import time; time.sleep(30)", Limits(30, 2**28, 2**26), "0.2 GiB of memory"),
        ("open('big', 'wb').write(bytes(2**26)); import time; time.sleep(30)", Limits(30, 2**30, 2**25), "it wrote"),
        ("raise SystemExit(3)", ENOUGH, "exit code 3: no output"),
        ("raise ValueError('wrong')", ENOUGH, "exit code 1: ValueError: wrong"),
    ],
)
def test_what_fails_says_why(secret: Path, code: str, limits: Limits, reason: str, confined: bool) -> None:
    assert reason in sandbox(secret, limits, confined=confined).python("-c", code)


@pytest.mark.parametrize("confined", [pytest.param(True, marks=isolated), False])
def test_nothing_that_it_started_outlives_it(secret: Path, confined: bool) -> None:
    place = sandbox(secret, confined=confined)
    late = "import time; time.sleep(0.7); open('late', 'w')"
    assert place.python("-c", f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {late!r}])") == ""
    time.sleep(1)
    assert not (place.folder / "late").exists()


def test_without_bubblewrap_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    missing.cache_clear()
    monkeypatch.setenv("PATH", "")
    assert missing() == "bubblewrap is not installed (apt install bubblewrap)"
    missing.cache_clear()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert missing() == "bubblewrap runs on Linux only"
    missing.cache_clear()
