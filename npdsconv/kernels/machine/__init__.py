"""All that knows Numba's and LLVM's insides: compiling and launching, vectors, and the micro-kernel of a product."""
