"""Rules that misbehave: what a rule does wrong, and the moment at which it does it.

`write_rules` makes a file with one rule per case. Each rule is DFA until its moment comes. A rule that acts only in a
job leaves the check before the sweep alone: it asks whether its output goes to a job's folder.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

MOMENTS = ("import", "init", "setup", "epoch", "signal", "report", "state")
LATE = ("epoch", "signal")  # moments of training
FINE = r"finished: "


@dataclass(frozen=True)
class Misbehavior:
    """What a rule does: the lines of `act()`, and what becomes of its job: a pattern of "status: reason"."""

    name: str
    act: str
    ends: str


def _case(name: str, ends: str, *lines: str) -> Misbehavior:
    return Misbehavior(name, "\n".join(lines), ends)


RAISES = (
    _case("lone-surrogate", r"crashed: RuntimeError: bad \\ud800 text", 'raise RuntimeError("bad \\ud800 text")'),
    _case(
        "escapes", r"crashed: RuntimeError: \\x1b\]0;t\\x07\\x1b\[2J", 'raise RuntimeError("\\x1b]0;t\\x07\\x1b[2J")'
    ),
    _case("long-text", r"crashed: ValueError: x{100,}.*left out", 'raise ValueError("x" * 50_000_000)'),
    _case(
        "text-that-raises",
        r"crashed: Odd: its text cannot be shown",
        "class Odd(Exception):",
        "    def __str__(self): raise RuntimeError('no text')",
        "raise Odd()",
    ),
    _case("exit-0", r"crashed: the process ended with exit code 0", "sys.exit(0)"),
    _case("exit-text", r"crashed: the process ended with exit code 1", "sys.exit('no')"),
    _case("interrupt", r"crashed: KeyboardInterrupt", "raise KeyboardInterrupt"),
    _case("base", r"crashed: Base: odd", "class Base(BaseException): pass", "raise Base('odd')"),
    _case("memory", r"oom: MemoryError", "raise MemoryError"),
    _case("recursion", r"crashed: RecursionError", "def f(): f()", "f()"),
    _case("group", r"crashed: ExceptionGroup: many", "raise ExceptionGroup('many', [ValueError(1)])"),
)
ENDS = (
    _case("exit-at-once", r"crashed: the process ended with exit code 0", "os._exit(0)"),
    _case("exit-3", r"crashed: the process ended with exit code 3", "os._exit(3)"),
    _case("segfault", r"crashed: killed by SIGSEGV", "import ctypes", "ctypes.string_at(0)"),
    _case("abort", r"crashed: killed by SIGABRT", "os.abort()"),
    _case("kills-itself", r"crashed: killed by SIGKILL", "os.kill(os.getpid(), 9)"),
    _case("kills-its-group", r"crashed: killed by SIGKILL", "os.killpg(0, 9)"),
    _case("kills-its-parent", r"crashed: killed by SIGKILL", "os.kill(os.getppid(), 9)", "time.sleep(600)"),
    _case("sleeps", r"timeout: still running", "time.sleep(600)"),
    _case("loops", r"timeout: still running", "while True: pass"),
    _case(
        "ignores-signals",
        r"timeout: still running",
        "for n in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}: signal.signal(n, signal.SIG_IGN)",
        "time.sleep(600)",
    ),
    _case("child-in-its-session", r"timeout: still running", "os.fork() or os.setsid()", "time.sleep(600)"),
    _case("stops", r"timeout: still running", "os.kill(os.getpid(), signal.SIGSTOP)"),
    _case("eats-memory", r"oom: held", "held = []", "while True: held.append(bytearray(os.urandom(1024)) * 2**14)"),
    _case(
        "prints-much-and-fails",
        r"crashed: RuntimeError: after much",
        "for _ in range(256): sys.stdout.write('x' * (1 << 20))",
        "sys.stdout.flush()",
        "raise RuntimeError('after much')",
    ),
)
AWAY = r"crashed: something else has taken this job's folder away"
CHANGED = r"crashed: something else has changed this job's folder"
TAMPERS = tuple(
    _case(f"{what}-at-{name}", rf"crashed: something else wrote to {re.escape(name)}", *lines)
    for name in ("progress.json", "record.json", "curve.csv")
    for what, lines in {
        "garbage": (f"open(here() + '/{name}', 'w').write('{{\"epoch\":')",),
        "folder": (
            f"if os.path.lexists(here() + '/{name}'): os.remove(here() + '/{name}')",
            f"os.mkdir(here() + '/{name}')",
        ),
        "fifo": (
            f"if os.path.lexists(here() + '/{name}'): os.remove(here() + '/{name}')",
            f"os.mkfifo(here() + '/{name}')",
        ),
        "deep-json": (f"open(here() + '/{name}', 'w').write('[' * 100_000)",),
        "other-json": (f"open(here() + '/{name}', 'w').write('{{\"epoch\": [], \"epochs\": 0}}')",),
        "link": (
            f"if os.path.lexists(here() + '/{name}'): os.remove(here() + '/{name}')",
            f"os.symlink('/dev/zero', here() + '/{name}')",
        ),
    }.items()
)
FILES = (
    *TAMPERS,
    _case("deletes-its-folder", AWAY, "shutil.rmtree(here())"),
    _case("moves-its-folder", AWAY, "os.rename(here(), here() + '.moved')"),
    _case(
        "links-its-folder",
        CHANGED,
        "shutil.rmtree(home := here())",
        "os.symlink('/', home)",
    ),
    _case("read-only-folder", CHANGED, "os.chmod(here(), 0o500)"),
)
PATCHES = (
    _case("patches-argmax", r"crashed: RuntimeError: torch.Tensor.argmax has", "torch.Tensor.argmax = torch_sum"),
    _case("patches-sum", r"crashed: RuntimeError: torch.Tensor.sum has been", "torch.Tensor.sum = torch_sum"),
    _case(
        "patches-item",
        r"crashed: RuntimeError: torch.Tensor.item has been",
        "torch.Tensor.item = torch.Tensor.__float__ = lambda self: 1e9",
    ),
    _case(
        "patches-the-metric",
        r"crashed: validation_accuracy is 1e\+09, and accuracy is 0 to 100",
        "from grape_bench.objectives.classification import Classification",
        "Classification.value = lambda *a: 1e9",
    ),
    _case(
        "patches-the-test",
        r"crashed: result.test is 101, and accuracy is 0 to 100",
        "import grape_bench.job.run as run",
        "old = run.result_of",
        "run.result_of = lambda *a: {**old(*a), 'test': 101.0}",
    ),
    _case(
        "patches-the-result",
        r"crashed: TypeError: must be real number, not str",
        "import grape_bench.job.run as run",
        "run.result_of = lambda *a: {'test': 'all', 'validation': 1.0, 'train_loss': 1.0}",
    ),
    _case("patches-json", FINE, "json.dump = json.dumps = json.loads = lambda *a, **k: None"),
    _case("patches-os", FINE + "|crashed: ", "os.replace = os.rename = os.open = os.write = lambda *a, **k: None"),
    _case("patches-exit", FINE, "os._exit = sys.exit = lambda *a: None"),
    _case("patches-open", FINE + "|crashed: ", "builtins.open = lambda *a, **k: None"),
    _case("patches-print", FINE, "builtins.print = traceback.print_exc = None"),
    _case(
        "patches-time",
        r"crashed: (seconds|time\.\w+) is -\S+, so something has changed the clock|" + FINE,
        "time.time = time.perf_counter = time.monotonic = lambda: 0.0",
    ),
    _case(
        "patches-path",
        FINE + "|crashed: TypeError",
        "pathlib.Path.open = pathlib.Path.replace = pathlib.Path.unlink = None",
    ),
    _case(
        "patches-record", FINE, "import grape_bench.record.write as w", "w.write_json = w.replacing = w.dumps = None"
    ),
)
STRAYS = (
    _case("changes-folder", FINE, "os.chdir('/')"),
    _case("forks", FINE + "|crashed: |timeout: ", "os.fork()"),
    _case("changes-handlers", FINE, "for n in (2, 15, 17): signal.signal(n, signal.SIG_IGN)"),
    _case("closes-files", r"crashed: the process ended with exit code 1|" + FINE, "os.closerange(3, 1024)"),
    _case("closes-output", FINE, "os.close(1)", "os.close(2)"),
    _case("replaces-stdout", FINE, "sys.stdout = sys.stderr = None"),
    _case("odd-stdout", FINE, "sys.stdout = sys.stderr = object()"),
    _case("prints-much", FINE, "for _ in range(256): sys.stdout.write('x' * (1 << 20))"),
    _case("thread", FINE, "threading.Thread(target=time.sleep, args=(600,)).start()"),
    _case("daemon", FINE, "subprocess.Popen(['sleep', '613'], start_new_session=True)"),
    _case("many-files", FINE + "|crashed: ", "global held", "held = [os.dup(0) for _ in range(500)]"),
    _case("few-files", FINE + "|crashed: ", "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))"),
    _case("file-size", FINE + "|crashed: ", "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"),
    _case("umask", FINE, "os.umask(0o777)"),
    _case("environment", FINE, "os.environ.clear()"),
    _case("exit-handler", FINE, "atexit.register(time.sleep, 600)"),
    _case("hook", FINE, "sys.excepthook = sys.unraisablehook = None"),
    _case("garbage-collector", FINE, "import gc", "gc.set_threshold(1)"),
    _case(
        "alarm", r"crashed: killed by SIGALRM|" + FINE, "signal.setitimer(signal.ITIMER_REAL, 0.01)", "time.sleep(0.1)"
    ),
)
MISBEHAVIORS = (*RAISES, *ENDS, *FILES, *PATCHES, *STRAYS)

_HEAD = '''\
import atexit, builtins, json, os, pathlib, resource, shutil, signal, subprocess, sys, threading, time, traceback
import torch
import grape_bench as gb


def torch_sum(self, *a, **k):
    return torch.sum(self) * 1e6


def here():
    """The job's folder, from where the output goes."""
    return os.path.dirname(os.readlink("/proc/self/fd/2"))


