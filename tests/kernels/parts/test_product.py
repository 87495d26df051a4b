"""Tiles of a matrix product: every count of rows and columns, both dtypes, plain, transposed and over a window."""

import numpy as np
import pytest
from helpers import normal

from npdsconv.kernels import pointwise
from npdsconv.kernels.machine import micro_kernel
from npdsconv.kernels.machine.jit import kernel, prange
from npdsconv.kernels.machine.lanes import pointer
from npdsconv.kernels.parts import partial_sums, product
from npdsconv.kernels.parts.product import multiply

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-13}


@kernel
def _one_panel(x, x_step, steps, counts, panel, start, rows, columns, y):
    for _ in prange(1):
        of_x, of_panel, of_y = pointer(x, 0), (pointer(panel, 0), pointer(start, 0)), pointer(y, 0)
        multiply(of_x, x_step, steps, counts, *of_panel, rows, columns, of_y, y.shape[1])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 7, 11, 12, 13, 27])
def test_a_panel_has_any_number_of_rows_and_columns(rows, dtype):
    width = micro_kernel.panel_width(dtype)
    for columns in (1, width // 2 - 1, width // 2, width // 2 + 1, width - 1, width):
        x, w, b = (normal(*s, dtype=dtype) for s in ((rows, 6), (6, columns), (columns,)))
        y = np.full((rows + 1, columns + 3), 7.0, dtype)
        panel, start = product.pack_matrix(w)[0], product.whole_panels(b, columns, dtype)
        _one_panel(x, 6, (0, 0, 1), (1, 1, 6), panel, start, rows, columns, y)
        np.testing.assert_allclose(y[:rows, :columns], x @ w + b, rtol=0, atol=6 * TOLERANCE[dtype])
        assert (y[rows:] == 7).all()
        assert (y[:, columns:] == 7).all(), "nothing beside the tile is written"


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_sum_may_run_over_a_window(dtype):
    """Three levels: rows of the kernel, its columns two pixels apart, channels."""
    image, w = normal(5, 9, 4, dtype=dtype), normal(2, 3, 4, 10, dtype=dtype)
    panel, zero = product.pack_matrix(w.reshape(24, 10))[0], product.whole_panels(None, 10, dtype)
    y = np.empty((5, 10), dtype)
    _one_panel(image, 4, (9 * 4, 2 * 4, 1), (2, 3, 4), panel, zero, 5, 10, y)
    expected = [sum(image[u, j + 2 * v] @ w[u, v] for u in range(2) for v in range(3)) for j in range(5)]
    np.testing.assert_allclose(y, expected, rtol=0, atol=24 * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("pixels", "inputs", "outputs"),
    [(1, 1, 1), (3, 5, 2), (253, 7, 33), (505, 20, 13), (40, 140, 65), (600, 3, 5)],
)
def test_products_of_any_size(pixels, inputs, outputs, dtype):
    x, w, b = (
        normal(pixels, inputs, dtype=dtype),
        normal(outputs, inputs, dtype=dtype),
        normal(outputs, dtype=dtype),
    )
    dy = normal(pixels, outputs, dtype=dtype)
    atol = TOLERANCE[dtype] * max(pixels, inputs)
    np.testing.assert_allclose(pointwise.product(x, w, b), x @ w.T + b, rtol=0, atol=atol)
    np.testing.assert_allclose(pointwise.product(x, w, None), x @ w.T, rtol=0, atol=atol)
    np.testing.assert_allclose(
        pointwise.product_of(dy, w), dy @ w, rtol=0, atol=TOLERANCE[dtype] * outputs * 2
    )
    np.testing.assert_allclose(pointwise.product_of_transposed(dy, x), dy.T @ x, rtol=0, atol=atol)


@pytest.mark.parametrize("rows", [0, 1, 4, 5, 255, 256, 257, 512, 513, 600, 6272])
def test_blocks_of_rows_are_equal(rows):
    block = product.block_rows(rows)
    blocks = -(-rows // block)
    assert block % product.FEW_ROWS == 0
    assert block <= product.BLOCK_ROWS
    assert blocks <= max(1, -(-rows // product.BLOCK_ROWS)), "no more blocks than it takes"
    assert blocks * block - rows < max(1, blocks) * product.FEW_ROWS, (
        "the last block is about as long as the others"
    )


def test_products_without_rows():
    empty = np.zeros((0, 3), np.float32)
    assert pointwise.product(empty, normal(4, 3, dtype=np.float32), None).shape == (0, 4)
    np.testing.assert_array_equal(pointwise.product_of_transposed(empty[:, :2], empty), np.zeros((2, 3)))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(16, 16), (32, 16), (16, 37), (45, 37), (70, 33), (5, 3), (15, 17)])
def test_panels_of_a_transpose(shape, dtype):
    """Squares of sixteen by sixteen, which are transposed in registers, and what is left beside them."""
    w = normal(*shape, dtype=dtype)
    found, expected = product.pack_matrix(w, transposed=True), product.pack_matrix(np.ascontiguousarray(w.T))
    np.testing.assert_array_equal(found, expected)
    whole = found.swapaxes(0, 1).reshape(shape[1], -1)
    np.testing.assert_array_equal(whole[:, : shape[0]], w.T)
    assert not whole[:, shape[0] :].any()


def test_panels_are_filled_up_with_zeros():
    w = normal(3, 40, dtype=np.float32)
    cut = product.pack_matrix(w)
    width = micro_kernel.panel_width(np.float32)
    assert cut.shape == (-(-40 // width), 3, width)
    whole = cut.swapaxes(0, 1).reshape(3, -1)
    np.testing.assert_array_equal(whole[:, :40], w)
    assert not whole[:, 40:].any()
    np.testing.assert_array_equal(product.whole_panels(w[0], 40, np.float32)[:40], w[0])


@pytest.mark.parametrize("shape", [(1, 5, 3), (7, 30, 31), (40, 50, 60)])
def test_partial_sums_are_added_in_their_order(shape):
    terms = normal(*shape, dtype=np.float32)
    expected = np.zeros(shape[1:], np.float32)
    for term in terms:
        expected = expected + term
    np.testing.assert_array_equal(partial_sums.add_up(terms), expected)
