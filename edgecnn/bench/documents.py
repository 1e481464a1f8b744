"""Whether what was read from a file of others is of the types that a class promises. Knows none of these classes."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from edgecnn.errors import InputError

Made = TypeVar("Made")
#: No figure of a machine comes near it. NaN and infinity are not below it.
_LARGEST = 1e24
_READ_RESULTS = "read a results.json of edgecnn bench"


def typed(made: Made) -> Made:
    """Return a dataclass's instance whose fields have their annotated types; numbers are finite.

    Known are plain types, classes, ``X | None``, ``tuple[X, ...]`` and mappings, whose inside is not looked at.

    Raises:
        InputError: one has not.
    """
    for name, hint in get_type_hints(type(made)).items():
        value = getattr(made, name)
        if not _fits(value, hint):
            raise InputError(f"{name} cannot be {str(value)[:80]!r}", _READ_RESULTS)
    return made


def _fits(value: object, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, inner[0]) for item in value)
    if hint in (int, float):
        known = (int,) if hint is int else (int, float)
        return isinstance(value, known) and not isinstance(value, bool) and abs(value) < _LARGEST
    return isinstance(value, Mapping if origin is Mapping else origin or hint)
