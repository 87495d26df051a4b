"""Keeping freed memory for the next step.

A training step allocates and frees the same big arrays over and over. By default the C library hands memory that is
freed at the top of its heap back to the system, and every step then asks for it anew, page by page: 3.1 million page
faults in four epochs of the default recipe, 2.4 s an epoch against 1.5 s without (42,000 faults), 25 MB more held.
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # the names and numbers of <malloc.h>
KEPT = 1 << 30  # bytes


def keep_freed_memory() -> bool:
    """Tell the C library to keep up to 1 GB of freed memory; True if it listened.

    It holds for the whole process, so it is for programs to call, such as ``npdsconv train``, and the library never
    does. Does nothing where the C library is not GNU's.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    return bool(mallopt(M_TRIM_THRESHOLD, KEPT) and mallopt(M_MMAP_THRESHOLD, KEPT))
