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
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, wraps
from pathlib import Path
from typing import Any

import numba
from numba import prange
from numba.core.caching import FunctionCache
from numba.core.compiler_lock import global_compiler_lock

from npdsconv import disk
from npdsconv.kernels.machine import waiting
from npdsconv.kernels.machine.cache_file import CheckedFile

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
_KEPT, _UNUSED = 3, 30 * 24 * 3600.0  # cache folders, seconds: one goes when both are exceeded
_CONFIG: Any = numba.config

# No fastmath=True, which makes isnan(x) false; contraction (a fused multiply-add) is all our loops want.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
# Only prange is parallel: array expressions stay serial, which also halves the time to compile.
_PRANGE_ONLY = dict.fromkeys(
    ("comprehension", "reduction", "inplace_binop", "setitem", "numpy", "stencil", "fusion"), False
) | {"prange": True}
# LLVM's level for our kernels: 2 compiles in a fifth less time than 3, and the loops are as fast. They say themselves
# what to unroll and which vectors to use, so level 3 finds nothing to do in them.
_LEVEL = type(_CONFIG.OPT)(min(_CONFIG.OPT, 2))


# ---- the cache of compiled code -------------------------------------------------------------------------------


def _make_folder() -> Path | None:
    """A folder for this very version of the kernels, or None where nothing can be written.

    Numba's own cache does not notice an edited callee in another file. A folder named after a digest of every
    kernel source does. Folders of other versions may be in use by other processes: only what is old goes.
    """
    sources = sorted(Path(__file__).parents[1].rglob("*.py"))
    digest = hashlib.sha256(b"\0".join(p.read_bytes() for p in sources)).hexdigest()[:16]
    # Others may use NUMBA_CACHE_DIR too: old digests are looked for in a folder of our own.
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    try:
        base = Path(chosen, "npdsconv") if chosen else disk.user_cache() / "numba"
        folder = base / digest
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(1 << 20))  # on a full disk a file can be made, but not filled
        os.utime(folder)  # used now
        used = {p: p.stat().st_mtime for p in base.iterdir() if p.is_dir() and len(p.name) == len(digest)}
        for old in sorted(used, key=used.__getitem__)[:-_KEPT]:
            if used[old] < time.time() - _UNUSED:
                shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        _say_not_kept(error)
        return None
    return folder


@cache
def _say_once(message: str) -> None:
    logging.getLogger("npdsconv").warning(message)


def _say_not_kept(error: OSError) -> None:
    """A cache is not needed: nobody is stopped, but who waits for the compiler again and again should know why."""
    if not _CONFIG.DISABLE_JIT:
        _say_once(
            f"npdsconv: compiled kernels are not kept ({error.strerror or error}), so each process compiles anew; "
            f"NUMBA_CACHE_DIR can name a folder that can be written"
        )


_FOLDER = _make_folder()


def cache_folder() -> Path | None:
    """Where compiled code is kept, or None where nothing can be written."""
    return _FOLDER


