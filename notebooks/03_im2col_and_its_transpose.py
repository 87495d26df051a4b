# %% [markdown]
# # 3. im2col and its transpose
#
# At the end you can say where every number of `im2col` comes from, what it costs, and when it costs nothing.
# You can write it down as a matrix of zeros and ones, and you know that `col2im` is that matrix transposed:
# not its inverse. The backward pass of every convolution is then three lines.
#
# You need [Convolution by hand](01_convolution_by_hand.ipynb), and matrix products and transposes.
#
# | symbol | meaning |
# |---|---|
# | $x$ | an image of $C$ channels with $H$ rows and $W$ columns; here mostly one channel |
# | $K_H, K_W$ | rows and columns of the kernel, $K$ where they are equal; $(u, v)$ is one of its taps |
# | $O_H, O_W$ | rows and columns of the output; $(i, j)$ is one of its pixels, and one window |
# | cols | what im2col makes: a row for each channel and tap, a column for each window |
# | $A$ | im2col as a matrix: $\text{cols} = A\,x$, both written as long vectors |

# %%
import inspect

import matplotlib.pyplot as plt
import numpy as np

from npdsconv import col2im, conv2d, conv2d_backward, depthwise_conv2d, im2col, pointwise_conv2d
from npdsconv.lessons import exercise, pictures, worked_examples
from npdsconv.lessons.pictures import show
from npdsconv.lessons.pictures.animate import col2im_film, im2col_film
from npdsconv.lessons.pictures.memory import coloured, pixel_colours, zeros_and_ones
from npdsconv.ops import windows
from npdsconv.plots import INPUT, KERNEL, OUTPUT, WINDOW
from npdsconv.shapes import resolve_window

rng = np.random.default_rng(4)
x = np.arange(20.0).reshape(1, 1, 4, 5)  # pixel number k holds the number k
window = resolve_window("lesson", (4, 5), (2, 3))  # a kernel of 2 rows and 3 columns
(KH, KW), (OH, OW) = window.kernel, window.output
assert (OH, OW) == (3, 3)

# %% [markdown]
# ## Windows without copying
#
# An array in NumPy is a piece of memory and, for each axis, a *stride*: how many places to walk for the next
# index. (NumPy counts in bytes. We divide by the size of a number.) Our image has 5 columns, so one row down
# is 5 places on, and one column to the right is 1 place on.
#
# To see all windows, no pixel has to move. Pixel $(u, v)$ of window $(i, j)$ is pixel $(i+u,\, j+v)$ of the
# image. So $i$ and $u$ both walk 5 places, $j$ and $v$ both 1. It takes nothing but new strides, on the old
# memory. With a convolution stride $s$ (a different thing by the same name), $i$ walks $s$ rows at once.
# With a dilation $d$, $u$ walks $d$ rows at once. The library's `windows` does exactly this: NumPy's
# `sliding_window_view` sets the strides, and slices with steps do the rest. The result is read-only, since
# one pixel now appears under many names.
#
# Image number $n$ and channel $c$ are two more axes in front, here of length 1. The assertions follow every
# index to its number: pixel $k$ holds the number $k$, so the number is the address.

