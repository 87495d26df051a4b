"""A tile of a matrix product, held in registers from its first multiply-add to its last.

A product of a million rows with a small matrix is what pointwise layers are made of, and BLAS is at its worst there: it
copies both operands into a layout of its own before it begins, and the copying never pays for itself. Here nothing of
the large operand is copied. A tile of ROWS rows and `width(x)` columns of the result lies in registers; one step of it
reads one number from each of its rows and one row of the panel, and does twice as many multiply-adds as it has rows.

    tile(x, row, steps, counts, panel, start, y, y_row, columns)

    y[r·y_row + c] = start[c] + Σ_t x[r·row + t₀·steps₀ + t₁·steps₁ + t₂·steps₂] · panel[t·width + c]

for r < ROWS and c < columns, where t counts all (t₀, t₁, t₂) < counts, the last one fastest. All arrays are pointers,
as in :mod:`lanes`; `panel` and `start` have `width` columns, however few are written. So a tile is a product (counts
1, 1, K), a product with a transposed operand (row = 1), or the sum over a window: t₀ its rows, t₁ its columns, t₂ the
channels.
:func:`few` is the same for FEW rows and :func:`one` for one.

Every number is summed in the order of the formula, so the result does not depend on the shape of the tile.

Optimizations: rows and columns such that the sums just fit the registers of the machine (AVX-512 has 32 of 64 bytes,
others 16 or 32 of which we use 32 bytes at a time); the loops over them are unrolled while the code is generated.
"""

# mypy: ignore-errors
import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from npdsconv.kernels.machine.lanes import below, filled, masked

_WIDE = bool(llvmlite.binding.get_host_cpu_features().get("avx512f"))
_BYTES = 64 if _WIDE else 32  # of one register
_VECTORS = 2  # across one tile
ROWS = 12 if _WIDE else 6
FEW = 4
WIDTH_BYTES = _VECTORS * _BYTES  # x.itemsize times the columns of one tile


def _unrolled(rows):
    """The tile of so many rows, as LLVM code."""

    @intrinsic
    def tile(typing, x, row, steps, counts, panel, start, y, y_row, columns):
        three = types.UniTuple(types.intp, 3)
        signature = types.void(x, types.intp, three, three, panel, start, y, types.intp, types.intp)

        def emit(context, builder, signature, args):
            _emit(builder, rows, x.dtype, *args)
            return context.get_dummy_value()

        return signature, emit

    return tile


def _emit(builder, rows, dtype, x, row, steps, counts, panel, start, y, y_row, columns):
    size = dtype.bitwidth // 8
    lanes = _BYTES // size
    number = ir.FloatType() if size == 4 else ir.DoubleType()
    vector, index = ir.VectorType(number, lanes), ir.IntType(64)

    def at(base, offset, v=0):
        place = builder.gep(base, [builder.add(offset, index(v * lanes))])
        return builder.bitcast(place, vector.as_pointer())

    sums = [[cgutils.alloca_once(builder, vector) for _ in range(_VECTORS)] for _ in range(rows)]
    for v in range(_VECTORS):
        first = builder.load(at(start, index(0), v), align=size)
        for totals in sums:
            builder.store(first, totals[v])

    steps, counts = (cgutils.unpack_tuple(builder, three) for three in (steps, counts))
    line = cgutils.alloca_once_value(builder, index(0))
    with (
        cgutils.for_range(builder, counts[0]) as t0,
        cgutils.for_range(builder, counts[1]) as t1,
        cgutils.for_range(builder, counts[2]) as t2,
    ):
        of_panel = [builder.load(at(panel, builder.load(line), v), align=size) for v in range(_VECTORS)]
        builder.store(builder.add(builder.load(line), index(_VECTORS * lanes)), line)
        terms = [builder.mul(t.index, step) for t, step in zip((t0, t1, t2), steps, strict=True)]
        here = builder.add(builder.add(terms[0], terms[1]), terms[2])
        for r, totals in enumerate(sums):
            place = builder.gep(x, [builder.add(here, builder.mul(index(r), row))])
            factor = filled(builder, vector, builder.load(place))
            for v, total in enumerate(totals):
                product = builder.fmul(factor, of_panel[v], flags=("contract",))
                builder.store(builder.fadd(product, builder.load(total), flags=("contract",)), total)

    whole = builder.icmp_signed(">=", columns, index(_VECTORS * lanes))
    with builder.if_else(whole) as (all_of_it, some):
        with all_of_it:
            _write(builder, sums, lambda r, v: at(y, builder.mul(index(r), y_row), v), size)
        with some:
            masks = [below(builder, columns, lanes, v * lanes) for v in range(_VECTORS)]
            _write(builder, sums, lambda r, v: at(y, builder.mul(index(r), y_row), v), size, masks)


def _write(builder, sums, place, size, masks=None):
    for r, totals in enumerate(sums):
        for v, total in enumerate(totals):
            value, where = builder.load(total), place(r, v)
            if masks is None:
                builder.store(value, where, align=size)
            else:
                rest = where, ir.IntType(32)(size), masks[v]
                masked(builder, "store", value.type, ir.VoidType(), value, *rest)


tile, few, one = (_unrolled(rows) for rows in (ROWS, FEW, 1))


if config.DISABLE_JIT:

    def _in_numpy(rows):
        def tile(x, row, steps, counts, panel, start, y, y_row, columns):
            size, width = x.itemsize, WIDTH_BYTES // x.itemsize
            strides = [size * step for step in (row, *steps)]
            factors = np.lib.stride_tricks.as_strided(x, (rows, *counts), strides).reshape(rows, -1)
            terms = panel[: factors.shape[1] * width].reshape(-1, width)
            with np.errstate(invalid="ignore"):  # BLAS multiplies lanes it does not use, and says so
                product = start[:width] + factors @ terms
            for r in range(rows):
                y[r * y_row : r * y_row + min(columns, width)] = product[r, :columns]

        return tile

    tile, few, one = (_in_numpy(rows) for rows in (ROWS, FEW, 1))
