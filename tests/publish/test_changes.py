"""A submission adds whole publications. Everything else in it is refused, with the reason."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.publish.changes import submitted

MINE = "results/quickstart/Mine"


def git(repository: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=x", "-c", "user.email=x@x", "-c", "protocol.file.allow=always"]
    subprocess.run(["git", "-C", str(repository), *identity, *arguments], check=True, capture_output=True)


def write(path: Path, text: str = "x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A branch `main` with shipped results and a publication, and a branch that adds another one."""
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    write(root / "suites/quickstart.toml")
    write(root / "results/quickstart/runs/a/record.json")
    write(root / "results/quickstart/Other/index.json")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "base")
    git(root, "checkout", "-qb", "submission")
    for name in ("index.json", "rule.toml", "runs/job/record.json"):
        write(root / MINE / name)
    return root


def commit(root: Path) -> None:
    git(root, "add", "-Af")
    git(root, "commit", "-qm", "submission")


def test_a_new_publication_is_found(repository: Path) -> None:
    commit(repository)
    assert submitted(repository, "main") == [repository / MINE]


def test_every_new_publication_is_found(repository: Path) -> None:
    write(repository / "results/quickstart/AAA/index.json")
    write(repository / "results/quickstart/zzz/index.json")
    commit(repository)
    assert [folder.name for folder in submitted(repository, "main")] == ["AAA", "Mine", "zzz"]


def test_what_main_did_meanwhile_does_not_count(repository: Path) -> None:
    commit(repository)
    git(repository, "checkout", "-q", "main")
    write(repository / "README.md")
    commit(repository)
    git(repository, "checkout", "-q", "submission")
    assert submitted(repository, "main") == [repository / MINE]


def link(target: str, path: str) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).symlink_to(target)

    return make


def executable(root: Path) -> None:
    write(root / MINE / "run.sh")
    (root / MINE / "run.sh").chmod(0o755)


def submodule(root: Path) -> None:
    git(root, "clone", "-q", str(root), str(root / MINE / "inner"))


def moved(root: Path) -> None:
    git(root, "mv", "results/quickstart/Other/index.json", f"{MINE}/runs/other.json")


OTHER = "outside results/SUITE/RULE, or an unusual name"
WAYS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a folder that is a link": (link("Other", "results/quickstart/Linked"), "not a regular file"),
    "a suite that is a link": (link("quickstart", "results/again"), "not a regular file"),
    "a file that is a link": (link("/etc/passwd", f"{MINE}/table.csv"), "not a regular file"),
    "an executable": (executable, "not a regular file"),
    "another repository": (submodule, "not a regular file"),
    "a name that is not ASCII": (lambda root: write(root / "results/quickstart/Mіne/index.json"), OTHER),
    "a name with a space": (lambda root: write(root / "results/quickstart/Mi ne/index.json"), OTHER),
    "a name with a line break": (lambda root: write(root / "results/quickstart/Mi\nne/index.json"), OTHER),
    "bytes that are no text": (lambda root: write(root / os.fsdecode(b"results/quickstart/M\xff/index.json")), OTHER),
    "a hidden folder": (lambda root: write(root / "results/quickstart/.Mine/index.json"), OTHER),
    "an option as a name": (lambda root: write(root / "results/quickstart/--rerun/index.json"), OTHER),
    "a file beside the publications": (lambda root: write(root / "results/quickstart/table.csv"), OTHER),
    "a changed suite": (lambda root: write(root / "suites/quickstart.toml", "y"), OTHER),
    "a workflow": (lambda root: write(root / ".github/workflows/own.yml"), OTHER),
    "attributes for git": (lambda root: write(root / ".gitattributes"), OTHER),
    "code": (lambda root: write(root / "grape_bench/errors.py"), OTHER),
    "a shipped record": (lambda root: write(root / "results/quickstart/runs/a/record.json", "y"), "already here"),
    "a new shipped record": (lambda root: write(root / "results/quickstart/runs/b/record.json"), "already here"),
    "somebody's publication": (lambda root: write(root / "results/quickstart/Other/rule.toml"), "already here"),
    "the same name in another case": (lambda root: write(root / "results/quickstart/other/index.json"), "already here"),
    "a deleted publication": (
        lambda root: (root / "results/quickstart/Other/index.json").unlink(),
        "a submission deletes nothing",
    ),
    "a moved publication": (moved, "a submission deletes nothing"),
    "its own badge": (lambda root: write(root / "results/verifications/mine/index.json"), "only a maintainer"),
    "an old version": (lambda root: write(root / "results/superseded/core/index.json"), "only a maintainer"),
    "a folder without an index": (lambda root: write(root / "results/quickstart/Zzz/rule.toml"), "no index.json"),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_everything_else_is_refused(repository: Path, way: str) -> None:
    change, reason = WAYS[way]
    change(repository)
    commit(repository)
    with pytest.raises(UserError, match=reason):
        submitted(repository, "main")


def test_an_unknown_base(repository: Path) -> None:
    commit(repository)
    with pytest.raises(UserError, match="git: "):
        submitted(repository, "nowhere")


def test_the_workflow_runs_pinned_actions_with_least_permission() -> None:
    text = (Path(__file__).parents[2] / ".github/workflows/submission.yml").read_text()
    used = [line.split("uses:")[1].strip() for line in text.splitlines() if "uses:" in line]
    assert used and all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[0-9.]+", one) for one in used)
    assert "permissions: {}" in text and "contents: read" in text and "write" not in text and "${{ secrets" not in text
    assert "index-url" not in text and 'grape-bench verify --since "$BASE"' in text
