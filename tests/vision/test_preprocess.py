"""A picture becomes the tensor that the contract describes."""

from __future__ import annotations

import numpy as np
import pytest

from edgecnn.errors import InputError
from edgecnn.spec import InputSpec
from edgecnn.tensors import QuantParams, TensorInfo
from edgecnn.vision.preprocess import Preprocessor, float_tensor_info, range_mismatch

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (6, 8, 3), np.uint8)


def naive(picture: np.ndarray, spec: InputSpec) -> np.ndarray:
    """The contract's formula, word for word, for a picture of the right size."""
    ordered = picture[..., ::-1] if spec.color == "bgr" else picture
    return ((ordered * spec.scale - np.array(spec.mean)) / np.array(spec.std)).astype(np.float32)


SPECS = [
    InputSpec(6, 8),
    InputSpec(6, 8, color="bgr", scale=1 / 255),
    InputSpec(6, 8, scale=1 / 127.5, mean=(1.0,)),
    InputSpec(6, 8, scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    InputSpec(6, 8, color="bgr", mean=(103.939, 116.779, 123.68)),
]


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint8"])
def test_values_are_the_contracts(spec: InputSpec, dtype: str) -> None:
    quant = QuantParams.covering(*spec.value_range, dtype) if "int" in dtype else None
    got = Preprocessor(spec, TensorInfo("x", spec.shape, dtype, quant))(PICTURE)
    wanted = naive(PICTURE, spec)[None]
    assert got.dtype == dtype
    if quant is None:
        # float32 of the same doubles; float16 has 11 bits: 2^-11 of up to 255 is 0.125.
        np.testing.assert_allclose(got, wanted, atol=1e-5 if dtype == "float32" else 0.125)
        return
    # Rounding twice (pixel table, then grid) can differ by one from rounding float32 once.
    assert np.abs(got.astype(int) - quant.quantize(wanted).astype(int)).max() <= 1
    assert np.abs(quant.dequantize(got) - wanted).max() <= quant.scale * 0.51


def test_swapped_channels_would_be_seen() -> None:
    rgb, bgr = (
        Preprocessor(InputSpec(6, 8, color=color), TensorInfo("x", (1, 6, 8, 3), "float32"))(PICTURE)
        for color in ("rgb", "bgr")
    )
    assert np.array_equal(rgb, bgr[..., ::-1])
    assert not np.array_equal(rgb, bgr)


def test_nchw_is_the_same_tensor_transposed() -> None:
    nhwc, nchw = InputSpec(6, 8, scale=0.5), InputSpec(6, 8, scale=0.5, layout="nchw")
    one, other = (Preprocessor(spec, float_tensor_info(spec))(PICTURE) for spec in (nhwc, nchw))
    assert other.shape == (1, 3, 6, 8)
    np.testing.assert_array_equal(other, one.transpose(0, 3, 1, 2))


def test_a_bgr_frame_is_told_apart() -> None:
    spec = InputSpec(6, 8)
    preprocess = Preprocessor(spec, float_tensor_info(spec))
    np.testing.assert_array_equal(preprocess(PICTURE[..., ::-1], "bgr").copy(), preprocess(PICTURE))


def test_grey_and_colour_meet() -> None:
    grey_spec, rgb_spec = InputSpec(6, 8, 1, "gray"), InputSpec(6, 8)
    grey = RNG.integers(0, 256, (6, 8), np.uint8)
    fed = Preprocessor(rgb_spec, float_tensor_info(rgb_spec))(grey)
    assert np.array_equal(fed[0, ..., 0], grey)
    assert np.array_equal(fed[0, ..., 2], grey)
    fed = Preprocessor(grey_spec, float_tensor_info(grey_spec))(PICTURE)
    # ITU-R BT.601 luma, rounded by OpenCV.
    np.testing.assert_allclose(fed[0, ..., 0], PICTURE @ [0.299, 0.587, 0.114], atol=1)


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (1, 20_000), (20_000, 1), (2160, 3840)])
@pytest.mark.parametrize("resize", ["stretch", "letterbox", "center_crop"])
def test_any_size_fits(size: tuple[int, int], resize: str) -> None:
    spec = InputSpec(32, 48, resize=resize)
    picture = np.full((*size, 3), 200, np.uint8)
    fed = Preprocessor(spec, float_tensor_info(spec))(picture)
    assert fed.shape == (1, 32, 48, 3)
    assert set(np.unique(fed)) <= ({200.0, 114.0} if resize == "letterbox" else {200.0})


