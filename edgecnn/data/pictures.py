"""Reading picture files. This module must not know what the pictures are for."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edgecnn.data.dataset import Picture
from edgecnn.errors import InputError

LARGEST_FILE_BYTES = 1 << 30
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


# What it says of a broken picture is said by an error of ours.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def read_picture(path: str | Path) -> Picture:
    """Return a picture file as uint8, (height, width, 3) RGB, or (height, width) if stored in grey.

    Orientation marks of cameras (EXIF) are followed, transparency is dropped, 16 bits become 8.

    Raises:
        InputError: no such file, or not a picture.
    """
    try:
        size = Path(path).stat().st_size if Path(path).is_file() else None
        if size is not None and size > LARGEST_FILE_BYTES:
            raise InputError(f"{str(path)!r} has {size:,} bytes: no picture", f"up to {LARGEST_FILE_BYTES:,} are read")
        content = np.frombuffer(Path(path).read_bytes(), np.uint8) if size is not None else None
    except OSError as error:
        raise InputError(f"cannot read picture {str(path)!r}: {error.strerror}", "check the path") from error
    if content is None:  # waiting for a pipe would hang
        why = "no regular file" if Path(path).exists() else "no such file"
        raise InputError(f"cannot read picture {str(path)!r}: {why}", "check the path")
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
