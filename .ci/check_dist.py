"""Check a folder with an sdist and a wheel: ``python .ci/check_dist.py dist``.

The sdist has every file that git tracks, and so the tests with all that they need; the wheel has every file of the
package. Both have nothing else but metadata. A file that setuptools leaves out is missed only by whoever installs.
"""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path


def main(folder: Path) -> None:
    """Compare both archives with the checkout in the current folder; exits with a list of what is wrong."""
    listed = subprocess.run(["git", "ls-files"], check=True, capture_output=True, text=True).stdout
    tracked = set(listed.splitlines())
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    with tarfile.open(sdist) as archive:
        files = {name.partition("/")[2] for name in archive.getnames() if archive.getmember(name).isfile()}
    made = {"PKG-INFO", *(name for name in files if name.startswith("npdsconv.egg-info/"))}
    wrong = compare(sdist, files - made, tracked)
    with zipfile.ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
    wrong += compare(wheel, files, {name for name in tracked if name.startswith("npdsconv/")})
    if wrong:
        sys.exit("\n".join(wrong))


def compare(archive: Path, found: set[str], expected: set[str]) -> list[str]:
    """What is missing and what is too much, a line for each; the archive's size where all is well."""
    missing = [f"{archive.name}: {name} is missing" for name in sorted(expected - found)]
    extra = [f"{archive.name}: {name} is not tracked by git" for name in sorted(found - expected)]
    if not missing + extra:
        print(f"{archive.name}: {len(found)} files, {archive.stat().st_size / 1e6:.1f} MB")
    return missing + extra


if __name__ == "__main__":
    main(Path(sys.argv[1]))
