"""Vectors that are compared with a maximum, and scaled: what pooling needs beside :mod:`lanes`.

scale(x, k)                  x·k for one number k
drop_first(k, x)             x, its first k numbers replaced by zeros
maximum(x, best)             x where it is greater than `best` or NaN, else `best`
where_best(x, best, v)       v where x is `best` (or NaN, which is always the best), else zero
where_not_best(x, best, v)   zero there, v elsewhere
"""

# mypy: disable-error-code="no-untyped-def, no-redef, misc, attr-defined"
import numpy as np
from llvmlite import ir
from numba import config, types

from npdsconv.kernels.machine.lanes import LANES, emit_broadcast, emit_mask, intrinsic


def _is_best(builder, x, best):
    return builder.or_(builder.fcmp_ordered("==", x, best), builder.fcmp_unordered("uno", x, x))


@intrinsic
def scale(typing, x, k):
    def emit(context, builder, signature, args):
        return builder.fmul(args[0], emit_broadcast(builder, args[0].type, args[1]))

    return x(x, x.dtype), emit


@intrinsic
def drop_first(typing, k, x):
    def emit(context, builder, signature, args):
        nothing = ir.Constant(args[1].type, None)
        return builder.select(emit_mask(builder, args[0], LANES), nothing, args[1])

    return x(types.int64, x), emit


@intrinsic
def maximum(typing, x, best):
    def emit(context, builder, signature, args):
        greater = builder.fcmp_ordered(">", *args)
        return builder.select(builder.or_(greater, builder.fcmp_unordered("uno", args[0], args[0])), *args)

    return x(x, x), emit


@intrinsic
def where_best(typing, x, best, v):
    def emit(context, builder, signature, args):
        nothing = ir.Constant(args[2].type, None)
        return builder.select(_is_best(builder, *args[:2]), args[2], nothing)

    return x(x, x, x), emit


@intrinsic
def where_not_best(typing, x, best, v):
    def emit(context, builder, signature, args):
        nothing = ir.Constant(args[2].type, None)
        return builder.select(_is_best(builder, *args[:2]), nothing, args[2])

    return x(x, x, x), emit


if config.DISABLE_JIT:

    def scale(x, k):
        return x * k

    def drop_first(k, x):
        return np.where(np.arange(LANES) < k, x.dtype.type(0), x)

    def maximum(x, best):
        return np.where((x > best) | (x != x), x, best)

    def where_best(x, best, v):
        return np.where((x == best) | (x != x), v, v.dtype.type(0))

    def where_not_best(x, best, v):
        return np.where((x == best) | (x != x), v.dtype.type(0), v)
