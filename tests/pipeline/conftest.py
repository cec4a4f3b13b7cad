"""The command line as a fixture: real processes, forked from one that has loaded everything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
SPECS = HERE / "specs"


@dataclass(frozen=True)
class Done:
    """A finished command; a negative code is the signal that ended it."""

    code: int
    out: str
    err: str


class CommandLine:
    """Runs `lamella` in a child of the server, in its own folder."""

    def __init__(self, folder: Path) -> None:
        # One thread: the sums of a run are then the same whatever else the machine does.
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.folder = folder
        self.server = subprocess.Popen(
            [sys.executable, str(HERE / "server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self._line() == "ready"

    def __call__(self, *argv: object, file_bytes: int | None = None) -> Done:
        return self.until(lambda folder: False, *argv, file_bytes=file_bytes)

    def until(
        self,
        moment: Callable[[Callable[[], bool]], object],
        *argv: object,
        file_bytes: int | None = None,
    ) -> Done:
        """Starts a run, waits for `moment`, and kills what is left of the run then.

        `moment` gets a function that says whether the run is still going; a result that is true
        kills the run.
        """
        job: dict[str, Any] = {
            "argv": [str(each) for each in argv],
            "cwd": str(self.folder),
            "out": str(self.folder / "stdout"),
            "err": str(self.folder / "stderr"),
            "file_bytes": file_bytes,
        }
        Path(job["err"]).unlink(missing_ok=True)
        assert self.server.stdin is not None
        print(json.dumps(job), file=self.server.stdin, flush=True)
        process = int(self._line())
        while not Path(job["err"]).exists():
            time.sleep(0.001)
        if moment(lambda: _runs(process)):
            os.kill(process, signal.SIGKILL)
        code = int(self._line())
        return Done(code, Path(job["out"]).read_text(), Path(job["err"]).read_text())

    def close(self) -> None:
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()

    def _line(self) -> str:
        assert self.server.stdout is not None
        return self.server.stdout.readline().strip()


def _runs(process: int) -> bool:
    """Whether a process is neither gone nor a zombie that its parent has not fetched yet."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.fixture(scope="session")
def lamella(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    command = CommandLine(tmp_path_factory.mktemp("commands"))
    yield command
    command.close()


@pytest.fixture(scope="session")
def specs() -> Path:
    return SPECS


@pytest.fixture(scope="session")
def finished(lamella: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of an undisturbed run on the small classifier."""
    out = tmp_path_factory.mktemp("tiny") / "out"
    done = lamella("optimize", SPECS / "tiny.py", "--max-drop", 0.02, "-o", out, "--rounds", 5)
    assert done.code == 0, done.err
    return out
