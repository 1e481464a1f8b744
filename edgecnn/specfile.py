"""The contract as people write it, in a YAML file or by flags, settled with what a file carries.

This module must not know the command line or any engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgecnn.errors import InputError
from edgecnn.spec import ModelFacts, ModelSpec, complete_spec, require_mapping


def load_spec_file(path: str | Path) -> dict[str, Any]:
    """Return the (possibly partial) contract in a YAML file, its keys not yet checked.

    Raises:
        InputError: the file cannot be read, is no YAML, or it or its ``input`` is no mapping.
    """
    import yaml

    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        document = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read spec {str(path)!r}: {error}", "check the path") from error
    except (
        yaml.YAMLError,
        ValueError,
        RecursionError,
    ) as error:  # ValueError: an impossible date, RecursionError: depth
        raise InputError(f"spec {str(path)!r} is no YAML: {error}", "see 'The contract' in README.md") from error
    if not isinstance(document, Mapping):
        raise InputError(f"spec {str(path)!r} holds no mapping", "see 'The contract' in README.md")
    require_mapping(document, "input", f"spec {str(path)!r}")  # flags are laid over it
    return dict(document)


def load_labels(path: str | Path) -> list[str]:
    """Return the labels in a text file, one per line, blank lines at the end dropped.

    Raises:
        InputError: the file cannot be read or is empty.
    """
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8-sig").split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read labels {str(path)!r}: {error}", "give a text file, one label per line"
        ) from error
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise InputError(f"labels {str(path)!r} is empty", "write one label per line, in class order")
    return lines


def settle_spec(
    carried: ModelSpec | None,
    told: Mapping[str, Any],
    facts: Callable[[], ModelFacts],
    *,
    name: str,
    labels: Sequence[str] | None = None,
) -> ModelSpec:
    """Return the contract to use: what the user told, over what the file carries, over what the model tells.

    Args:
        carried: the contract inside the file, if any.
        told: a partial contract from flags or YAML.
        facts: called only when something is to be completed, since asking may open the model.
        name, labels: used where nobody tells.

    Raises:
        InputError: something that must be known was told by nobody.
    """
    if carried is not None and not told:
        return carried
    base = carried.to_dict() if carried is not None else {}
    merged = {**base, **told, "input": {**base.get("input", {}), **require_mapping(told, "input", "the spec")}}
    return complete_spec(merged, facts(), name=name, labels=labels)
