"""The one place that decides how kernels are compiled, cached, launched and threaded.

``@serial`` compiles a small function that kernels call in their inner loops. ``@kernel`` compiles a parallel loop
(``prange``) and guards its launch:

* one launch at a time (Numba's workqueue layer aborts the process when two Python threads launch at once);
* on as many threads as :func:`set_num_threads` said, or as there are pieces of work: a thread that would find nothing
  to do costs more to wake than a small kernel takes.

No kernel calls BLAS. Two thread pools fight: BLAS workers keep spinning after a product and take the core that Numba
needs. And for tall, narrow products ours are faster (:mod:`micro_kernel`). The user's BLAS settings are never touched.

Results do not depend on the number of threads: kernels split their work by the problem's shape alone, each
iteration owns what it writes, and partial sums are added in a fixed order.
"""

import hashlib
import os
import pickle
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import numba
from numba import prange
from platformdirs import user_cache_path

__all__ = [
    "cache_folder",
    "each",
    "get_num_threads",
    "is_missing",
    "kernel",
    "prange",
    "serial",
    "set_num_threads",
]

_LAUNCH = threading.Lock()
_DAMAGED = (EOFError, pickle.UnpicklingError, ImportError, AttributeError, IndexError, ValueError)
_KEPT_DIGESTS = 3
_CONFIG: Any = numba.config

# No fastmath=True, which makes isnan(x) false; contraction (a fused multiply-add) is all our loops want.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
# Only prange is parallel: array expressions stay serial, which also halves the time to compile.
_PRANGE_ONLY = dict.fromkeys(
    ("comprehension", "reduction", "inplace_binop", "setitem", "numpy", "stencil", "fusion"), False
) | {"prange": True}


# ---- the cache of compiled code -------------------------------------------------------------------------------


def _make_folder() -> Path | None:
    """A folder for this very version of the kernels, or None where nothing can be written.

    Numba's own cache does not notice an edited callee in another file. A folder named after a digest of every
    kernel source does.
    """
    sources = sorted(Path(__file__).parents[1].rglob("*.py"))
    digest = hashlib.sha256(b"\0".join(p.read_bytes() for p in sources)).hexdigest()[:16]
    # Others may use NUMBA_CACHE_DIR too: old digests are looked for in a folder of our own.
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    base = Path(chosen, "npdsconv") if chosen else user_cache_path("npdsconv") / "numba"
    folder = base / digest
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(1 << 20))  # on a full disk a file can be made, but not filled
        os.utime(folder)
        digests = [p for p in base.iterdir() if p.is_dir() and len(p.name) == len(digest)]
        for old in sorted(digests, key=lambda p: p.stat().st_mtime)[:-_KEPT_DIGESTS]:
            shutil.rmtree(old, ignore_errors=True)
    except OSError:
        return None
    return folder


_FOLDER = _make_folder()


def cache_folder() -> Path | None:
    """Where compiled code is kept, or None where nothing can be written."""
    return _FOLDER


def is_missing(launch: Any) -> bool:
    """Whether a kernel has still to be compiled, for any dtype, and would then be kept in the cache."""
    if _FOLDER is None or _CONFIG.DISABLE_JIT:
        return False
    function = launch.__wrapped__
    name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
    return not any(_FOLDER.rglob(f"{name}-*.nbi"))


@contextmanager
def _caching_here() -> Iterator[None]:
    """Numba reads its cache folder from a global setting, at decoration; it is set only for that moment."""
    before, _CONFIG.CACHE_DIR = _CONFIG.CACHE_DIR, str(_FOLDER or "")
    try:
        yield
    finally:
        _CONFIG.CACHE_DIR = before


# LLVM's level for a launch that has to compile: 2 takes a fifth less time than 3, and the loops are as fast. They say
# themselves what to unroll and which vectors to use, so level 3 finds nothing to do in them.
_LEVEL = type(_CONFIG.OPT)(min(_CONFIG.OPT, 2))


def _wipe_cache() -> None:
    if _FOLDER is not None:
        shutil.rmtree(_FOLDER, ignore_errors=True)
        _FOLDER.mkdir(parents=True, exist_ok=True)


# ---- the two decorators ---------------------------------------------------------------------------------------


def serial(function: Callable | None = None, *, inline: bool = False, alone: bool = False) -> Callable:
    """Compile a function for use inside kernels; with ``inline=True`` its code is put where it is called.

    Only with ``alone=True`` can Python call it too: the code for that takes as long to compile as a small function.
    """
    if function is None:
        return lambda f: serial(f, inline=inline, alone=alone)
    inside: dict[str, Any] = {"no_cpython_wrapper": not alone, "no_cfunc_wrapper": True}
    with _caching_here():
        return numba.njit(function, cache=_FOLDER is not None, forceinline=inline, **inside, **_OPTIONS)


def kernel(
    function: Callable | None = None, *, pieces: Callable[..., int] | None = None, exact: bool = False
) -> Callable:
    """Compile parallel loops; calling the function launches them under the rules at the top of this file.

    `pieces` takes the kernel's arguments and says how many pieces of work there are; without it, enough. With `exact`
    every operation is rounded, as NumPy does: no multiplication and addition are made one.
    """
    if function is None:
        return lambda f: kernel(f, pieces=pieces, exact=exact)
    with _caching_here():
        options = {
            **_OPTIONS,
            "parallel": _PRANGE_ONLY,
            "cache": _FOLDER is not None,
            "no_cfunc_wrapper": True,
        }
        compiled = numba.njit(function, **{**options, "fastmath": False} if exact else options)

    @wraps(function)
    def launch(*args: Any) -> Any:
        with _LAUNCH:
            most, now = get_num_threads(), numba.get_num_threads()
            wanted = most if pieces is None else max(1, min(most, pieces(*args)))
            if wanted != now:  # setting it costs as much as all else here
                numba.set_num_threads(wanted)
            before, _CONFIG.OPT = _CONFIG.OPT, _LEVEL
            try:
                return compiled(*args)
            except _DAMAGED:
                # A truncated cache file surfaces here, as one of many exceptions. Compile afresh, once; an error
                # of the kernel itself comes back on the second call.
                _wipe_cache()
                return compiled(*args)
            finally:
                _CONFIG.OPT = before
                if wanted != most:
                    numba.set_num_threads(most)

    launch.compiled = compiled  # type: ignore[attr-defined]
    return launch


def each(first: Any, *rest: Any) -> int:
    """`pieces` of a kernel that works on the items of its first array one by one."""
    return len(first)


# ---- threads --------------------------------------------------------------------------------------------------

_num_threads: int | None = None


def set_num_threads(n: int) -> None:
    global _num_threads
    most: int = _CONFIG.NUMBA_NUM_THREADS
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= most:
        raise ValueError(
            f"set_num_threads: n must be an int from 1 to {most}, got {n!r} "
            f"(set NUMBA_NUM_THREADS before Python starts to allow more)"
        )
    _num_threads = n


def get_num_threads() -> int:
    return _num_threads or numba.get_num_threads()
