"""One library in one process: the side that asks. The side that answers is `worker`."""

import json
import subprocess
import sys
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from npdsconv.runs import processes

# How many threads a matrix product takes is read from these when a process starts.
_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_ERRORS: dict[str, type[Exception]] = {
    e.__name__: e for e in (ValueError, TypeError, FloatingPointError, OSError)
}


class Process:
    """A fresh Python in which one library runs, on so many threads.

    Questions and answers are lines of JSON through its standard input and output. Between two questions it sleeps.

    Parameters
    ----------
    library : "npdsconv", "torch", "onnxruntime" or "machine"
    threads : int
    keep : whether it keeps freed memory, see `npdsconv.malloc`
    """

    def __init__(self, library: str, threads: int, *, keep: bool = True) -> None:
        self.library, self.threads = library, threads
        environment = processes.environment() | dict.fromkeys(_POOLS, str(threads))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "npdsconv.bench.worker", library, str(threads), str(int(keep))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
            start_new_session=True,  # Ctrl-C is for the side that asks, which then closes the pipe
        )
        try:
            self.versions: dict[str, str] = self.ask("versions")
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, do: str, **arguments: Any) -> Any:
        """What the worker's function `do` returns; what it raises is raised here."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self._process.wait()
            raise ChildProcessError(
                f"bench: the process that runs {self.library} ended with exit code {code}"
            )
        answer = json.loads(line)
        if "error" in answer:
            if answer["kind"] in _ERRORS:
                raise _ERRORS[answer["kind"]](answer["error"])
            raise ChildProcessError(f"{answer['kind']}: {answer['error']}")
        return answer["result"]

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with suppress(BrokenPipeError):
                    pipe.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