# %%
print(inspect.getsource(windows.windows))
print(f"{'':24}{'(N, C, OH, OW, KH, KW)':24} walks for i, j, u, v")
settings = {
    "plain": {},
    "stride 2 down": {"stride": (2, 1)},
    "dilation 2 to the right": {"dilation": (1, 2)},
}
for title, how in settings.items():
    geometry = resolve_window("lesson", (4, 5), (2, 3), **how)
    fields = windows.windows(x, geometry)
    walks = [stride // x.itemsize for stride in fields.strides[2:]]
    print(f"{title:24}{fields.shape!s:24} {walks}")
    assert np.shares_memory(fields, x)
    assert not fields.flags.writeable
    (sh, sw), (dh, dw) = geometry.stride, geometry.dilation
    assert walks == [sh * 5, sw, dh * 5, dw]
    for i, j, u, v in np.ndindex(fields.shape[2:]):
        assert fields[0, 0, i, j, u, v] == np.dot((i, j, u, v), walks)

# %% [markdown]
# ## Columns: two ways to read one matrix
#
# A matrix product needs a matrix, and six axes with such strides are not one. So `columns` reorders the
# axes to $(u, v)$ first and $(i, j)$ last, and asks for a matrix. Now numbers have to be written several
# times: this `reshape` is the copy.
#
# In the picture each pixel keeps its colour. Read the matrix in two ways.
#
# * **A column is a window** (orange): all that one output pixel reads.
# * **A row is what one tap sees** (green): the image without a margin, shifted by $(u, v)$. All rows are
#   nearly the same picture. That is why colours run along diagonals.

# %%
print(inspect.getsource(windows.columns))
cols = im2col(x, window.kernel)[0]
colours = pixel_colours((4, 5))
moved = im2col(colours.transpose(2, 0, 1)[:, None], window.kernel).transpose(1, 2, 0)  # colours go along

chosen_window, chosen_tap = (1, 2), (1, 0)
(i, j), (u, v) = chosen_window, chosen_tap
column, row = i * OW + j, u * KW + v
assert np.array_equal(cols[:, column], x[0, 0, i : i + KH, j : j + KW].ravel())
assert np.array_equal(cols[row], x[0, 0, u : u + OH, v : v + OW].ravel())

figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), width_ratios=[4, 7], layout="constrained")
coloured(axes[0], x[0, 0], colours, "x")
pictures.outline(axes[0], (i - 0.5, j - 0.5), (KH, KW), WINDOW, inset=-0.02)
pictures.outline(axes[0], (u - 0.5, v - 0.5), (OH, OW), KERNEL, inset=0.06)
taps = [f"tap {at}" for at in np.ndindex(KH, KW)]
coloured(axes[1], cols, moved, "cols", rows=taps, columns=[str(at) for at in np.ndindex(OH, OW)])
axes[1].set_xlabel("window (i, j)", fontsize=9)
pictures.outline(axes[1], (-0.5, column - 0.5), (KH * KW, 1), WINDOW)
pictures.outline(axes[1], (row - 0.5, -0.5), (1, OH * OW), KERNEL, inset=0.06)
plt.show()

# %% [markdown]
# Play it: the window slides, the matrix fills, and its product with the kernel is the output.

# %%
im2col_film(
    np.array([[1.0, 2, 0, 3], [4, 1, 2, 0], [0, 3, 1, 2], [2, 0, 4, 1]]), np.array([[1.0, 2], [-1, 3]])
)

# %% [markdown]
# ## A convolution is one matrix product
#
# With more channels, their rows stand below each other: first all taps of channel 0, then all taps of
# channel 1. Write the kernels that belong to one output channel as one row, in the same order. Then row
# times column is a whole sum of the convolution, over taps *and* channels:
#
# $$y_{o,\,(i,j)} = \sum_{(c,u,v)} w_{o,\,(c,u,v)} \; \text{cols}_{(c,u,v),\,(i,j)}$$
#
# A **depthwise** convolution fits in the same picture. Its filters read one channel each, so its big matrix
# is zero outside of blocks on the diagonal. Nobody multiplies by these zeros: the library does one small
# product for each block instead. Of $C$ blocks in a row, one is used. This is the $C$ that depthwise saves.
#
# In the picture orange frames mark channel 0 and what reads it: above all output channels, below only the $M$
# filters of that channel. Empty cells are zeros.

# %%
C, O, M = 2, 3, 2
images = rng.integers(0, 5, (1, C, 3, 4)).astype(float)
w_standard = rng.integers(-2, 3, (O, C, 2, 2)).astype(float)
w_depth = rng.integers(1, 4, (C, M, 2, 2)).astype(float)

cols2 = im2col(images, 2)[0]
blocks = np.zeros((C * M, C * 4))
for c in range(C):
    blocks[c * M : (c + 1) * M, c * 4 : (c + 1) * 4] = w_depth[c].reshape(M, 4)

figure, axes = plt.subplots(2, 3, figsize=(10, 6), width_ratios=[8, 6, 6], layout="constrained")
rows = (("standard", w_standard.reshape(O, -1)), ("depthwise", blocks))
for (left, middle, right), (name, matrix) in zip(axes, rows, strict=True):
    zeros = [at for at in np.ndindex(matrix.shape) if name == "depthwise" and blocks[at] == 0]
    pictures.tensor(left, matrix, f"w, {name}", KERNEL, empty=zeros, room=(8, 8))
    pictures.tensor(middle, cols2, "cols", INPUT)
    pictures.tensor(right, matrix @ cols2, "w · cols", OUTPUT, room=(8, 6))
    reads = O if name == "standard" else M  # output channels that read channel 0
    for ax, size in ((left, (reads, 4)), (middle, (4, 6)), (right, (reads, 6))):
        pictures.outline(ax, (0, 0), size, WINDOW)
