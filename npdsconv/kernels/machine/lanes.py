"""Sixteen channels at once: vectors that stay in registers, for the innermost loops.

A compiler may keep a weight in a register only while it can prove that no store overwrites it, and of two NumPy arrays
it can prove nothing. So a loop written number by number reads its nine weights again for every pixel. With these
functions a kernel says what it means: `load` sixteen neighbouring numbers, `multiply_add` them to a sum, `store` it.
What is loaded stays loaded, and a loop over pixels can hand the columns of its window on to the next pixel.

    pointer(a, i)                     where number i of the contiguous array `a` lies
    advance(p, i)                     i numbers further on
    aligned(p)                        at most sixteen numbers further on, where a cache line begins
    keep_alive(a)                     `a` is still needed here, by its pointers: its memory is not freed before
    copy(p, q, n)                     write the n numbers at p to q
    clear(p, n)                       write n zeros
    prefetch(p, i)                    bring them into the cache: they will be needed soon

    load(p, i)                        sixteen numbers from the i-th on, counted from there
    load_if(present, p, i)            the same, or sixteen zeros where `present` is false
    load_masked(n, p, i)              the first n of them, and zeros for the rest; n may be any number
    load_one(p, i)                    the i-th number, alone
    store(p, i, v)                    write sixteen numbers
    store_masked(n, p, i, v)          write the first n

    zeros(p)                          sixteen zeros, of the type that p points to
    broadcast(p, a)                   sixteen times the number a, in that type
    add, subtract                     of two
    multiply_add(x, y, z)             x·y + z
    clamp(x, low, high)               x cut to [low, high]; a NaN stays a NaN
    clamp_gradient(dy, x, low, high)  dy where low < x < high, else zero

No index is checked, and a pointer keeps nothing alive: both are for kernels that have checked their shapes. Sixteen
float32 fill one AVX-512 register; for other machines, and for float64, LLVM splits them. With the JIT disabled a
pointer is a view and the rest a line of NumPy each.

Optimizations: a pointer to a row costs nothing, where a slice of an array counts references, twice, atomically. So does
every array that is handed to a function, even one that is inlined: inside loops hand on pointers.
"""

# mypy: disable-error-code="no-untyped-def, no-redef, misc, attr-defined"
from typing import Any

from llvmlite import ir
from numba import config, extending, types
from numba.core import cgutils
from numba.extending import models, register_model

intrinsic: Any = extending.intrinsic  # to a type checker what it makes could be called from Python only
LANES = 16
LINE = 64  # bytes: a vector that lies in two lines of the cache takes two loads


