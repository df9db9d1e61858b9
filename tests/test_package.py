"""The package as a user gets it: sdist and wheel, and the installed wheel in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import pytest

from tests.test_project import PROJECT

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("package")]


def run(*command: str | Path, cwd: Path) -> str:
    """The output of a command, without this checkout on Python's path."""
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """sdist and wheel, built from the files that git tracks. The wheel is built from the sdist."""
    root, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    archive = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], check=True, capture_output=True).stdout
    for name in archive.decode().split("\0")[:-1]:
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", built, root, cwd=built)
    return {"sdist": next(built.glob("*.tar.gz")), "wheel": next(built.glob("*.whl"))}


@pytest.fixture(scope="module")
def installed(distributions: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel. Its dependencies are those of this environment: PyTorch alone is 5 GB."""
    venv = tmp_path_factory.mktemp("clean") / "venv"
    run(sys.executable, "-m", "venv", venv, cwd=venv.parent)
    run(venv / "bin/pip", "install", "--quiet", "--no-deps", "--no-index", distributions["wheel"], cwd=venv.parent)
    site = next((venv / "lib").glob("python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")  # searched after `site` itself
    return venv / "bin"


def test_twine_finds_nothing_to_complain_about(distributions: dict[str, Path]) -> None:
    output = run(sys.executable, "-m", "twine", "check", "--strict", *distributions.values(), cwd=ROOT)
    assert output.count("PASSED") == 2


def test_the_sdist_has_what_a_packager_needs(distributions: dict[str, Path]) -> None:
    with tarfile.open(distributions["sdist"]) as archive:
        files = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "suites/quickstart.toml"} <= files
    assert {"tests/test_package.py", "grape_bench/py.typed"} <= files


def test_the_installed_command_knows_its_suites_and_rules(installed: Path, tmp_path: Path) -> None:
    assert PROJECT["version"] in run(installed / "grape-bench", "--version", cwd=tmp_path)
    where = run(installed / "python", "-c", "import grape_bench; print(grape_bench.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent)
    assert "_suites/quickstart.toml" in run(installed / "grape-bench", "list", "suites", "quickstart", cwd=tmp_path)


def test_the_installed_package_runs_a_suite_and_a_report(installed: Path, tmp_path: Path) -> None:
    few = ("--only", "bp", "--only", "dfa", "--only", "frozen", "--seeds", "2", "--set", "task.epochs=1")
    run(installed / "grape-bench", "run", "quickstart", *few, "--tracking-uri", "none", cwd=tmp_path)
    records = [json.loads(path.read_text()) for path in tmp_path.glob("runs/quickstart/*/record.json")]
    assert [record["status"] for record in records] == ["finished"] * 12
    assert {record["environment"]["packages"]["grape-bench"] for record in records} == {PROJECT["version"]}
    run(installed / "grape-bench", "report", "runs/quickstart", "-o", "report", cwd=tmp_path)
    assert (tmp_path / "report/README.md").is_file()