plt.show()

np.testing.assert_array_equal((w_standard.reshape(O, -1) @ cols2).ravel(), conv2d(images, w_standard).ravel())
np.testing.assert_array_equal((blocks @ cols2).ravel(), depthwise_conv2d(images, w_depth).ravel())
used = (blocks != 0).mean()
print(f"of the depthwise matrix, {used:.0%} is not zero; C = {C}")
assert used == 1 / C

# %% [markdown]
# ## A formula that forgot im2col
#
# The [fourth source document](24_document_large_models_and_fine_tuning.ipynb) defines convolution by
# $\text{output}_{ij} = \sum_k \text{weight}_{ik} \cdot \text{input}_{kj}$, where $i, j$ and $k$ are rows and
# columns of the kernel and of the image. That is a matrix product of the kernel with the *image*. For a 2×2
# kernel and a 3×3 image it does not even exist. Surround the kernel with zeros to make it fit, and it
# exchanges rows of the image. It never looks at a neighbour to the left or right, for a matrix on the left of
# a product only adds up whole rows.
#
# The formula becomes right when its input is the matrix of columns, and its weight is the kernel as a row.

# %% tags=["E48"]
image = worked_examples.two_equal_filters.x
kernel = np.array([[0.0, 1], [1, 0]])
convolved = conv2d(image, kernel[None, None])[0, 0]

try:
    kernel @ image[0, 0]
except ValueError:
    defined = False
else:
    defined = True
print("kernel (2, 2) times image (3, 3) is defined:", defined)
assert not defined

embedded = np.pad(kernel, ((0, 1), (0, 1)))
show("the kernel in a 3×3 frame, times the image", embedded @ image[0, 0])
assert np.array_equal(embedded @ image[0, 0], [*image[0, 0, [1, 0]], [0, 0, 0]])  # rows 1 and 0, then zeros
show("the kernel as a row, times the columns", kernel.reshape(1, 4) @ im2col(image, 2)[0])
assert np.array_equal((kernel.reshape(1, 4) @ im2col(image, 2)[0]).ravel(), convolved.ravel())

# %% [markdown]
# ## Pointwise: im2col is the identity
#
# A 1×1 window is a pixel. So for a pointwise convolution the columns *are* the image, its rows of pixels
# written one after the other. `im2col` then copies nothing, it returns a view. The library does not even call
# it: one product of the $(O, C)$ matrix with the $(C, H W)$ image is the whole operator.

# %%
photo = rng.integers(-4, 5, (2, 3, 4, 5)).astype(float)
mix = rng.integers(-4, 5, (7, 3)).astype(float)

same = im2col(photo, 1)
assert np.array_equal(same, photo.reshape(2, 3, 20))
assert np.shares_memory(same, photo)
np.testing.assert_array_equal((mix @ same).reshape(2, 7, 4, 5), pointwise_conv2d(photo, mix))
assert not np.shares_memory(im2col(photo, 2), photo)
print(f"1×1: {photo.shape} becomes {same.shape}, a view;  2×2: {im2col(photo, 2).shape}, a copy")

# %% [markdown]
# ## What it costs
#
# Each of the $O_H O_W$ windows writes $K_H K_W$ numbers for each channel. Beside the image, that is
#
# $$\frac{\text{cols}}{x} = K_H K_W \cdot \frac{O_H O_W}{H W} ,$$
#
# so $K_H K_W$ times the memory when the size is kept. A stride $s$ divides it by about $s^2$, since fewer
# windows are made. When windows only touch ($s = K$), nothing is written twice.
#
# For one layer with 64 channels of 28×28 pixels, in float32, and a batch of 128 images:

