# %% [markdown]
# # 4. Memory layout: a shape is what you mean, a stride is where it lies
#
# At the end you can say where in memory any element of an array lies, keep a chain of operations in one
# layout, find the lines that silently change it, count the copies they cause, and explain why depthwise
# convolution wants its channels last.
#
# You need arrays of shape $(N, C, H, W)$, a little NumPy, and the two steps of
# [Convolution by hand](01_convolution_by_hand.ipynb): depthwise and pointwise.
#
# | symbol or word | meaning |
# |---|---|
# | $N, C, H, W$ | images, channels, rows, columns; $n$, $c$, and $(p, q)$ for a pixel, are their indices |
# | address | the number of a place in an array's memory; we count in numbers, NumPy counts in bytes |
# | stride of an axis | how many addresses to walk when its index grows by one |
# | NCHW | the layout in which $q$ runs fastest: whole channels, one after the other |
# | channels-last, NHWC | the layout in which $c$ runs fastest: whole pixels, one after the other |

# %%
import inspect
from contextlib import contextmanager
from time import perf_counter

import matplotlib.pyplot as plt
import numba
import numpy as np

from npdsconv import complexity, depthwise_conv2d, dropout, layout, pointwise_conv2d, relu
from npdsconv.layers import DepthwiseConv2d
from npdsconv.lessons import exercise
from npdsconv.lessons.pictures.memory import CHANNELS, strip
from npdsconv.models import separable_cnn

rng = np.random.default_rng(5)


def lies(x):
    """Where an (N, C, H, W) array lies in memory, in a word."""
    names = {"NCHW": x.flags.c_contiguous, "channels-last": x.transpose(0, 2, 3, 1).flags.c_contiguous}
    return " and ".join(name for name, so in names.items() if so) or "neither"


# %% [markdown]
# ## Memory is a strip
#
# Memory has no rows, columns or channels. It is one long strip of places, each with an address. Who stores an
# image has to decide what lies beside what. Take one image of 2×3 pixels and three channels. Each channel
# has a colour, and each cell is labelled with its pixel $pq$ (row, then column).
#
# Both strips hold *the same array*: the same shape, equal element by element. Above, all of channel 0 comes
# first: NumPy's own order. Below, the three channels of pixel 00 come first. So photographs are stored: red,
# green, blue of one pixel, then of the next.

# %%
N, C, H, W = 1, 3, 2, 3
x = np.arange(18.0).reshape(N, C, H, W)
x_last = layout.empty_nchw(x.shape, x.dtype)  # the same shape, channels-last in memory
x_last[...] = x
assert x_last.shape == x.shape
assert np.array_equal(x_last, x)
assert (lies(x), lies(x_last)) == ("NCHW", "channels-last")


def memory_of(array, name, ax, strong=()):
    """Draw the memory of an array: which element lies at each address."""
    numbers = np.arange(array.size).reshape(array.shape)
    like_it = np.empty_like(array)  # the same layout
    like_it[...] = numbers
    at = [np.unravel_index(int(k), array.shape) for k in like_it.ravel("K")]  # "K": in the order of memory
    strip(ax, [CHANNELS[c] for _, c, _, _ in at], [f"{p}{q}" for _, _, p, q in at], name, strong)


figure, axes = plt.subplots(2, 1, figsize=(9, 2.4), layout="constrained")
memory_of(x, f"NCHW, x {x.shape}", axes[0])
memory_of(x_last, f"channels-last, x {x_last.shape}", axes[1])
figure.legend(
    [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in CHANNELS[:C]],
    [f"channel {c}" for c in range(C)],
    loc="outside right center",
    frameon=False,
)
plt.show()

# %% [markdown]
# ## Strides: from indices to an address
#
# NumPy keeps two things beside the memory: the shape, and one stride for each axis. The element with indices
# $n, c, p, q$ lies at the address
#
# $$n \cdot s_N + c \cdot s_C + p \cdot s_H + q \cdot s_W .$$
#
# Look at the strips: to the next column it is 1 place above and 3 below; to the next channel it is 6 places
# above and 1 below. The two arrays differ in their strides only.
#
# So `transpose` moves nothing. It exchanges the strides along with the axes. Read the channels-last array
# as $(N, H, W, C)$ and its strides fall in order: it is an ordinary, contiguous NHWC array. `reshape` has
# it harder. It is free if the axes it merges lie behind each other in memory, and *copies* if not, without
# a word.

