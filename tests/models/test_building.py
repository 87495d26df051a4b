"""Networks by name: their published sizes, their options, and what is refused."""

import numpy as np
import pytest

from npdsconv import layers, models
from npdsconv.complexity import summary

DIGITS = (1, 28, 28)


@pytest.mark.parametrize(
    ("name", "options", "shape", "params", "macs"),
    [
        ("one_block", {}, DIGITS, 140, 14_996),
        ("one_block", {"ending": "flatten"}, DIGITS, 78_440, 93_296),
        ("one_block", {"ending": "flatten", "size": 32}, (1, 32, 32), 102_440, 9_216 + 10_240 + 102_400),
        ("two_blocks", {}, DIGITS, 3_156, 1_863_568 + 640),
        ("two_blocks", {"batch_norm": True}, DIGITS, 3_285, 1_863_568 + 640),
        ("two_blocks", {"order": "pointwise_first"}, DIGITS, 20_426, 15_353_856 + 640),
        ("two_blocks", {"order": "standard"}, DIGITS, 19_466, 14_676_480 + 640),
        ("multiplied", {}, DIGITS, 698, 8 * 9 * 784 + 8 * 32 * 784 + 320),
        ("class_maps", {}, DIGITS, 650, 225_792 + 250_880),
        ("separable_mini", {}, DIGITS, 4_106, 271_904),
        ("separable_mini", {"batch_norm": False}, DIGITS, 4_106 - 160, 271_904),
        ("dilated_separable", {}, DIGITS, 4_138, 671_424),
        ("separable_compact", {}, DIGITS, 7_570, None),
        ("separable_resnet", {}, DIGITS, 124_789, 903_428),
        ("separable_resnet", {"blocks": 2}, DIGITS, 124_789 + 93_280, None),
        ("separable_resnet", {"in_channels": 3}, (3, 224, 224), 124_939, 49_536_256),
        ("separable_cnn", {}, DIGITS, 36_298, 2_889_536),
        ("mobilenet_v3_small", {"in_channels": 3, "classes": 1000}, (3, 224, 224), 2_542_856, 56_510_400),
        ("xception", {"in_channels": 3, "classes": 1000}, (3, 299, 299), 22_855_952, None),
    ],
    ids=str,
)
def test_sizes(name, options, shape, params, macs):
    """Worked out by hand from the sources; the dense layer's multiply-adds are added where a source leaves them out."""
    counted = summary(models.build(name, **options), shape)
    assert counted.params == params
    assert macs is None or counted.macs == macs


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [("separable_mini", 24_058, 1_835_200), ("dilated_separable", 23_738, 4_544_384)],
)
def test_sizes_of_standard_twins(name, params, macs):
    counted = summary(models.standard_twin(models.build(name)), DIGITS)
    assert (counted.params, counted.macs) == (params, macs)


@pytest.mark.parametrize("name", models.BUILDERS)
def test_every_option_changes_something_and_the_seed_decides_the_rest(name):
    changed = {
        "width": 0.5,
        "dropout": 0.4,
        "ending": "flatten",
        "dilations": (1, 2),
        "filters": (4, 8),
        "order": "standard",
        "kernel": 5,
        "stem": 8,
        "repeats": (1, 0),
        "stem_repeats": 1,
        "multiplier": 4,
        "features": 5,
        "blocks": 3,
        "stem_stride": 2,
        "activation": "leaky_relu",
        "padding": "same",
        "eps": 2e-3,
        "momentum": 0.3,
    }
    if name == "xception":
        pytest.skip("23 million parameters; its block is in xception_mini")

    def described(**options):
        model = models.build(name, rng=3, **options)
        state = [(key, value.tobytes()) for key, value in model.state_dict().items()]
        norms = [(m.eps, m.momentum) for m in model.modules() if isinstance(m, layers.BatchNorm2d)]
        return repr(model), state, norms

    plain = described()
    assert plain == described()
    for option, default in models.options_of(name).items():
        if option == "size":
            continue
        value = not default if isinstance(default, bool) else changed[option]
        assert described(**{option: value}) != plain, option


def test_a_size_is_that_of_the_dense_layer():
    for name in ("one_block", "class_maps", "vgg_mini"):
        model = models.build(name, ending="flatten", size=16, rng=0)
        assert layers.set_impl(model, "im2col")(np.ones((2, 1, 16, 16), np.float32)).shape == (2, 10)
        with pytest.raises(ValueError, match="linear"):
            model(np.ones((2, 1, 24, 24), np.float32))


def test_a_block_that_strides_twice_shrinks_the_picture_too_fast():
    body = layers.set_impl(models.build("separable_resnet", stride_twice=True, rng=0), "im2col")
    once = layers.set_impl(models.build("separable_resnet", rng=0), "im2col")
    x = np.ones((1, 1, 64, 64), np.float32)
    assert body[0](x).shape[2:] == (16, 16)
    assert once[0](x).shape[2:] == (32, 32)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("separabel_cnn", {}, "build: a network must be one of separable_cnn, .*, got 'separabel_cnn'"),
        (
            "separable_cnn",
            {"widht": 2},
            "build separable_cnn: an option must be one of width, .*, got 'widht'",
        ),
        ("one_block", {"ending": "mean"}, "one_block: ending must be one of average, flatten, got 'mean'"),
        ("two_blocks", {"order": "x"}, "two_blocks: order must be one of depthwise_first, .*, got 'x'"),
        ("dilated_separable", {"dilations": (1, 0)}, r"dilated_separable: dilations\[1\] must be .*, got 0"),
        ("large_kernel_cnn", {"kernel": 4}, "large_kernel_cnn: kernel must be odd, .*, got 4"),
        ("separable_resnet", {"blocks": 0}, "separable_resnet: blocks must be .*, got 0"),
        ("class_maps", {"blocks": 0}, "class_maps: blocks must be .*, got 0"),
    ],
)
def test_what_cannot_be_built_is_refused(name, options, said):
    with pytest.raises(ValueError, match=f"^{said}"):
        models.build(name, **options)


def test_options_as_text():
    text = "filters=4,8,16 stride_twice=true residual=False"
    parsed = {"filters": (4, 8, 16), "stride_twice": True, "residual": False}
    assert models.parse_options("separable_resnet", text) == parsed
    assert models.parse_options("one_block", "") == {}
    for name, words, said in (
        ("separable_resnet", "residual=no", "expected true or false, got 'no'"),
        ("separable_resnet", "filters=4,x", "expected whole numbers such as 1,2,4, got '4,x'"),
        ("multiplied", "features=", "expected a whole number, got ''"),
        ("separable_mini", "width=wide", "expected a number, got 'wide'"),
        ("separable_mini", "breadth=1", "an option must be one of width, .*, got 'breadth'"),
    ):
        with pytest.raises(ValueError, match=f"^build {name}: .*{said}"):
            models.parse_options(name, words)