def in_job():
    return os.path.basename(here()).startswith("digits-mlp.")


class Acts(gb.DirectFeedback):
    moment, calls, only_in_job = "", 0, True

    def __init__(self):
        super().__init__()
        self.at("init")

    def setup(self, network):
        super().setup(network)
        self.at("setup")

    def begin_epoch(self, network, batches):
        self.at("epoch")

    def signal(self, block, error):
        type(self).calls += 1
        if type(self).calls == 3:
            self.at("signal")
        return self.project(error, block)

    def kept_feedback(self, network):
        self.at("report")
        return super().kept_feedback(network)

    def state(self):
        self.at("state")
        return super().state()

    def at(self, moment):
        if moment == self.moment and (in_job() or not self.only_in_job):
            type(self).moment = ""  # once
            self.act()
'''


@dataclass(frozen=True)
class Case:
    """A misbehavior at a moment. Unless `everywhere`, the rule behaves in the check before the sweep."""

    what: Misbehavior
    moment: str
    everywhere: bool = False

    @property
    def name(self) -> str:
        """The name of the class."""
        where = "Everywhere" if self.everywhere else ""
        return "".join(word.title() for word in re.split("[-.]", f"{self.what.name}-{self.moment}")) + where

    @property
    def ends(self) -> str:
        """What becomes of the job: a pattern of "status: reason"."""
        ends = self.what.ends
        if self.moment in ("import", "init"):
            ends = ends.replace("crashed: ", "crashed: .*")  # behind the name of the file or rule
        if self.moment in ("report", "state") and self.what in RAISES:
            ends += "|" + FINE  # only this part of the record, or a checkpoint, is lost
        return ends

    @property
    def source(self) -> str:
        """The class, and for the moment "import" also what happens there."""
        body = "\n".join(f"        {line}" for line in self.what.act.splitlines())
        lines = [f"class {self.name}(Acts):", f'    moment, only_in_job = "{self.moment}", {not self.everywhere}']
        lines += ["", "    def act(self):", body, ""]
        if self.moment == "import":
            lines += [f"if in_job() or {self.everywhere}:", f"    {self.name}.act(None)", ""]
        return "\n".join(lines)


def write_rule(folder: Path, case: Case) -> str:
    """Write the rule of `case` to a file of its own and return its reference."""
    path = folder / f"{case.name}.py"
    path.write_text(f"{_HEAD}\n\n{case.source}", encoding="utf-8")
    return f"{path}:{case.name}"


def combinations(seed: int, count: int, among: Sequence[Misbehavior] = MISBEHAVIORS) -> Iterator[Case]:
    """`count` different cases, drawn with `seed`."""
    every = [Case(what, moment) for what in among for moment in MOMENTS]
    yield from random.Random(seed).sample(every, count)


def suite(folder: Path, rules: Sequence[str]) -> Path:
    """A tiny suite with bp and the `rules`."""
    path = folder / "acts.toml"
    listed = ", ".join(f'"{rule}"' for rule in ("bp", *rules))
    path.write_text(
        f'name = "acts"\nversion = "1.0"\nrules = [{listed}]\nseeds = 1\nfeatures = false\n'
        '[[task]]\nname = "digits-mlp"\nmodel = "mlp"\nmodel_args = { hidden = [8, 8] }\ndataset = "digits"\n'
        'epochs = 2\nbatch_size = 256\noptimizer = { name = "sgd", lr = 0.1 }\n',
        encoding="utf-8",
    )
    return path