# %%
layer = np.zeros((1, 64, 28, 28), np.float32)
print(f"x alone: {128 * layer.nbytes / 2**20:.1f} MiB")
for size, how in ((1, {}), (2, {"stride": 2}), (3, {}), (3, {"stride": 2}), (5, {}), (7, {})):
    how = {"padding": size // 2, **how} if size % 2 else how
    geometry = resolve_window("lesson", (28, 28), (size, size), **how)
    columns = im2col(layer, size, **how)
    ratio = columns.nbytes / layer.nbytes
    stride = geometry.stride[0]
    print(f"K = {size}, stride {stride}: {128 * columns.nbytes / 2**20:7.1f} MiB, {ratio:5.2f} times x")
    assert ratio == size**2 * geometry.pixels / 28**2
    assert stride > 1 or ratio == size**2

# %% [markdown]
# That is a lot to write and to read for numbers that were there before. The compiled tier makes the columns
# of a *single image* at a time, in a buffer that stays in the processor's cache. For depthwise it makes none
# at all.
#
# ## im2col is a matrix
#
# Every number of cols is a pixel, unchanged. So im2col is *linear*: write the image as a long vector, write
# cols as a long vector, and there is a matrix $A$ of zeros and ones with $\text{cols} = A\,x$. To find it,
# feed in images that are 1 at one pixel and 0 elsewhere. Each gives one column of $A$. The function below
# finds the matrix of any linear map in this way.
#
# Do the same with col2im, the map that goes from columns back to an image: `col2im(cols, size, taps)`. Then
# look at both. A coloured cell is a 1, in the colour of its pixel; other numbers are written into the cell.


# %%
def matrix_of(linear_map, shape):
    """The matrix of a linear map that takes arrays of `shape`: one column for each of their numbers."""
    units = np.eye(int(np.prod(shape))).reshape(-1, *shape)
    return np.stack([linear_map(unit).ravel() for unit in units], axis=1)


def both_matrices(size, taps, **how):
    """im2col and col2im for one image of one channel, as matrices."""
    shape = im2col(np.zeros((1, 1, *size)), taps, **how).shape
    there = matrix_of(lambda image: im2col(image, taps, **how), (1, 1, *size))
    back = matrix_of(lambda cols: col2im(cols, size, taps, **how), shape)
    return there, back


small = (3, 4)
A, B = both_matrices(small, 2)
image = rng.integers(-5, 6, (1, 1, *small)).astype(float)
assert np.array_equal(A @ image.ravel(), im2col(image, 2).ravel())
assert (A.sum(axis=1) == 1).all()  # one 1 in each row: a copy of one pixel
assert np.array_equal(B, A.T)  # col2im is the transpose
assert np.array_equal(B @ A, np.diag(A.sum(axis=0)))

pixel = pixel_colours(small).reshape(1, -1, 3)
figure, axes = plt.subplots(1, 3, figsize=(11, 4.6), width_ratios=[12, 24, 12], layout="constrained")
zeros_and_ones(axes[0], A, "A: im2col", np.broadcast_to(pixel, (*A.shape, 3)), every=6)
zeros_and_ones(axes[1], B, "col2im", np.broadcast_to(pixel.transpose(1, 0, 2), (*B.shape, 3)))
zeros_and_ones(axes[2], B @ A, "col2im · im2col", np.broadcast_to(pixel, (12, 12, 3)))
axes[0].set(xlabel="pixels", ylabel="tap by tap, all windows")
axes[1].set(xlabel="tap by tap, all windows", ylabel="pixels")
axes[2].set(xlabel="pixels", ylabel="pixels")
plt.show()

# %% [markdown]
# **Left:** each row of $A$ holds a single 1. A column has as many as there are windows that read its pixel.
# The four bands are the four taps, and each is the same staircase, shifted.
#
# **Middle:** col2im is exactly $A^{\mathsf T}$. Where $A$ copied a pixel to several places, $A^{\mathsf T}$
# adds up what stands in these places.
#
# **Right:** so col2im after im2col is $A^{\mathsf T} A$. It is diagonal, and the numbers on the diagonal say
# how often each pixel was read. There and back, a pixel is multiplied by its count. An inverse would give
# it back as it was.
#
# ## When it is the inverse after all
#
# If every pixel is read exactly once, all counts are 1 and $A^{\mathsf T} A$ is the identity. That happens
# when windows touch and do not overlap, and fill the image: patches. If they leave pixels out, these have
# count 0. They are lost.

# %%
cases = {
    "windows overlap": ((4, 6), {"kernel_size": 2}),
    "patches": ((4, 6), {"kernel_size": 2, "stride": 2}),
    "patches, one column over": ((4, 7), {"kernel_size": 2, "stride": 2}),
}
counts = {}
for title, (size, how) in cases.items():
    image = rng.integers(1, 10, (1, 1, *size)).astype(float)
    there_and_back = col2im(im2col(image, **how), size, **how)
    counts[title] = (there_and_back / image)[0, 0]
    returned = np.array_equal(there_and_back, image)
    print(f"{title:24} image came back unchanged: {returned}")
    assert returned == (title == "patches")
assert (counts["patches, one column over"][:, -1] == 0).all()
pictures.counts(counts)

# %% [markdown]
# ## Stride, padding, dilation: always the transpose
#
# Nothing changes with other geometries, except which ones stand where. With padding, some entries of cols
# read a zero from outside: their rows of $A$ are empty. With large strides some pixels are never read: their
# columns are empty. Three facts hold every time:
#
# 1. no row of $A$ has more than one 1;
# 2. the matrix of col2im is $A^{\mathsf T}$;
# 3. for all images $x$ and all columns $z$: $\;\langle A x, z\rangle = \langle x, A^{\mathsf T} z\rangle$,
#    where $\langle a, b\rangle$ multiplies number by number and adds up. This *adjoint identity* needs
#    no matrix, so it can be tested at any size.
#
# The cell checks all three and counts, for each geometry, the ones and the empty rows and columns of $A$.

# %%
settings = {
    "plain": {},
    "stride": {"stride": (2, 1)},
    "wide stride": {"stride": 4},
    "padding": {"padding": ((1, 2), (0, 1))},
    "dilation": {"dilation": (1, 2)},
    "all of them": {"stride": (2, 3), "padding": (2, 1), "dilation": (2, 1)},
}
print(f"{'':12} {'A':>10}  ones  empty rows  empty columns  most in a column")
for title, how in settings.items():
    A, B = both_matrices((6, 5), (3, 2), **how)
    in_row, in_column = A.sum(axis=1).astype(int), A.sum(axis=0).astype(int)
    empty, most = [(ones == 0).sum() for ones in (in_row, in_column)], in_column.max()
    print(f"{title:12} {A.shape!s:>10} {in_row.sum():5} {empty[0]:11} {empty[1]:14} {most:17}")
    assert in_row.max() == 1
    assert (in_row == 0).any() == ("padding" in how)
    assert np.array_equal(B, A.T)

    images = rng.integers(-9, 10, (2, 3, 6, 5)).astype(float)
    cols = im2col(images, (3, 2), **how)
    z = rng.integers(-9, 10, cols.shape).astype(float)
    assert (cols * z).sum() == (images * col2im(z, (6, 5), (3, 2), **how)).sum()

# %% [markdown]
# ## How to add without losing anything
#
# Nobody multiplies by $A^{\mathsf T}$, of course. How should code add columns onto an image? The obvious
# line is wrong: list for every entry the pixel it came from, and write `image[rows, columns] += entries`.
# NumPy fetches all these pixels first, adds, then writes them back. A pixel that is listed four times keeps
# only the last of four sums.
#
# The library goes tap by tap. One row of cols, what a single tap has seen, never holds a pixel twice. It is
# a regular grid of the image, so a slice can be used, and `+=` on a slice is safe. Instead of a loop over
# all entries there is one over $K_H K_W$ taps.

# %%
print(inspect.getsource(windows.scatter_columns))

entries = np.ones((1, 4, 6))
place = im2col(np.arange(12.0).reshape(1, 1, 3, 4), 2).astype(int)  # for every entry, the number of its pixel
careless = np.zeros(12)
careless[place] += entries
careful = np.zeros(12)
np.add.at(careful, place, entries)  # adds one by one: right, and slow
assert np.array_equal(careful.reshape(1, 1, 3, 4), col2im(entries, (3, 4), 2))
assert not np.array_equal(careless, careful)
assert all(len(set(tap)) == len(tap) for tap in place[0])  # no tap sees a pixel twice
pictures.counts({"careless +=": careless.reshape(3, 4), "col2im": careful.reshape(3, 4)})

# %% [markdown]
# ## Three lines of backward pass
#
# Forward, a convolution is $y = w \cdot \text{cols}$ with $\text{cols} = A x$: a product after a product.
# Given $dy$, the derivatives of a loss for the outputs, the chain rule goes back through both:
#
# 1. $d\text{cols} = w^{\mathsf T} dy$, since cols was multiplied by $w$;
# 2. $dx = A^{\mathsf T} d\text{cols}$, since $x$ was multiplied by $A$: this is col2im;
# 3. $dw = dy \; \text{cols}^{\mathsf T}$, since $w$ was multiplied by cols.
#
# A pixel that was read by four windows has four ways to change the loss, so four derivatives add up. The
# counts on the diagonal have turned up again. [The backward pass](05_the_backward_pass.ipynb) derives the
# same without matrices. Compare with the library's naive tier, on an odd geometry and two images. ($dw$ adds
# up what both images say.)

# %%
how = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)}
x = rng.integers(-5, 6, (2, 3, 7, 6)).astype(float)
w = rng.integers(-5, 6, (4, 3, 3, 2)).astype(float)
y = conv2d(x, w, **how, impl="naive")
dy = rng.integers(-5, 6, y.shape).astype(float)