def test_letterbox_keeps_the_aspect_ratio() -> None:
    spec = InputSpec(40, 40, resize="letterbox", pad_value=0)
    fed = Preprocessor(spec, float_tensor_info(spec))(np.full((20, 40, 3), 255, np.uint8))[0, ..., 0]
    assert np.flatnonzero(fed.max(axis=1)).tolist() == list(range(10, 30))


def test_center_crop_keeps_the_middle() -> None:
    spec = InputSpec(10, 10, resize="center_crop")
    picture = np.zeros((10, 30, 3), np.uint8)
    picture[:, 10:20] = 255
    assert Preprocessor(spec, float_tensor_info(spec))(picture).min() == 255


def test_contract_and_tensor_must_fit() -> None:
    with pytest.raises(InputError, match="shape"):
        Preprocessor(InputSpec(6, 8), TensorInfo("x", (1, 3, 6, 8), "float32"))
    with pytest.raises(InputError, match="no scale"):
        Preprocessor(InputSpec(6, 8), TensorInfo("x", (1, 6, 8, 3), "int8"))


@pytest.mark.parametrize(
    "picture",
    [np.zeros((4, 4), np.float32), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros(4, np.uint8)],
)
def test_what_is_no_picture_is_refused(picture: np.ndarray) -> None:
    spec = InputSpec(6, 8)
    with pytest.raises(InputError, match="a picture must be"):
        Preprocessor(spec, float_tensor_info(spec))(picture)


def test_an_unknown_colour_order_is_refused() -> None:
    spec = InputSpec(6, 8)
    with pytest.raises(InputError, match="'hsv'"):
        Preprocessor(spec, float_tensor_info(spec))(PICTURE, "hsv")


def test_center_crop_is_the_resized_middle() -> None:
    """Cutting before resizing gives what cutting after gives, up to a pixel at the border."""
    ramp = np.linspace(0, 255, 60, dtype=np.float32).astype(np.uint8)
    picture = np.repeat(np.repeat(ramp[None, :, None], 20, axis=0), 3, axis=2)
    fed = Preprocessor(InputSpec(10, 10, resize="center_crop"), float_tensor_info(InputSpec(10, 10)))(picture)
    # The middle 20 of 60 columns, two to a pixel: their means.
    np.testing.assert_allclose(fed[0, 5, :, 0], ramp[20:40].reshape(10, 2).mean(axis=1), atol=1.5)


def quantized(scale: float, zero_point: int) -> TensorInfo:
    return TensorInfo("x", (1, 6, 8, 3), "uint8", QuantParams(scale, zero_point, "uint8"))


def test_feeding_that_a_quantized_file_was_not_made_for_is_told() -> None:
    """MobileNet's public uint8 file covers -1..0.992: 0..1 and 0..255 are not what it was fed."""
    mobilenet = quantized(1 / 128, 128)
    assert range_mismatch(InputSpec(6, 8, scale=1 / 127.5, mean=(1.0,)), mobilenet) == ""
    assert "0 to 1" in range_mismatch(InputSpec(6, 8, scale=1 / 255), mobilenet)
    assert "0 to 255" in range_mismatch(InputSpec(6, 8), mobilenet)
    assert range_mismatch(InputSpec(6, 8), quantized(1.0, 0)) == ""
    assert range_mismatch(InputSpec(6, 8), float_tensor_info(InputSpec(6, 8))) == ""
