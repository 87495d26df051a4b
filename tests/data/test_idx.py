"""The IDX reader: exact on good files, one clear error on every kind of bad one."""

import gzip
import struct

import numpy as np
import pytest

from npdsconv.data import idx, read_idx

HEADER = bytes([0, 0, 0x08, 2, 0, 0, 0, 2, 0, 0, 0, 3])  # uint8, 2 dimensions: 2 x 3
PIXELS = bytes([7, 1, 255, 0, 9, 4])


def test_reads_a_file_worked_by_hand(tmp_path):
    (tmp_path / "a").write_bytes(HEADER + PIXELS)
    array = read_idx(tmp_path / "a")
    assert array.dtype == np.uint8
    assert not array.flags.writeable
    np.testing.assert_array_equal(array, [[7, 1, 255], [0, 9, 4]])


@pytest.mark.parametrize("name", ["a.gz", "a"])
def test_gzip_is_told_by_content_not_by_name(tmp_path, name):
    (tmp_path / name).write_bytes(gzip.compress(HEADER + PIXELS))
    np.testing.assert_array_equal(read_idx(str(tmp_path / name)), [[7, 1, 255], [0, 9, 4]])


def test_multi_byte_elements_are_big_endian(tmp_path):
    (tmp_path / "a").write_bytes(bytes([0, 0, 0x0C, 1, 0, 0, 0, 2]) + struct.pack(">ii", 1, -70000))
    array = read_idx(tmp_path / "a")
    assert array.dtype.isnative
    np.testing.assert_array_equal(array, [1, -70000])


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 5), (0, 4)])
def test_encode_and_decode_are_inverse(dtype, shape):
    array = (np.random.default_rng(3).normal(size=shape) * 50).astype(dtype)
    back = idx.decode(idx.encode(array), "memory")
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", r"a: truncated: 0 bytes, the magic number takes 4"),
        (HEADER[:3], r"a: truncated: 3 bytes, the magic number takes 4"),
        (b"PNG" + HEADER, r"a: not an IDX file: it starts with 50 4e 47 00, not 00 00"),
        (bytes([0, 0, 0x0A, 1]), r"a: dtype code 0a is unknown; known are 08, 09, 0b, 0c, 0d, 0e"),
        (bytes([0, 0, 0x08, 0]), r"a: 0 dimensions; an IDX file has at least 1"),
        (HEADER[:9], r"a: truncated: 9 bytes, 2 dimensions take 12"),
        (HEADER + PIXELS[:5], r"a: truncated: uint8 of shape \(2, 3\) takes 18 bytes, not 17"),
        (HEADER + PIXELS + b"\0", r"a: trailing bytes: uint8 of shape \(2, 3\) takes 18 bytes, not 19"),
        (gzip.compress(HEADER + PIXELS, mtime=0)[:-6], r"a: damaged gzip file of \d+ bytes"),
        (b"\x1f\x8bnothing of the sort", r"a: damaged gzip file of 21 bytes"),
    ],
)
def test_a_bad_file_is_one_clear_error(tmp_path, raw, message):
    (tmp_path / "a").write_bytes(raw)
    with pytest.raises(ValueError, match=r"^read_idx: .*" + message):
        read_idx(tmp_path / "a")


def test_a_flipped_byte_in_the_compressed_data_is_found(tmp_path):
    packed = bytearray(gzip.compress(HEADER + PIXELS * 20))
    packed[-5] ^= 1  # within the checksum of the content
    (tmp_path / "a").write_bytes(packed)
    with pytest.raises(ValueError, match="damaged gzip file"):
        read_idx(tmp_path / "a")


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"read_idx: there is no file .*absent"):
        read_idx(tmp_path / "absent")


@pytest.mark.parametrize("array", [np.zeros((2, 3), np.int64), np.zeros((), np.uint8)])
def test_encode_refuses_what_idx_cannot_hold(array):
    with pytest.raises(ValueError, match=r"encode: dtype \w+ with \d dimensions has no IDX form"):
        idx.encode(array)