class _Cache(FunctionCache):
    """Numba's cache of one function. What cannot be read is compiled anew; what cannot be written is not kept.

    A damaged file surfaces as one of many exceptions. All that is caught here is reading: nothing has run yet.
    """

    def __init__(self, function: Callable) -> None:
        super().__init__(function)
        theirs = self._cache_file
        self._cache_file = CheckedFile(self._cache_path, self._impl.filename_base, theirs._source_stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:
            # The code itself will be written over; an index that cannot be read has to go.
            if self._versions() is None:
                with suppress(OSError):
                    Path(self._cache_file._index_path).unlink(missing_ok=True)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:  # the disk is full, or the folder gone
            _say_not_kept(error)
        except ValueError:  # another process has left a damaged index since: the next one compiles anew
            pass

    def is_empty(self) -> bool:
        return not self._versions()

    def _versions(self) -> dict[Any, str] | None:
        """What the index names; None if it cannot be read."""
        try:
            return self._cache_file._load_index()
        except Exception:
            return None


def is_missing(launch: Any) -> bool:
    """Whether a kernel has still to be compiled, for any dtype, and would then be kept in the cache."""
    cache = getattr(getattr(launch, "compiled", None), "_cache", None)
    return isinstance(cache, _Cache) and cache.is_empty()


@contextmanager
def _setting(name: str, value: Any) -> Iterator[None]:
    """One of Numba's global settings for a moment, and then as it was."""
    before = getattr(_CONFIG, name)
    setattr(_CONFIG, name, value)
    try:
        yield
    finally:
        setattr(_CONFIG, name, before)


def _compiled(function: Callable, options: dict[str, Any]) -> Any:
    """Numba's dispatcher for `function`, with a cache and an LLVM level of our own."""
    dispatcher: Any = numba.njit(function, **options)
    if _CONFIG.DISABLE_JIT:
        return dispatcher
    if _FOLDER is not None:
        with _setting("CACHE_DIR", str(_FOLDER)), suppress(OSError, RuntimeError):
            dispatcher._cache = _Cache(function)
    compile = dispatcher.compile

    def at_our_level(signature: Any) -> Any:
        with global_compiler_lock, _setting("OPT", _LEVEL):  # under the lock nobody else compiles
            return compile(signature)

    dispatcher.compile = at_our_level
    return dispatcher


# ---- the two decorators ---------------------------------------------------------------------------------------


def serial(function: Callable | None = None, *, inline: bool = False, alone: bool = False) -> Callable:
    """Compile a function for use inside kernels; with ``inline=True`` its code is put where it is called.

    Only with ``alone=True`` can Python call it too: the code for that takes as long to compile as a small function.
    """
    if function is None:
        return lambda f: serial(f, inline=inline, alone=alone)
    wrappers = {"no_cpython_wrapper": not alone, "no_cfunc_wrapper": True}
    return _compiled(function, {**_OPTIONS, **wrappers, "forceinline": inline})


def kernel(
    function: Callable | None = None, *, pieces: Callable[..., int] | None = None, exact: bool = False
) -> Callable:
    """Compile parallel loops; calling the function launches them under the rules at the top of this file.

    `pieces` takes the kernel's arguments and says how many pieces of work there are; without it, enough. With `exact`
    every operation is rounded, as NumPy does: no multiplication and addition are made one.
    """
    if function is None:
        return lambda f: kernel(f, pieces=pieces, exact=exact)
    options = {**_OPTIONS, "parallel": _PRANGE_ONLY, "no_cfunc_wrapper": True}
    compiled = _compiled(function, {**options, "fastmath": False} if exact else options)

    @wraps(function)
    def launch(*args: Any) -> Any:
        with _LAUNCH:
            if _forked:
                raise RuntimeError(_FORKED)
            most, now = get_num_threads(), numba.get_num_threads()
            wanted = most if pieces is None else max(1, min(most, pieces(*args)))
            if wanted != now:  # setting it costs as much as all else here
                numba.set_num_threads(wanted)
            try:
                return compiled(*args)
            finally:
                if wanted != most:
                    numba.set_num_threads(most)

    launch.compiled = compiled  # type: ignore[attr-defined]
    return launch


def each(first: Any, *rest: Any) -> int:
    """`pieces` of a kernel that works on the items of its first array one by one."""
    return len(first)


# ---- forks ----------------------------------------------------------------------------------------------------

# GNU's OpenMP ends a process that was forked after its threads had started, as soon as a kernel is launched there; a
# pool of such processes would start new ones for ever.
_FORKED = (
    "compiled kernels cannot run in a process that was forked after one had run, on the threading layer omp: start "
    'processes by "spawn" (multiprocessing.get_context), fork before the first kernel, or set '
    "NUMBA_THREADING_LAYER=workqueue"
)
_forked = False


def _after_fork() -> None:
    global _LAUNCH, _forked
    _LAUNCH = threading.Lock()  # another thread may have held it, which is not in this process
    with suppress(ValueError):  # no threads have been started yet
        _forked = numba.threading_layer() == "omp"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


# ---- threads --------------------------------------------------------------------------------------------------

waiting.load_openmp()
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