cols, w_rows, dy_rows = im2col(x, (3, 2), **how), w.reshape(4, -1), dy.reshape(2, 4, -1)
dcols = w_rows.T @ dy_rows
dx = col2im(dcols, (7, 6), (3, 2), **how)
dw = (dy_rows @ cols.swapaxes(1, 2)).sum(axis=0).reshape(w.shape)  # summed over the two images

assert np.array_equal((w_rows @ cols).reshape(y.shape), y)
expected_dx, expected_dw, _ = conv2d_backward(dy, x, w, **how, impl="naive")
np.testing.assert_array_equal(dx, expected_dx)
np.testing.assert_array_equal(dw, expected_dw)
print("dx", dx.shape, "and dw", dw.shape, "agree with the naive loops in every number")

# %% [markdown]
# Play it: each window gives back what it read. Where windows overlap, the numbers add up.

# %%
col2im_film(np.array([[1.0, 2, 0], [3, -1, 1], [2, 0, 4]]), np.array([[1.0, 2], [-1, 3]]), (4, 4))

# %% [markdown]
# ## Exercises
#
# Put your answer in the place of the line that raises, then run the cell and the check below it.
#
# ### Exercise 1: the matrix, from indices
#
# Build $A$ without calling im2col, for one channel. The row of tap $(u, v)$ and window $(i, j)$ is
# $(u K_W + v)\, O_H O_W + i\, O_W + j$. The pixel it reads is row $i s_h + u d_h - \text{top}$, column
# $j s_w + v d_w - \text{left}$. If that lies outside the image, the row stays empty. All you need is in
# `window`: `kernel`, `output`, `stride`, `dilation` are pairs (down, across), and `padding` is ((top,
# bottom), (left, right)).


