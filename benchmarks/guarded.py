"""NumPy arrays between pages without access: a read or a write beside one of them ends the process.

NumPy lets one replace where its arrays come from. Here each gets pages of its own (Linux, through ctypes)::

    | length | no access | ......... the array | no access |       "after": it ends where its pages end
    | length | no access | the array ......... | no access |       "before": it begins where they begin

That holds for every array that NumPy makes, whoever asked: arguments, results, and the lists that kernels read. What
compiled code allocates for itself does not come from NumPy.
"""

import ctypes
import mmap
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numba import cfunc, njit

PAGE = mmap.PAGESIZE
_SET_HANDLER = 304  # the place of PyDataMem_SetHandler in the table of NumPy's C functions
_PROT_BOTH = mmap.PROT_READ | mmap.PROT_WRITE
_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
_number = ctypes.c_long  # addresses and sizes are plain numbers here

_libc = ctypes.CDLL(None)
_mmap, _mprotect, _munmap, _memcpy = _libc.mmap, _libc.mprotect, _libc.munmap, _libc.memcpy
_mmap.restype = _memcpy.restype = _number
_mmap.argtypes = _number, _number, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long
_mprotect.argtypes = _number, _number, ctypes.c_int
_munmap.argtypes = _number, _number
_memcpy.argtypes = _number, _number, _number

_after = np.ones(1, np.int64)  # which end of an array lies against its page
_AFTER = _after.ctypes.data


# Compiled, for NumPy may free an array while an exception is on its way, when no Python may run.


@njit
def _pages(size):  # type: ignore[no-untyped-def]
    return (size + PAGE - 1) // PAGE * PAGE


@njit
def _number_at(address):  # type: ignore[no-untyped-def]
    number = np.zeros(1, np.int64)
    _memcpy(number.ctypes.data, address, 8)
    return number[0]


@njit
def _head(array):  # type: ignore[no-untyped-def]
    """Where the length is kept."""
    return array // PAGE * PAGE - 2 * PAGE


@njit
def _take(size):  # type: ignore[no-untyped-def]
    number = np.full(1, max(size, 1), np.int64)
    size = number[0]
    begin = _mmap(0, _pages(size) + 3 * PAGE, _PROT_BOTH, _PRIVATE, -1, 0)
    if begin + 1 == 0:  # no memory
        return np.int64(0)
    _memcpy(begin, number.ctypes.data, 8)
    _mprotect(begin + PAGE, PAGE, 0)
    _mprotect(begin + 2 * PAGE + _pages(size), PAGE, 0)
    return begin + 2 * PAGE + (_pages(size) - size if _number_at(_AFTER) else 0)


@njit
def _give_back(array):  # type: ignore[no-untyped-def]
    begin = _head(array)
    _munmap(begin, _pages(_number_at(begin)) + 3 * PAGE)


@cfunc("int64(int64, int64)")
def _malloc(_, size):  # type: ignore[no-untyped-def]
    return _take(size)


@cfunc("int64(int64, int64, int64)")
def _calloc(_, count, size):  # type: ignore[no-untyped-def]
    return _take(count * size)  # new pages are zeros


@cfunc("int64(int64, int64, int64)")
def _realloc(_, array, size):  # type: ignore[no-untyped-def]
    larger = _take(size)
    if array != 0 and larger != 0:
        _memcpy(larger, array, min(size, _number_at(_head(array))))
        _give_back(array)
    return larger


@cfunc("void(int64, int64, int64)")
def _free(_, array, size):  # type: ignore[no-untyped-def]
    if array != 0:
        _give_back(array)


class _Handler(ctypes.Structure):
    """PyDataMem_Handler of NumPy's C interface."""

    _fields_ = (
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("context", ctypes.c_void_p),
        ("malloc", ctypes.c_void_p),
        ("calloc", ctypes.c_void_p),
        ("realloc", ctypes.c_void_p),
        ("free", ctypes.c_void_p),
    )


_HANDLER = _Handler(
    b"guarded", 1, None, *(function.address for function in (_malloc, _calloc, _realloc, _free))
)


def _set_handler(capsule: object) -> object:
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    table = pointer(np._core._multiarray_umath._ARRAY_API, None)  # type: ignore[attr-defined]
    place = ctypes.c_void_p.from_address(table + _SET_HANDLER * ctypes.sizeof(ctypes.c_void_p)).value
    return ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(place)(capsule)


@contextmanager
def guarded_arrays() -> Iterator[None]:
    """Every array that this thread makes meanwhile lies between pages without access."""
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    before = _set_handler(new(ctypes.addressof(_HANDLER), b"mem_handler", None))
    try:
        yield
    finally:
        _set_handler(before)


def lie(*, after: bool) -> None:
    """From now on arrays end where their pages end, or begin where they begin."""
    _after[0] = after
