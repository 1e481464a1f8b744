"""Reading picture files. This module must not know what the pictures are for."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edgecnn.data.dataset import Picture
from edgecnn.errors import InputError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def read_picture(path: str | Path) -> Picture:
    """Return a picture file as uint8, (height, width, 3) RGB, or (height, width) if stored in grey.

    Orientation marks of cameras (EXIF) are followed, transparency is dropped, 16 bits become 8.

    Raises:
        InputError: no such file, or not a picture.
    """
    try:
        content = np.fromfile(str(path), np.uint8)
    except OSError as error:
        raise InputError(f"cannot read picture {str(path)!r}: {error.strerror}", "check the path") from error
    try:
        decoded = cv2.imdecode(content, cv2.IMREAD_ANYCOLOR) if content.size else None
    except cv2.error:
        decoded = None  # too many pixels, or a broken header
    if decoded is None:
        raise InputError(
            f"{str(path)!r} is no picture that OpenCV can read", f"use one of {' '.join(PICTURE_SUFFIXES)}"
        )
    if decoded.ndim == 2:
        return np.asarray(decoded, np.uint8)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def picture_files(folder: Path) -> list[Path]:
    """Return the picture files directly inside ``folder``, sorted by name, hidden ones left out."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
