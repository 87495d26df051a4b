"""Vectors that are compared with a maximum, and scaled: what pooling needs beside :mod:`lanes`.

times(x, k)              x·k for one number k
without(k, x)            x, its first k numbers replaced by zeros
larger(x, best)          x where it is greater than `best` or NaN, else `best`
given(x, best, v)        v where x is `best` (or NaN, which is always the best), else zero
left(x, best, v)         zero there, v elsewhere
"""

# mypy: ignore-errors
import numpy as np
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

from npdsconv.kernels.machine.lanes import LANES, below, filled


def _is_best(builder, x, best):
    return builder.or_(builder.fcmp_ordered("==", x, best), builder.fcmp_unordered("uno", x, x))


@intrinsic
def times(typing, x, k):
    def emit(context, builder, signature, args):
        return builder.fmul(args[0], filled(builder, args[0].type, args[1]))

    return x(x, x.dtype), emit


@intrinsic
def without(typing, k, x):
    def emit(context, builder, signature, args):
        nothing = ir.Constant(args[1].type, None)
        return builder.select(below(builder, args[0], LANES), nothing, args[1])

    return x(types.int64, x), emit


@intrinsic
def larger(typing, x, best):
    def emit(context, builder, signature, args):
        greater = builder.fcmp_ordered(">", *args)
        return builder.select(builder.or_(greater, builder.fcmp_unordered("uno", args[0], args[0])), *args)

    return x(x, x), emit


@intrinsic
def given(typing, x, best, v):
    def emit(context, builder, signature, args):
        nothing = ir.Constant(args[2].type, None)
        return builder.select(_is_best(builder, *args[:2]), args[2], nothing)

    return x(x, x, x), emit


@intrinsic
def left(typing, x, best, v):
    def emit(context, builder, signature, args):
        nothing = ir.Constant(args[2].type, None)
        return builder.select(_is_best(builder, *args[:2]), nothing, args[2])

    return x(x, x, x), emit


if config.DISABLE_JIT:

    def times(x, k):
        return x * k

    def without(k, x):
        return np.where(np.arange(LANES) < k, x.dtype.type(0), x)

    def larger(x, best):
        return np.where((x > best) | (x != x), x, best)

    def given(x, best, v):
        return np.where((x == best) | (x != x), v, v.dtype.type(0))

    def left(x, best, v):
        return np.where((x == best) | (x != x), v.dtype.type(0), v)