# %% tags=["exercise"]
def selection_matrix(size, window):
    """The 0/1 matrix (KH·KW·OH·OW, H·W) of im2col for one image of `size`, one channel."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_1_selection_matrix():
    for how in settings.values():
        window = resolve_window("exercise", (6, 5), (3, 2), **how)
        assert np.array_equal(selection_matrix((6, 5), window), both_matrices((6, 5), (3, 2), **how)[0])


# %% [markdown]
# ### Exercise 2: put an image together again
#
# An image was cut into overlapping windows, each window was worked on, and now you want one image back.
# Where windows overlap, take the *mean* of what they say. Pixels that no window has read become 0.
# *Hint: two calls of col2im. For windows nobody has touched, the image has to come back as it was.*


# %% tags=["exercise"]
def put_together(cols, size, kernel_size, stride):
    """cols (N, C·KH·KW, OH·OW) -> image (N, C, H, W): for each pixel the mean over its windows."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_2_put_together():
    photo = rng.standard_normal((2, 3, 9, 8))
    for kernel_size, stride in (((2, 3), 1), ((3, 3), 2), ((2, 2), 3)):
        cols = im2col(photo, kernel_size, stride=stride)
        back = put_together(cols, (9, 8), kernel_size, stride)
        read = col2im(np.ones_like(cols), (9, 8), kernel_size, stride=stride) > 0
        np.testing.assert_allclose(back, np.where(read, photo, 0))
    noisy = np.array([[[1.0, 5], [3, 7]]])  # two windows of two pixels, in a row of three: 1 3 and 5 7
    np.testing.assert_allclose(put_together(noisy, (1, 3), (1, 2), 1)[0, 0, 0], [1, 4, 7])
