"""What Numba and LLVM chose on this machine."""

import numba
from llvmlite import binding


def processor() -> str:
    """LLVM's name of the processor that kernels are compiled for, such as "znver4"."""
    return binding.get_host_cpu_name()


def threading_layer() -> str:
    """The library that runs Numba's threads: "omp", "tbb" or "workqueue".

    Raises
    ------
    ValueError
        None of them can be loaded.
    """
    numba.get_num_threads()  # starts the threads, and so decides
    return numba.threading_layer()