class Lanes(types.Type):
    """Numba's type for sixteen numbers of one dtype."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(f"Lanes({dtype})")


def _vector(dtype):
    return ir.VectorType(ir.FloatType() if dtype == types.float32 else ir.DoubleType(), LANES)


@register_model(Lanes)
class _Model(models.PrimitiveModel):
    def __init__(self, manager, lanes):
        super().__init__(manager, lanes, _vector(lanes.dtype))


def _bytes(dtype):
    return dtype.bitwidth // 8


def _address(builder, dtype, p, i):
    return builder.bitcast(builder.gep(p, [i]), _vector(dtype).as_pointer())


@intrinsic
def pointer(typing, a, i):
    def emit(context, builder, signature, args):
        return builder.gep(context.make_array(signature.args[0])(context, builder, args[0]).data, [args[1]])

    return types.CPointer(a.dtype)(a, types.intp), emit


@intrinsic
def advance(typing, p, i):
    def emit(context, builder, signature, args):
        return builder.gep(args[0], [args[1]])

    return p(p, types.intp), emit


@intrinsic
def aligned(typing, p):
    def emit(context, builder, signature, args):
        number = builder.ptrtoint(args[0], ir.IntType(64))
        last = ir.Constant(number.type, LINE - 1)
        return builder.inttoptr(builder.and_(builder.add(number, last), builder.not_(last)), args[0].type)

    return p(p), emit


@intrinsic
def load_one(typing, p, i):
    def emit(context, builder, signature, args):
        return builder.load(builder.gep(args[0], [args[1]]))

    return p.dtype(p, types.intp), emit


@intrinsic
def keep_alive(typing, a):
    def emit(context, builder, signature, args):
        return context.get_dummy_value()

    return types.void(a), emit


@intrinsic
def copy(typing, p, q, n):
    def emit(context, builder, signature, args):
        cgutils.raw_memcpy(builder, args[1], args[0], args[2], _bytes(p.dtype))
        return context.get_dummy_value()

    return types.void(p, q, types.intp), emit


@intrinsic
def clear(typing, p, n):
    def emit(context, builder, signature, args):
        size = builder.mul(args[1], ir.Constant(args[1].type, _bytes(p.dtype)))
        cgutils.memset(builder, args[0], size, 0)
        return context.get_dummy_value()

    return types.void(p, types.intp), emit


@intrinsic
def load(typing, p, i):
    def emit(context, builder, signature, args):
        return builder.load(_address(builder, p.dtype, *args), align=_bytes(p.dtype))

    return Lanes(p.dtype)(p, types.intp), emit


@intrinsic
def load_if(typing, present, p, i):
    def emit(context, builder, signature, args):
        # A choice of addresses costs one instruction; a branch for each load cost up to five times the loop.
        size = _bytes(p.dtype)
        nothing = context.insert_const_bytes(builder.module, bytes(LANES * size), "npdsconv_zeros")
        there = _address(builder, p.dtype, *args[1:])
        chosen = builder.select(args[0], there, builder.bitcast(nothing, there.type))
        return builder.load(chosen, align=size)

    return Lanes(p.dtype)(types.boolean, p, types.intp), emit


@intrinsic
def store(typing, p, i, v):
    def emit(context, builder, signature, args):
        builder.store(args[2], _address(builder, p.dtype, *args[:2]), align=_bytes(p.dtype))
        return context.get_dummy_value()

    return types.void(p, types.intp, v), emit


@intrinsic
def prefetch(typing, p, i):
    def emit(context, builder, signature, args):
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        shape = ir.FunctionType(ir.VoidType(), (byte, number, number, number))
        function = builder.module.declare_intrinsic("llvm.prefetch", (byte,), shape)
        where = builder.bitcast(builder.gep(args[0], [args[1]]), byte)
        to_read, for_long, data = (ir.Constant(number, n) for n in (0, 3, 1))
        builder.call(function, [where, to_read, for_long, data])
        return context.get_dummy_value()

    return types.void(p, types.intp), emit


@intrinsic
def zeros(typing, p):
    def emit(context, builder, signature, args):
        return ir.Constant(_vector(p.dtype), None)

    return Lanes(p.dtype)(p), emit


def emit_broadcast(builder, vector, value):
    """LLVM code for a vector that holds one number in all its places."""
    undefined, places = ir.Constant(vector, ir.Undefined), ir.VectorType(ir.IntType(32), vector.count)
    single = builder.insert_element(undefined, value, ir.IntType(32)(0))
    return builder.shuffle_vector(single, undefined, ir.Constant(places, None))


def emit_mask(builder, limit, lanes, before=0):
    """LLVM code for a mask: true for the lanes with lane + before < limit."""
    index = ir.VectorType(ir.IntType(64), lanes)
    numbers = ir.Constant(index, [before + k for k in range(lanes)])
    return builder.icmp_signed("<", numbers, emit_broadcast(builder, index, limit))


def emit_masked(builder, what, vector, returns, *args):
    """LLVM code for a masked "load" or "store" of a vector."""
    bits = 32 if isinstance(vector.element, ir.FloatType) else 64
    shape = ir.FunctionType(returns, [a.type for a in args])
    name = f"llvm.masked.{what}.v{vector.count}f{bits}.p0"
    return builder.call(cgutils.get_or_insert_function(builder.module, shape, name), args)


@intrinsic
def broadcast(typing, p, a):
    def emit(context, builder, signature, args):
        return emit_broadcast(builder, _vector(p.dtype), args[1])

    return Lanes(p.dtype)(p, p.dtype), emit


@intrinsic
def load_masked(typing, n, p, i):
    def emit(context, builder, signature, args):
        where, vector = _address(builder, p.dtype, *args[1:]), _vector(p.dtype)
        size, nothing = ir.IntType(32)(_bytes(p.dtype)), ir.Constant(vector, None)
        return emit_masked(
            builder, "load", vector, vector, where, size, emit_mask(builder, args[0], LANES), nothing
        )

    return Lanes(p.dtype)(types.intp, p, types.intp), emit


@intrinsic
def store_masked(typing, n, p, i, v):
    def emit(context, builder, signature, args):
        where, size = _address(builder, p.dtype, *args[1:3]), ir.IntType(32)(_bytes(p.dtype))
        mask = emit_mask(builder, args[0], LANES)
        emit_masked(builder, "store", _vector(p.dtype), ir.VoidType(), args[3], where, size, mask)
        return context.get_dummy_value()

    return types.void(types.intp, p, types.intp, v), emit


def _elementwise(operation):
    @intrinsic
    def function(typing, x, y):
        def emit(context, builder, signature, args):
            return getattr(builder, operation)(*args, flags=("contract",))

        return x(x, x), emit

    return function


add, subtract = (_elementwise(operation) for operation in ("fadd", "fsub"))


@intrinsic
def clamp(typing, x, low, high):
    def emit(context, builder, signature, args):
        x, low, high = args
        x = builder.select(builder.fcmp_ordered("<=", x, low), low, x)
        return builder.select(builder.fcmp_ordered(">", x, high), high, x)

    return x(x, x, x), emit


@intrinsic
def clamp_gradient(typing, dy, x, low, high):
    def emit(context, builder, signature, args):
        dy, x, low, high = args
        between = builder.and_(builder.fcmp_ordered(">", x, low), builder.fcmp_ordered("<", x, high))
        return builder.select(between, dy, ir.Constant(dy.type, None))

    return x(x, x, x, x), emit


@intrinsic
def multiply_add(typing, x, y, z):
    def emit(context, builder, signature, args):
        product = builder.fmul(args[0], args[1], flags=("contract",))
        return builder.fadd(product, args[2], flags=("contract",))

    return x(x, x, x), emit


if config.DISABLE_JIT:
    import numpy as np

    def pointer(a, i):
        return a.reshape(-1)[i:]

    def advance(p, i):
        return p[i:]

    def aligned(p):
        return p

    def load_one(p, i):
        return p[i]

    def keep_alive(a):
        pass

    def copy(p, q, n):
        q[:n] = p[:n]

    def clear(p, n):
        p[:n] = 0

    def load(p, i):
        return p[i : i + LANES].copy()

    def load_if(present, p, i):
        return load(p, i) if present else zeros(p)

    def store(p, i, v):
        p[i : i + LANES] = v

    def prefetch(p, i):
        pass

    def zeros(p):
        return np.zeros(LANES, p.dtype)

    def multiply_add(x, y, z):
        with np.errstate(all="ignore"):  # compiled code does not warn either
            return x * y + z

    def load_masked(n, p, i):
        v, n = zeros(p), max(0, min(n, LANES))
        v[:n] = p[i : i + n]
        return v

    def store_masked(n, p, i, v):
        n = max(0, min(n, LANES))
        p[i : i + n] = v[:n]

    def broadcast(p, a):
        return np.full(LANES, a, p.dtype)

    add, subtract = np.add, np.subtract

    def clamp(x, low, high):
        return np.minimum(np.maximum(x, low), high)

    def clamp_gradient(dy, x, low, high):
        return np.where((x > low) & (x < high), dy, np.zeros_like(dy))
