"""All that knows Numba's and LLVM's insides: compiling and launching, vectors, and the micro-kernel of a product.

Numba reads its variables from the environment when it is imported, which happens here first. Of one that it cannot read
it warns, with a traceback, and goes on with another value; here that is one clear error.
"""

import importlib
import warnings

from npdsconv import environment


def _import_numba() -> None:
    """
    Raises
    ------
    ValueError
        The value of one of Numba's environment variables is not what it should be.
    """
    environment.threads()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Environment variable", category=RuntimeWarning)
        try:
            importlib.import_module("numba")
        except RuntimeWarning as warning:
            raise ValueError(str(warning).partition("\n")[0]) from None


_import_numba()
