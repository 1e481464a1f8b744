"""A picture becomes the tensor that a model takes: resize, colour, value.

The contract is compiled once into a plan with a preallocated tensor. All of value handling
(scale, mean, std, quantization) is one table of 256 entries per channel, made once with the
arithmetic of :class:`~edgecnn.tensors.QuantParams`, so float and integer models see the same
numbers and no float is computed per pixel for integer inputs. This module must not know engines.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgecnn.data.dataset import Picture
from edgecnn.errors import InputError
from edgecnn.spec import InputSpec
from edgecnn.tensors import INTEGER_RANGES, TensorInfo

#: Share of a quantized input's range by which the fed range may differ at an end.
_RANGE_TOLERANCE = 0.25
_INTERPOLATION = {
    "bilinear": cv2.INTER_LINEAR,
    "nearest": cv2.INTER_NEAREST,
    "area": cv2.INTER_AREA,
    "bicubic": cv2.INTER_CUBIC,
}
_COLOR_CONVERSION = {
    ("rgb", "bgr"): cv2.COLOR_RGB2BGR,
    ("bgr", "rgb"): cv2.COLOR_BGR2RGB,
    ("rgb", "gray"): cv2.COLOR_RGB2GRAY,
    ("bgr", "gray"): cv2.COLOR_BGR2GRAY,
    ("gray", "rgb"): cv2.COLOR_GRAY2RGB,
    ("gray", "bgr"): cv2.COLOR_GRAY2BGR,
}


def float_tensor_info(spec: InputSpec, name: str = "input") -> TensorInfo:
    """Return the input tensor of the float model that ``spec`` describes."""
    return TensorInfo(name, spec.shape, "float32")


def value_table(spec: InputSpec, tensor: TensorInfo) -> npt.NDArray[Any]:
    """Return the value of every pixel 0..255 in every channel: shape (256, C), dtype of ``tensor``.

    Raises:
        InputError: the tensor is an integer one without quantization, or of a dtype that cannot
            hold pixels.
    """
    pixels = np.arange(256, dtype=np.float64)[:, None]
    real = (pixels * spec.scale - np.array(spec.mean)) / np.array(spec.std)
    if tensor.quant is not None:
        return tensor.quant.quantize(real)
    if tensor.dtype not in ("float32", "float16"):
        raise InputError(
            f"input {tensor.name!r} is {tensor.dtype} and tells no scale and zero point",
            "export the model with edgecnn, or with quantization in the file",
        )
    return np.asarray(real, tensor.dtype)


def range_mismatch(spec: InputSpec, tensor: TensorInfo) -> str:
    """Return a warning if an integer input was made for other values than the contract feeds, else ``""``.

    A quantized input covers what the float model was fed in calibration; pictures fed to a quarter
    of that range, or past its ends by a quarter, are fed wrongly.
    """
    if tensor.quant is None:
        return ""
    ends = np.array(INTEGER_RANGES[tensor.dtype], tensor.dtype)
    low, high = (float(end) for end in tensor.quant.dequantize(ends))
    fed_low, fed_high = spec.value_range
    beyond = max(low - fed_low, fed_high - high) / (high - low)
    covered = (min(high, fed_high) - max(low, fed_low)) / (high - low)
    if beyond <= _RANGE_TOLERANCE and covered >= 1 - 2 * _RANGE_TOLERANCE:
        return ""
    return (
        f"the file's input was quantized for {low:.3g} to {high:.3g}, "
        f"the contract feeds {fed_low:.3g} to {fed_high:.3g}: check --scale, --mean and --std"
    )


class Preprocessor:
    """Turns pictures into the input tensor of one model.

    Args:
        spec: the input part of the contract.
        tensor: the input tensor of the file; its batch side must be 1 or free.

    Raises:
        InputError: the contract and the tensor do not fit.
    """

    def __init__(self, spec: InputSpec, tensor: TensorInfo) -> None:
        fits = len(tensor.shape) == 4 and all(
            has in (-1, wants) for has, wants in zip(tensor.shape, spec.shape, strict=True)
        )
        if not fits:
            raise InputError(
                f"the contract feeds the shape {spec.shape}, the model's input {tensor.name!r} has {tensor.shape}",
                "correct height, width, channels and layout of the spec",
            )
        self.spec = spec
        table = value_table(spec, tensor)
        self.tensor = np.zeros(spec.shape, table.dtype)
        shared = bool((table == table[:, :1]).all())
        self._is_identity = shared and table.dtype == np.uint8 and np.array_equal(table[:, 0], np.arange(256))
        self._is_sign_flip = shared and table.dtype == np.int8 and np.array_equal(table[:, 0], np.arange(256) - 128)
        # float16 is not a type of cv2.LUT's tables everywhere: numpy indexes those.
        self._table = np.ascontiguousarray(table[:, :1] if shared else table).reshape(1, 256, -1)

    def __call__(self, picture: Picture, color: str | None = None) -> npt.NDArray[Any]:
        """Return the tensor of one picture: :meth:`fitted`, then :meth:`written`."""
        return self.written(self.fitted(picture, color))

    def fitted(self, picture: Picture, color: str | None = None) -> Picture:
        """Return a picture in the model's size and colours, still uint8.

        Args:
            picture: uint8, (height, width) or (height, width, 3), any size from 1x1.
            color: order of the channels of a 3-channel picture, ``rgb`` (default) or ``bgr``.

        Raises:
            InputError: not such an array.
        """
        if (
            picture.dtype != np.uint8
            or picture.ndim not in (2, 3)
            or 0 in picture.shape
            or picture.shape[2:] not in ((), (1,), (3,))
        ):
            raise InputError(
                f"a picture must be uint8 (height, width) or (height, width, 3), not {picture.dtype} {picture.shape}",
                "read it with edgecnn.read_picture",
            )
        if color not in (None, "rgb", "bgr"):
            raise InputError(f"the colour order of a picture is 'rgb' or 'bgr', not {color!r}", "leave it out for rgb")
        source = "gray" if picture.ndim == 2 or picture.shape[2] == 1 else color or "rgb"
        fitted = self._fit(picture)
        if source != self.spec.color:
            fitted = np.asarray(cv2.cvtColor(fitted, _COLOR_CONVERSION[source, self.spec.color]), np.uint8)
        return fitted.reshape(self.spec.height, self.spec.width, self.spec.channels)

    def _fit(self, picture: Picture) -> Picture:
        height, width = picture.shape[:2]
        spec = self.spec
        if (height, width) == (spec.height, spec.width):
            return picture
        if spec.resize == "center_crop":
            # Cut first: resizing all of a long thin picture would take memory without bound.
            scale = min(height / spec.height, width / spec.width)
            kept_height, kept_width = (max(1, round(side * scale)) for side in (spec.height, spec.width))
            top, left = (height - kept_height) // 2, (width - kept_width) // 2
            picture = picture[top : top + kept_height, left : left + kept_width]
        if spec.resize != "letterbox":
            return self._resized(picture, spec.height, spec.width)
        scale = min(spec.height / height, spec.width / width)
        new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
        top, left = (spec.height - new_height) // 2, (spec.width - new_width) // 2
        bottom, right = spec.height - new_height - top, spec.width - new_width - left
        inner, grey = self._resized(picture, new_height, new_width), (spec.pad_value,) * 3
        return np.asarray(
            cv2.copyMakeBorder(inner, top, bottom, left, right, cv2.BORDER_CONSTANT, value=grey), np.uint8
        )

    def _resized(self, picture: Picture, height: int, width: int) -> Picture:
        interpolation = _INTERPOLATION[self.spec.interpolation]
        return np.asarray(cv2.resize(picture, (width, height), interpolation=interpolation), np.uint8)

    def written(self, fitted: Picture) -> npt.NDArray[Any]:
        """Return the tensor of a fitted picture: the same buffer at every call, so copy it to keep it."""
        nhwc = self.spec.layout == "nhwc"
        # The view of the tensor that has the axes of a picture.
        target = self.tensor[0] if nhwc else self.tensor[0].transpose(1, 2, 0)
        if self._is_identity:
            np.copyto(target, fitted)
        elif self._is_sign_flip:
            np.bitwise_xor(fitted, 0x80, out=target.view(np.uint8))
        elif self._table.dtype == np.float16:
            np.copyto(target, self._table[0][fitted, np.arange(fitted.shape[2]) % self._table.shape[2]])
        else:
            np.copyto(target, np.reshape(cv2.LUT(fitted, self._table), fitted.shape))
        return self.tensor


def float_tensors(pictures: Iterable[Picture], spec: InputSpec) -> npt.NDArray[np.float32]:
    """Return the inputs of the float model for pictures: float32 (N, ...), without the batch axis."""
    preprocess = Preprocessor(spec, float_tensor_info(spec))
    return np.concatenate([preprocess(picture).copy() for picture in pictures]).astype(np.float32)
