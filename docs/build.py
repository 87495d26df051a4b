"""Build the documentation site and check it: ``pip install -e ".[docs]" && python docs/build.py``.

Writes ``docs/_build/html``; open its ``index.html``. Needs no network, executes no notebook, and fails on any warning
of Sphinx, on a link that leads nowhere, on anything loaded from elsewhere, and on a formula that cannot be set.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the documentation site and check it.")
    parser.add_argument("--out", type=Path, default=HERE / "_build" / "html", help="the folder to write")
    parser.add_argument(
        "--fresh", action="store_true", help="forget earlier builds: read and write every page"
    )
    args = parser.parse_args()
    args.out = args.out.resolve()
    doctrees = args.out.parent / "doctrees"
    if args.fresh:
        for folder in (args.out, doctrees):
            shutil.rmtree(folder, ignore_errors=True)
    began = time.perf_counter()
    sphinx = [sys.executable, "-m", "sphinx", "-b", "html", "-n", "-W", "--keep-going", "-q"]
    folders = ["-c", HERE, "-d", doctrees, HERE.parent, args.out]
    built = subprocess.run(
        [*sphinx, *folders], check=False, cwd=HERE.parent
    )  # the package beside us is described
    if built.returncode > 1:  # it broke off; 1 is for warnings
        return built.returncode
    checked = subprocess.run([sys.executable, HERE / "check.py", args.out], check=False)
    if not built.returncode and not checked.returncode:
        print(f"built in {time.perf_counter() - began:.0f} s: {args.out / 'index.html'}")
    return built.returncode or checked.returncode


if __name__ == "__main__":
    sys.exit(main())