# %%
for array in (x, x_last):
    strides = [stride // array.itemsize for stride in array.strides]
    print(f"{lies(array):14} shape {array.shape}, strides {strides}")
    memory = array.ravel("K")
    for at in np.ndindex(array.shape):
        assert memory[np.dot(at, strides)] == array[at]

as_pixels = x_last.transpose(0, 2, 3, 1)
strides = [stride // x.itemsize for stride in as_pixels.strides]
print(f"\nchannels-last, read as {as_pixels.shape} with strides {strides}")
assert np.shares_memory(as_pixels, x_last)
assert as_pixels.flags.c_contiguous

two = np.concatenate([x, x + 18])  # two images
two_last = np.concatenate([x_last, x_last + 18])
print(f"\n{'reshape of two images':30} {'NCHW':6} channels-last")
for title, merge, expected in (
    ("(N, C, H·W): rows joined", lambda a: a.reshape(2, C, H * W), ["view", "view"]),
    ("(N, C·H·W): images as vectors", lambda a: a.reshape(2, C * H * W), ["view", "copy"]),
    ("(N·H·W, C): pixels as vectors", lambda a: a.transpose(0, 2, 3, 1).reshape(-1, C), ["copy", "view"]),
):
    verdict = ["view" if np.shares_memory(merge(a), a) else "copy" for a in (two, two_last)]
    print(f"{title:30} {verdict[0]:6} {verdict[1]}")
    assert verdict == expected

# %% [markdown]
# The last line is why the layout matters for **pointwise** convolution. It is a matrix product of all pixels
# with one matrix, $(N H W,\, C) \cdot (C,\, O)$. In channels-last memory the pixels of a whole batch *are*
# that matrix. In NCHW they have to be rearranged first, or each image needs a product of its own.
#
# ## The library's two views
#
# In this library every array has the shape $(N, C, H, W)$, and fast operators *lay* it channels-last. Nobody
# has to think of the layout in order to be right, only in order to be fast. Two functions translate. `nhwc`
# gives the contiguous $(N, H, W, C)$ reading: a view when that is possible, otherwise one copy. `nchw` is
# the way back, always a view. So compiled code sees one layout only, and a caller may bring any. (`readonly`
# copies if the memory is not in order, and forbids writing in any case.)

# %%
print(inspect.getsource(layout.nhwc))
print(inspect.getsource(layout.nchw))

for array in (x, x_last):
    view = layout.nhwc(array)
    free = np.shares_memory(view, array)
    print(f"nhwc of {lies(array):14} {'a view' if free else 'a copy'}, shape {view.shape}")
    assert free == (array is x_last)
    assert view.flags.c_contiguous
    assert np.array_equal(layout.nchw(view), array)
    assert lies(layout.nchw(view)) == "channels-last"
assert lies(np.zeros((4, 1, 5, 6))) == "NCHW and channels-last"  # one channel: the two are the same

y = depthwise_conv2d(x, np.ones((C, 1, 2, 2)))
print("what a fast operator returns:", lies(y))
assert lies(y) == "channels-last"

# %% [markdown]
# ## What keeps the layout
#
# NumPy has a good rule for functions that work element by element: the result lies as the inputs lie. As
# long as all inputs of full size agree, the layout stays. Small arrays that are stretched, such as one
# number for each channel, have no say.

# %%
x = layout.nchw(rng.standard_normal((2, 4, 5, 3), np.float32))  # made as (N, H, W, C), read as (N, C, H, W)
per_channel = np.ones((1, 3, 1, 1), np.float32)
keeps = {
    "-x": -x,
    "2 * x": 2 * x,
    "np.exp(x)": np.exp(x),
    "np.maximum(x, 0)": np.maximum(x, 0),
    "x + x": x + x,
    "x > 0": x > 0,
    "x + per_channel": x + per_channel,
    "x - x.mean((0, 2, 3), keepdims=True)": x - x.mean((0, 2, 3), keepdims=True),
    "x.astype(np.float64)": x.astype(np.float64),
    "np.empty_like(x)": np.empty_like(x),
    "np.where(x > 0, x, 0)": np.where(x > 0, x, 0),
    "x[:1]": x[:1],
}
for name, result in keeps.items():
    assert lies(result) == "channels-last", name
print("still channels-last:", *keeps, sep="\n  ")

# %% [markdown]
# ## What silently goes back
#
# Now the other list. Every line on the left looks innocent, and its numbers are right. But its result lies
# in NCHW, so the next fast operator has to copy. On the right is a line with the same numbers that keeps the
# layout.
#
# * **Mixed inputs.** A mask or a second image that lies in NCHW: NumPy finds that its inputs disagree, and
#   falls back to its own order. The remedy is to make masks and images channels-last where they are born.
# * **Functions with an order of their own.** `.copy()` means `order="C"`, while `np.copy(x)` keeps the
#   layout. `np.pad` starts a fresh array.
# * **Products.** `@` and `einsum` build their result in the order of its axes. Let the channels be the last
#   axis of the *result*.
# * **Stretched arrays.** `broadcast_to` gives strides of 0, which say nothing about an order.

# %%
mask = rng.random(x.shape) < 0.5  # NCHW, as NumPy makes it
mask_last = layout.nchw(np.ascontiguousarray(mask.transpose(0, 2, 3, 1)))
residual = np.ascontiguousarray(rng.standard_normal(x.shape, np.float32))
residual_last = layout.nchw(layout.nhwc(residual))
w = rng.standard_normal((3, 3), np.float32)
pixels, sides = layout.nhwc(x), ((0, 0), (1, 1), (1, 1), (0, 0))
mean = x.mean((2, 3), keepdims=True)

# (what is written often, what keeps the layout)
lines = [
    ("x * mask", "x * mask_last"),
    ("np.where(mask, x, 0)", "np.where(mask_last, x, 0)"),
    ("x + residual", "x + residual_last"),
    ("x.copy()", "x.copy(order='K')"),
    ("np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))", "layout.nchw(np.pad(pixels, sides))"),
    ("(w @ x.reshape(2, 3, 20)).reshape(2, 3, 4, 5)", "layout.nchw(pixels @ w.T)"),
    ("np.einsum('oc,ncpq->nopq', w, x)", "layout.nchw(np.einsum('npqc,oc->npqo', pixels, w))"),
    ("np.broadcast_to(mean, x.shape) * 1", "mean * np.ones_like(x)"),
]
print(f"{'back to NCHW':48} stays channels-last")
for often, kept in lines:
    first, second = eval(often), eval(kept)
    print(f"{often:48} {kept}")
    assert lies(first) == "NCHW"
    assert lies(second) == "channels-last"
    np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-6)

# %% [markdown]
# ## Counting copies
#
# Since all compiled operators read images through `layout.nhwc`, copies are easy to count: watch that one
# function. The next cell builds the counter and tries it.
#
# The cell after it has a chain as it occurs in a network: depthwise, ReLU, dropout, pointwise, the input
# added (a *residual*), and the depthwise step of the next block. It runs twice, with the same numbers. The
# careless run starts with an NCHW image and draws its dropout mask in NCHW. Copies are counted from the
# start.


# %%
@contextmanager
def copies_counted():
    """Yield a list to which every layout copy, while the block runs, adds its number of bytes."""
    original, made = layout.nhwc, []

    def watched(x):
        view = original(x)
        if not np.shares_memory(view, x):
            made.append(x.nbytes)
        return view

    layout.nhwc = watched
    try:
        yield made
    finally:
        layout.nhwc = original


with copies_counted() as made:
    pointwise_conv2d(x, w)  # channels-last: nothing
    pointwise_conv2d(residual, w)  # NCHW: one copy
print(f"an image of {residual.nbytes} bytes in each layout; bytes copied: {made}")
assert made == [residual.nbytes]

# %%
w_depth = rng.standard_normal((16, 1, 3, 3)).astype(np.float32)
w_point = rng.standard_normal((16, 16)).astype(np.float32)


def chain(x, mask):
    """A block and the beginning of the next; yields the name and the result of each step."""
    steps = {
        "depthwise": lambda y: depthwise_conv2d(y, w_depth, padding=1),
        "ReLU": relu,
        "dropout": lambda y: dropout(y, mask, 0.2),
        "pointwise": lambda y: pointwise_conv2d(y, w_point),
        "add the input": lambda y: y + x,
        "next depthwise": lambda y: depthwise_conv2d(y, w_depth, padding=1),
    }
    y = x
    for name, step in steps.items():
        y = step(y)
        yield name, y


start = layout.nchw(rng.standard_normal((8, 14, 14, 16), np.float32))
keep = layout.nchw(rng.random((8, 14, 14, 16)) < 0.8)
runs = {"careful": (start, keep), "careless": (np.ascontiguousarray(start), np.ascontiguousarray(keep))}
results, totals, table = {}, {}, {}
for run, arrays in runs.items():
    table[run] = []
    with copies_counted() as made:
        for name, y in chain(*arrays):
            table[run].append((name, lies(y), len(made)))
    results[run], totals[run] = y, len(made)

print(f"{'':15} {'careful':24} careless")
for (name, *kept), (_, *lost) in zip(*table.values(), strict=True):
    print(f"{name:15} {kept[0]:14} copies {kept[1]}  {lost[0]:14} copies {lost[1]}")
np.testing.assert_array_equal(results["careful"], results["careless"])
assert totals == {"careful": 0, "careless": 3}

# %% [markdown]
# The same numbers, and three copies. The NCHW image costs one at the start. Dropout answers in NCHW, so
# pointwise copies. The residual lies in NCHW, so the sum does, and the next depthwise step copies once more.
#
# The library's own layers take care: its dropout layer draws masks channels-last. Here is a forward pass of
# the default network in training mode, dropout included. The input has one channel, so it lies both ways
# at once.

# %%
model = separable_cnn(width=0.25, dropout=0.2, rng=0)
batch = rng.random((2, 1, 28, 28), np.float32)
with copies_counted() as made:
    logits, _ = model.forward(batch, train=True)
print(f"{batch.shape} to {logits.shape} through {len(model)} layers: {len(made)} layout copies")
assert made == []

# %% [markdown]
# ## What is read together should lie together
#
# A processor does not fetch numbers one by one. It fetches *lines*, on most machines of 64 bytes: 16 numbers
# in float32. And one instruction can multiply several neighbours at once, up to 16 of them. Both want runs:
# numbers that are used together and lie side by side. (The count below lets each array begin with a full
# line.)
#
# Mark what one output pixel reads, in all channels. Pointwise reads one pixel. Depthwise reads one window,
# here 2×2. In NCHW these numbers are scattered over the whole strip. Channels-last they are whole runs: one
# for the pixel, one for each row of the window. Then count the same for a real layer.

# %%
tiny = np.arange(36.0).reshape(1, 4, 3, 3)
tiny_last = layout.nchw(np.ascontiguousarray(tiny.transpose(0, 2, 3, 1)))


def addresses(array, rows, columns):
    """Where all channels of these pixels of image 0 lie, in order of memory."""
    steps = [stride // array.itemsize for stride in array.strides[1:]]
    return sorted(int(np.dot((c, p, q), steps)) for c in range(array.shape[1]) for p in rows for q in columns)


def runs_of(places):
    """Into how many pieces without a gap a sorted list of addresses falls."""
    return 1 + int((np.diff(places) > 1).sum())


reads = {"pointwise, one pixel": ([1], [1]), "depthwise, one 2×2 window": ([1, 2], [0, 1])}
figure, axes = plt.subplots(4, 1, figsize=(11, 4.6), layout="constrained")
found = []
for k, (name, (rows, columns)) in enumerate(reads.items()):
    for ax, array in zip(axes[2 * k : 2 * k + 2], (tiny, tiny_last), strict=True):
        places = addresses(array, rows, columns)
        found.append(runs_of(places))
        runs_found = f"{found[-1]} run{'s' if found[-1] > 1 else ''}"
        memory_of(array, f"{name}; {lies(array)} {array.shape}: {runs_found}", ax, places)
plt.show()
assert found == [4, 1, 8, 2]

real = np.empty((1, 32, 28, 28), np.float32)
real_last = layout.empty_nchw(real.shape, real.dtype)
window = range(10, 13), range(10, 13)
print("32 channels of 28×28 pixels in float32, one 3×3 window in all channels, lines of 64 bytes:")
for array in (real, real_last):
    places = addresses(array, *window)
    fetched = {place * array.itemsize // 64 for place in places}
    used = len(places) * array.itemsize / (64 * len(fetched))
    print(f"  {lies(array):14} {runs_of(places):3} runs, {len(fetched):3} lines, {used:.0%} of them used")
    assert used == 1 or array is real

# %% [markdown]
# ## Short rows, many channels
#
# In NCHW a depthwise convolution could run along a row of the output instead, and use the rest of each line
# for the next pixels. That is the rival to beat. It has two weaknesses. With stride 2, its neighbours are
# every second number. And its runs are as long as a *row*. Look at the library's default network
# (`complexity.summary` lists the shapes of all layers): rows get shorter and channels get more. The last
# blocks have rows of 7 numbers, where one instruction could do 16.

# %%
total = complexity.summary(separable_cnn(rng=0), (1, 28, 28))
stages = [row for row in total.rows if isinstance(row.layer, DepthwiseConv2d)]
print("depthwise step  stride  a row of the output  channels of a pixel")
for row in stages:
    channels, _, columns = row.output
    print(f"{row.name:14} {row.layer.stride[0]:7} {columns:20} {channels:20}")
channels, widths = [row.output[0] for row in stages], [row.output[2] for row in stages]
assert channels == sorted(channels)
assert widths == sorted(widths, reverse=True)
assert widths[-1] == 7
assert min(channels) > 16

# %% [markdown]
# ## The same loops in two orders
#
# To compare fairly, write both, and compile both. The six loops are the same, and so are the products. They
# differ in which loop is innermost: along a row, or along the channels. (Numba is told what the library's
# own kernels are told: a product and the sum it goes into may be one instruction.)


# %%
@numba.njit(error_model="numpy", fastmath={"contract"})
def along_rows(x, w, y, stride):
    """x (N, C, H, W), already padded; w (C, KH, KW); y (N, C, OH, OW), zero."""
    for n in range(y.shape[0]):
        for c in range(y.shape[1]):
            for i in range(y.shape[2]):
                total = y[n, c, i]
                for u in range(w.shape[1]):
                    for v in range(w.shape[2]):
                        row, tap = x[n, c, i * stride + u], w[c, u, v]
                        for j in range(total.shape[0]):
                            total[j] += tap * row[j * stride + v]


@numba.njit(error_model="numpy", fastmath={"contract"})
def along_channels(x, w, y, stride):
    """x (N, H, W, C), already padded; w (KH, KW, C); y (N, OH, OW, C), zero."""
    for n in range(y.shape[0]):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                total = y[n, i, j]
                for u in range(w.shape[0]):
                    for v in range(w.shape[1]):
                        pixel, taps = x[n, i * stride + u, j * stride + v], w[u, v]
                        for c in range(total.shape[0]):
                            total[c] += taps[c] * pixel[c]


def problem(row, images):
    """The depthwise step of a stage: for each order of loops its x, w and y, and the stride."""
    (c, h, w), out, stride = row.input, row.output, row.layer.stride[0]
    padded = rng.standard_normal((images, c, h + 2, w + 2), np.float32)
    weights = rng.standard_normal((c, 3, 3), np.float32)
    pixels, taps = layout.nhwc(padded), np.ascontiguousarray(weights.transpose(1, 2, 0))
    rows_first = padded, weights, np.zeros((images, *out), np.float32)
    return rows_first, (pixels, taps, np.zeros((images, *out[1:], c), np.float32)), stride


for row in stages:
    rows_first, channels_last, stride = problem(row, images=2)
    along_rows(*rows_first, stride)
    along_channels(*channels_last, stride)
    np.testing.assert_allclose(layout.nchw(channels_last[-1]), rows_first[-1], rtol=1e-4, atol=1e-4)
print("both orders give the same numbers, at every stage")

# %% [markdown]
# Now time them, and beside them one layout copy of the same image. The figures depend on the machine, and
# nothing is asserted. Expect channels to win, and by most where rows are short. Compare the last column with
# the one for channels: a single copy takes a time of the order of the convolution itself. That is why a
# chain should not make any.


# %% tags=["timing"]
def best_time(function, *arguments, times=15):
    seconds = []
    for _ in range(times):
        begun = perf_counter()
        function(*arguments)
        seconds.append(perf_counter() - begun)
    return min(seconds)


milliseconds = {"along rows": [], "along channels": [], "one copy": []}
print(f"{'':24}{'along rows':>12} {'along channels':>15} {'ratio':>6} {'one copy':>10}")
for row in stages:
    rows_first, channels_last, stride = problem(row, images=16)
    spent = (
        best_time(along_rows, *rows_first, stride),
        best_time(along_channels, *channels_last, stride),
        best_time(layout.nhwc, rows_first[0]),
    )
    for times, seconds in zip(milliseconds.values(), spent, strict=True):
        times.append(1e3 * seconds)
    a, b, copy = (times[-1] for times in milliseconds.values())
    stage = f"{row.input} → {row.output[1:]}"
    print(f"{stage:24}{a:9.2f} ms {b:12.2f} ms {a / b:6.1f} {copy:7.2f} ms")

figure, ax = plt.subplots(figsize=(8, 2.8), layout="constrained")
for k, ((name, times), colour) in enumerate(
    zip(milliseconds.items(), ("0.35", CHANNELS[1], "0.8"), strict=True)
):
    ax.bar(np.arange(len(stages)) + 0.27 * (k - 1), times, 0.25, color=colour, label=name)
ax.set_xticks(range(len(stages)), [f"{row.input}\n→ {row.output}" for row in stages], fontsize=9)
ax.set(ylabel="ms, 16 images")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## To take along
#
# * A shape is what you mean; a stride is where it lies. Code that is right for one layout is right for all.
# * Channels-last makes pointwise one matrix product without rearranging, and gives depthwise long runs.
# * Make arrays channels-last where they are born, and let element-wise functions carry the layout on.
# * Do not guess whether something copies. `np.shares_memory` knows.
#
# ## Exercises
#
# Put your answer in the place of the line that raises, then run the cell and the check below it.
#
# ### Exercise 1: strides from an order
#
# An array of shape $(N, C, H, W)$ is stored so that the last letter of `order` runs fastest, the one before
# it next, and so on. Compute its four strides, counted in numbers, not bytes, and listed in the order
# $N, C, H, W$. The example in the docstring is the lower strip at the top of this lesson.


# %% tags=["exercise"]
def strides_of(shape, order):
    """strides_of((1, 3, 2, 3), "NHWC") -> (18, 1, 9, 3)"""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_1_strides_of():
    for order in ("NCHW", "NHWC", "CHWN", "HWCN"):
        axes = ["NCHW".index(letter) for letter in order]
        stored = np.zeros([(2, 3, 5, 4)[axis] for axis in axes])
        array = stored.transpose(np.argsort(axes))
        assert array.shape == (2, 3, 5, 4)
        assert tuple(strides_of(array.shape, order)) == tuple(s // 8 for s in array.strides), order


# %% [markdown]
# ### Exercise 2: mend a chain
#
# `careless` multiplies each channel of each image by a number between 0 and 1 (a *gate*), mixes the
# channels, and adds its input. Write `careful`: the same numbers, but a channels-last $x$ gives a
# channels-last result. It must not fall back to NCHW anywhere. *Hint: three of the lines in the left column
# of the list above are in it.*


# %%
def careless(x, gate, w):
    """x (N, C, H, W), gate (N, C), w (C, C) -> (N, C, H, W)"""
    open_by = np.broadcast_to(gate[:, :, None, None], x.shape).copy()
    mixed = np.einsum("oc,ncpq->nopq", w, x * open_by)
    return x.copy() + mixed


example = layout.nchw(rng.standard_normal((2, 5, 4, 3), np.float32))
gates, mixer = rng.random((2, 3), np.float32), rng.standard_normal((3, 3), np.float32)
print("careless:", lies(example), "goes in,", lies(careless(example, gates, mixer)), "comes out")
assert lies(careless(example, gates, mixer)) == "NCHW"


# %% tags=["exercise"]
def careful(x, gate, w):
    """The same numbers as careless; a channels-last x gives a channels-last result."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_2_careful():
    before = example.copy(order="K")
    with copies_counted() as made:
        result = careful(example, gates, mixer)
    np.testing.assert_allclose(result, careless(example, gates, mixer), rtol=1e-5, atol=1e-6)
    assert lies(result) == "channels-last"
    assert made == [], "nhwc had to copy: something before it lies in NCHW"
    assert np.array_equal(example, before), "x was written to"
