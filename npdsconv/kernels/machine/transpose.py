"""The transpose of a square of sixteen by sixteen numbers, in registers.

    transpose(p, p_step, q, q_step)    write the square at p, whose rows lie `p_step` apart, to q, its rows as columns

Four rounds: the first exchanges the upper right quarter of the square with the lower left one, the next does the same
in each quarter, and so on down to single numbers.

Optimizations: 64 shuffles of vectors for 256 numbers, where a loop reads and writes each of them alone.
"""

# mypy: disable-error-code="no-untyped-def, no-redef, misc, attr-defined"
from llvmlite import ir
from numba import config, types

from npdsconv.kernels.machine.lanes import LANES, intrinsic


@intrinsic
def transpose(typing, p, p_step, q, q_step):
    def emit(context, builder, signature, args):
        vector = ir.VectorType(ir.FloatType() if p.dtype == types.float32 else ir.DoubleType(), LANES)
        size = p.dtype.bitwidth // 8

        def row(pointer, step, k):
            where = builder.gep(pointer, [builder.mul(step, ir.Constant(step.type, k))])
            return builder.bitcast(where, vector.as_pointer())

        rows = [builder.load(row(args[0], args[1], k), align=size) for k in range(LANES)]
        for size_of_run in (8, 4, 2, 1):
            for k in range(LANES):
                if not k & size_of_run:
                    pair = rows[k], rows[k + size_of_run]
                    rows[k], rows[k + size_of_run] = _exchanged(builder, *pair, size_of_run)
        for k in range(LANES):
            builder.store(rows[k], row(args[2], args[3], k), align=size)
        return context.get_dummy_value()

    return types.void(p, types.intp, q, types.intp), emit


def _exchanged(builder, upper, lower, size):
    """Two rows after a round: every second run of `size` lanes of the first is exchanged with the one below."""
    places = ir.VectorType(ir.IntType(32), LANES)
    first = [k if not k & size else LANES + k - size for k in range(LANES)]
    second = [k + size if not k & size else LANES + k for k in range(LANES)]
    return [builder.shuffle_vector(upper, lower, ir.Constant(places, mask)) for mask in (first, second)]


if config.DISABLE_JIT:

    def transpose(p, p_step, q, q_step):
        for k in range(LANES):
            q[k : k + (LANES - 1) * q_step + 1 : q_step] = p[k * p_step : k * p_step + LANES]
