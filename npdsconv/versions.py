"""What runs here: the package and its commit, what it stands on, and the machine.

`show_versions` prints it for a report of a mistake; the records of `npdsconv.bench` keep the commit and the processor.
"""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from npdsconv import environment

PACKAGE = Path(__file__).resolve().parent
DEPENDENCIES = ("numpy", "numba", "llvmlite", "matplotlib")  # those that results and speed depend on


def describe(version: str) -> dict[str, str]:
    """Everything by name, in the order in which `npdsconv.show_versions` prints it.

    Parameters
    ----------
    version : the version of the package
    """
    return {
        "npdsconv": f"{version}, commit {commit()}" if commit() else version,
        "folder": str(PACKAGE),
        "python": f"{platform.python_version()}, {sys.executable}",
        **{name: _installed(name) for name in DEPENDENCIES},
        "system": platform.platform(terse=True),
        "processor": processor(),
        "cores": str(cores()),
        **_compiler(),
    }


def commit(package: Path = PACKAGE) -> str | None:
    """The commit of the checkout that the package lies in, with "+changes" where its files differ from that commit.

    None for an installed package, and where git cannot say. The folder above the package has to be the checkout: an
    environment may lie inside somebody else's repository.
    """
    if not (package.parent / ".git").exists():
        return None
    try:
        name = _git(package, "rev-parse", "--short", "HEAD")
        changed = _git(package, "status", "--porcelain", "--", ".")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{name}+changes" if changed else name


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(
        command, check=True, capture_output=True, encoding="utf-8", errors="replace"
    ).stdout.strip()


def processor() -> str:
    """Its name, and the width of its vectors where the system says so."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        text = info.read_text(encoding="utf-8", errors="replace")
        names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
        wide = " (AVX-512)" if "avx512f" in text else " (AVX2)" if "avx2" in text else ""
        if names:
            return names[0] + wide
    return platform.processor() or platform.machine()


def cores() -> int:
    """Cores that this process may use, or as many as NUMBA_NUM_THREADS says."""
    if wanted := environment.threads():
        return wanted
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _compiler() -> dict[str, str]:
    """What Numba and LLVM chose here; a broken Numba is a reason to ask for versions, so it is said and not raised."""
    try:
        from npdsconv.kernels.machine import chosen

        return {"compiled for": chosen.processor(), "threading layer": chosen.threading_layer()}
    except (ImportError, OSError, ValueError) as error:
        return {"compiled for": f"nothing: {error}"}
