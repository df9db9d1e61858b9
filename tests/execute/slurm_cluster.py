"""A single-node Slurm on this machine, for the length of a test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
ABSENT = [program for program in PROGRAMS if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None]

CONFIGURATION = """\
ClusterName=grape-bench-test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=1
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=1000 State=UNKNOWN
PartitionName=small Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def slurm(folder: Path) -> Iterator[None]:
    """Start munged, slurmctld and slurmd with all their files in `folder`; SLURM_CONF names this Slurm."""
    (folder / "state").mkdir(parents=True)
    (folder / "spool").mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(64))
    key.chmod(0o600)
    for parent in (folder, *folder.parents):  # munged refuses a socket that others cannot reach
        if parent.stat().st_uid == os.getuid():
            parent.chmod(parent.stat().st_mode | 0o111)
    host = socket.gethostname().partition(".")[0]
    configuration = folder / "slurm.conf"
    configuration.write_text(CONFIGURATION.format(host=host, folder=folder, ports=_free_ports(2)))
    before = os.environ.copy()
    os.environ.update(SLURM_CONF=str(configuration), PATH=f"{os.environ['PATH']}:/usr/sbin")
    munge = [f"--{name}={folder}/munge.{name.partition('-')[0]}" for name in ("key-file", "socket", "pid-file")]
    munge += [f"--seed-file={folder}/munge.seed", f"--log-file={folder}/munge.log"]
    running: list[subprocess.Popen[bytes]] = []
    try:
        running.append(_start(folder, ["munged", "--foreground", "--force", *munge]))
        _wait_until((folder / "munge.socket").exists, folder)
        running.append(_start(folder, ["slurmctld", "-D", "-i"]))
        running.append(_start(folder, ["slurmd", "-D"]))
        _wait_until(_idle, folder)
        try:
            yield
        finally:
            subprocess.run(["scancel", "--user=root"], timeout=20)  # jobs that a failed test left behind
            _wait_until(_empty, folder)
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait(20)
        os.environ.clear()
        os.environ.update(before)


def _empty() -> bool:
    done = subprocess.run(["squeue", "--noheader"], capture_output=True, text=True, timeout=20)
    return not done.stdout.strip()


def _start(folder: Path, command: list[str]) -> subprocess.Popen[bytes]:
    with (folder / f"{command[0]}.out").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def _idle() -> bool:
    done = subprocess.run(["sinfo", "--noheader", "--format=%T"], capture_output=True, text=True)
    return done.stdout.strip() == "idle"


def _wait_until(condition: Callable[[], bool], folder: Path) -> None:
    for _ in range(200):
        if condition():
            return
        time.sleep(0.1)
    logs = "\n".join(f"{log.name}:\n{log.read_text()[-2000:]}" for log in folder.glob("*.out"))
    raise RuntimeError(f"nothing happened for 20 seconds\n{logs}")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
