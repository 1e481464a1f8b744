"""Data sets: one grammar, one type. Nothing here may know a model or an engine."""

from edgecnn.data.dataset import Dataset, LazyPictures, Picture, Pictures
from edgecnn.data.load import NAMED, SPLITS, load_data
from edgecnn.data.pictures import PICTURE_SUFFIXES, picture_files, read_picture

__all__ = [
    "NAMED",
    "PICTURE_SUFFIXES",
    "SPLITS",
    "Dataset",
    "LazyPictures",
    "Picture",
    "Pictures",
    "load_data",
    "picture_files",
    "read_picture",
]
