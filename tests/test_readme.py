"""The README's code and commands run as printed, one after the other in one folder."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    shlex.split(line.partition("  #")[0])
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("grape-bench")
]
COMMIT = "0123456789" * 4
"""What records name, as from a clean checkout, because `publish` refuses a changed one."""
NEEDS_DATA = ("vision-small", "cifar10")
"""Commands with these words need data sets, and `run` takes long with them."""


def test_the_code_on_the_first_screen_aligns_the_feedback(capsys: pytest.CaptureFixture[str]) -> None:
    exec(CODE[0], {})
    cosines = eval(capsys.readouterr().out)
    assert len(cosines) == 5 and all(0.2 < value < 1 for value in cosines.values())
    assert len([line for line in CODE[0].splitlines() if line]) == 12


def test_the_citation_is_that_of_the_project() -> None:
    (entry,) = re.findall(r"```bibtex\n(.*?)```", README, re.DOTALL)
    cited = dict(re.findall(r"(\w+) = \{+(.*?)\}+", entry))
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (
        cited["version"]
        == citation["version"]
        == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    )
    assert cited["author"] == citation["authors"][0]["name"] and cited["title"].startswith(citation["title"])


@pytest.mark.slow
def test_the_commands_run_one_after_the_other(tmp_path: Path) -> None:
    """The setup, which continuous integration runs, and commands that need data are left out."""
    (tmp_path / "centered_dfa.py").write_text(CODE[1])
    (tmp_path / "claims").symlink_to(ROOT / "claims")  # a reader is in the clone
    commands = [command for command in COMMANDS if not any(word in NEEDS_DATA for word in command)]
    assert len(commands) >= 10
    for command in [["grape-bench", "run", "quickstart"], *commands]:
        ran = subprocess.run(
            [sys.executable, "-m", "grape_bench", *command[1:]],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "GRAPE_BENCH_COMMIT": COMMIT},
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, f"{shlex.join(command)}\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}"
