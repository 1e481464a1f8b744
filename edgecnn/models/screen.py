"""The screen that every architecture passes before Keras sees it: it may compute, and nothing else.

Keras' own safe mode has had holes: it was not applied to .h5 files (CVE-2025-9905), an architecture
could switch it off by calling keras.config (CVE-2025-9906), and layers that load a saved program of
TensorFlow (CVE-2026-1462) or Torch (CVE-2025-49655) passed it. So every object that an architecture
names is looked at, whatever Keras is installed: it must be of the parts of Keras that compute, and
none of those that run or load code, or read other files. This module must not know Keras.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgecnn.errors import InputError
from edgecnn.spec import shown

_COMPUTING = (
    "activations|constraints|dtype_policies|initializers|layers|losses|metrics|models|ops|optimizers|quantizers|"
    "random|regularizers"
)
_MODULE = re.compile(rf"keras|keras\.(src\.)?({_COMPUTING})(\.\w+)*")
_REFUSED = {
    "Lambda": "Python code", "__lambda__": "Python code", "__typespec__": "a class of TensorFlow",
    "TFSMLayer": "a program of TensorFlow", "TorchModuleWrapper": "a program of Torch",
    "JaxLayer": "a program of JAX", "FlaxLayer": "a program of Flax",
    "IndexLookup": "the path of another file", "StringLookup": "the path of another file",
    "IntegerLookup": "the path of another file", "TextVectorization": "the path of another file",
}  # fmt: skip
#: Plain values that are no classes.
_VALUES = {"__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__"}


def _objects(config: object) -> Iterator[Mapping[str, Any]]:
    """Yield every object that an architecture names, however deep, but what only training would make."""
    if isinstance(config, dict):
        # Keras drops this one unread when it does not compile; those of nested models it reads.
        config = {key: value for key, value in config.items() if key != "compile_config"}
    waiting = [config]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if "class_name" in node:
                yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _objection(node: Mapping[str, Any]) -> str | None:
    """Return why an object of an architecture may not be made, or ``None`` if it may."""
    name, module, registered = node["class_name"], node.get("module"), node.get("registered_name")
    if isinstance(name, str) and name in _REFUSED:
        return f"{_REFUSED[name]} ({name})"
    # Of a function, the name is in config.
    is_function = name == "function"
    named = node.get("config") if is_function else name
    if not isinstance(named, str) or not re.fullmatch(r"\w+", named):
        return f"an object of the name {shown(named)}"
    if named.startswith("__") and named not in _VALUES:
        return f"an object of the unknown kind {shown(named)}"
    if is_function and module is None:
        return f"the function {shown(named)} of an unknown module"
    if module is not None and not (isinstance(module, str) and _MODULE.fullmatch(module)):
        return f"{shown(named)} of the module {shown(module)}"
    if registered is not None and registered not in (name, named):
        return f"{shown(named)} registered as {shown(registered)}"
    return None


def screen(path: Path, config: object) -> None:
    """Refuse an architecture that names anything but the computing parts of Keras.

    Args:
        path: of the file, for the message.
        config: the architecture, as plain data.

    Raises:
        InputError: it does; the first such object is named.
    """
    for node in _objects(config):
        objection = _objection(node)
        if objection is not None:
            raise InputError(
                f"{str(path)!r} holds {objection}: it could run code on this machine",
                "add --trust if you know who made the file",
            )
