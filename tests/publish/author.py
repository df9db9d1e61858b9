"""An author whose machine, account and repository have names that no other text has."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

PLANTED = ("zelda", "quixote", "windmill7", "mancha", "dulcinea", "rocinante")
"""What must not reach a reader: parts of the login, name, host, address and remote below."""


def become(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be Zelda Quixote, whose repository is `folder`/home/zelda/thesis. Returns it."""
    home = folder / "home" / "zelda"
    repository = home / "thesis"
    repository.mkdir(parents=True)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "zelda")
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://rocinante.mancha.example:5000")
    monkeypatch.setattr("socket.gethostname", lambda: "windmill7.mancha.example")
    remote = "git@github.com:dulcinea-lab/thesis.git"
    settings = {"user.name": "Zelda M. Quixote", "user.email": "zq@mancha.example", "remote.origin.url": remote}
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    for key, value in settings.items():
        subprocess.run(["git", "-C", str(repository), "config", key, value], check=True)
    monkeypatch.chdir(repository)
    return repository
