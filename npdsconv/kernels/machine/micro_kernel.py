"""The micro-kernel of a matrix product: a tile of it, held in registers from its first multiply-add to its last.

A product of a million rows with a small matrix is what pointwise layers are made of, and BLAS is at its worst there: it
packs both operands into a layout of its own before it begins, and the copying never pays for itself. Here nothing of
the large operand is copied. A tile of TILE_ROWS rows and :func:`panel_width` columns of the result lies in registers;
one step of it reads one number from each of its rows and one row of the packed panel, and does twice as many
multiply-adds as it has rows.

    micro_kernel(x, x_step, steps, counts, panel, start, columns, y, y_step)

    y[r·y_step + c] = start[c] + Σ_t x[r·x_step + t₀·steps₀ + t₁·steps₁ + t₂·steps₂] · panel[t·width + c]

for r < TILE_ROWS and c < columns, where t counts all (t₀, t₁, t₂) < counts, the last one fastest. All arrays are
pointers, as in :mod:`lanes`; `panel` and `start` have `width` columns, however few are written. So a tile is a product
(counts 1, 1, K), a product with a transposed operand (x_step = 1), or the sum over a window: t₀ its rows, t₁ its
columns, t₂ the channels.
:func:`micro_kernel_few` is the same for FEW_ROWS rows and :func:`micro_kernel_one` for one.

Every number is summed in the order of the formula, so the result does not depend on the shape of the tile.

Optimizations: rows and columns such that the sums just fit the registers of the machine (AVX-512 has 32 of 64 bytes,
others 16 or 32 of which we use 32 bytes at a time); the loops over them are unrolled while the code is generated.

See also: Van Zee and van de Geijn, "BLIS: a framework for rapidly instantiating BLAS functionality", TOMS 2015, whose
words panel, pack and micro-kernel are.
"""

# mypy: disable-error-code="no-untyped-def, no-redef, misc, attr-defined"
import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils

from npdsconv.kernels.machine.lanes import emit_broadcast, emit_mask, emit_masked, intrinsic

_WIDE = bool(llvmlite.binding.get_host_cpu_features().get("avx512f"))
_BYTES = 64 if _WIDE else 32  # of one register
_VECTORS = 2  # across one tile
TILE_ROWS = 12 if _WIDE else 6
FEW_ROWS = 4


def panel_width(dtype) -> int:
    """Columns of a tile, and so of a panel."""
    return _VECTORS * _BYTES // np.dtype(dtype).itemsize


def _unrolled(rows):
    """The tile of so many rows, as LLVM code."""

    @intrinsic
    def micro_kernel(typing, x, x_step, steps, counts, panel, start, columns, y, y_step):
        three = types.UniTuple(types.intp, 3)
        signature = types.void(x, types.intp, three, three, panel, start, types.intp, y, types.intp)

        def emit(context, builder, signature, args):
            _emit(builder, rows, x.dtype, *args)
            return context.get_dummy_value()

        return signature, emit

    return micro_kernel


def _emit(builder, rows, dtype, x, x_step, steps, counts, panel, start, columns, y, y_step):
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
            place = builder.gep(x, [builder.add(here, builder.mul(index(r), x_step))])
            factor = emit_broadcast(builder, vector, builder.load(place))
            for v, total in enumerate(totals):
                product = builder.fmul(factor, of_panel[v], flags=("contract",))
                builder.store(builder.fadd(product, builder.load(total), flags=("contract",)), total)

    whole = builder.icmp_signed(">=", columns, index(_VECTORS * lanes))
    with builder.if_else(whole) as (all_of_it, first_of_it):
        with all_of_it:
            _write(builder, sums, lambda r, v: at(y, builder.mul(index(r), y_step), v), size)
        with first_of_it:
            masks = [emit_mask(builder, columns, lanes, v * lanes) for v in range(_VECTORS)]
            _write(builder, sums, lambda r, v: at(y, builder.mul(index(r), y_step), v), size, masks)


def _write(builder, sums, place, size, masks=None):
    for r, totals in enumerate(sums):
        for v, total in enumerate(totals):
            value, where = builder.load(total), place(r, v)
            if masks is None:
                builder.store(value, where, align=size)
            else:
                rest = where, ir.IntType(32)(size), masks[v]
                emit_masked(builder, "store", value.type, ir.VoidType(), value, *rest)


micro_kernel, micro_kernel_few, micro_kernel_one = map(_unrolled, (TILE_ROWS, FEW_ROWS, 1))


if config.DISABLE_JIT:

    def _in_numpy(rows):
        def micro_kernel(x, x_step, steps, counts, panel, start, columns, y, y_step):
            size, width = x.itemsize, panel_width(x.dtype)
            strides = [size * step for step in (x_step, *steps)]
            factors = np.lib.stride_tricks.as_strided(x, (rows, *counts), strides).reshape(rows, -1)
            terms = panel[: factors.shape[1] * width].reshape(-1, width)
            with np.errstate(invalid="ignore"):  # BLAS multiplies lanes it does not use, and says so
                product = start[:width] + factors @ terms
            for r in range(rows):
                y[r * y_step : r * y_step + min(columns, width)] = product[r, :columns]

        return micro_kernel

    micro_kernel, micro_kernel_few, micro_kernel_one = map(_in_numpy, (TILE_ROWS, FEW_ROWS, 1))
