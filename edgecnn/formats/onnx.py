"""The contract inside ``.onnx`` files: a protocol buffer, read and extended without a library.

Field numbers are those of ONNX's public ``onnx.proto``. The contract is one ``metadata_props``
entry holding JSON; a repeated field may be appended to a serialized message, so the graph is not
touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecnn.errors import InputError
from edgecnn.formats import CONTRACT_KEY, FileContents, damaged, parse_contract
from edgecnn.spec import require_mapping
from edgecnn.tensors import TensorInfo

_GRAPH, _METADATA = 7, 14  # of ModelProto
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12  # of GraphProto
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OP = 1, 2, 3, 4  # of NodeProto
_INITIALIZER_NAME, _EXTERNAL_DATA, _DATA_LOCATION = 8, 13, 14  # of TensorProto
_EXTERNAL = 1  # of TensorProto.DataLocation
#: Message -> field -> message: every way from a model to its tensors, attributes and subgraphs included.
_WAYS_TO_TENSORS = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_ELEMENT_TYPES = {
    1: "float32", 2: "uint8", 3: "int8", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16",
}  # fmt: skip


class _Malformed(ValueError):
    pass


@dataclass(frozen=True)
class Node:
    """One operator of a graph; ``inputs`` and ``outputs`` are names, ``""`` for one that is left out."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """The operators of a file's main graph, and the names of the constants that they read."""

    nodes: tuple[Node, ...]
    constants: frozenset[str]


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise _Malformed("it ends in the middle of a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _Malformed("a number has more than ten bytes")


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview, memoryview]]:
    """Yield (field number, value, raw bytes of the whole field) of one message."""
    at = 0
    while at < len(data):
        start = at
        key, at = _varint(data, at)
        number, wire_type = key >> 3, key & 7
        value: int | memoryview
        if wire_type == 0:
            value, at = _varint(data, at)
        elif wire_type in (1, 2, 5):
            size = {1: 8, 5: 4}.get(wire_type, 0)
            if wire_type == 2:
                size, at = _varint(data, at)
            if at + size > len(data):
                raise _Malformed("a field runs past the end of the file")
            value = data[at : at + size]
            at += size
        else:
            raise _Malformed(f"unknown wire type {wire_type}")
        if number == 0:
            raise _Malformed("field number 0")
        yield number, value, data[start:at]


def _messages(data: memoryview, number: int) -> list[memoryview]:
    return [value for found, value, _ in _fields(data) if found == number and isinstance(value, memoryview)]


def _integer(data: memoryview, number: int, default: int) -> int:
    values = [value for found, value, _ in _fields(data) if found == number and isinstance(value, int)]
    return values[-1] if values else default


def _text(data: memoryview, number: int) -> str:
    values = _messages(data, number)
    return bytes(values[-1]).decode(errors="replace") if values else ""


def _tensor_info(value_info: memoryview) -> TensorInfo:
    name = _text(value_info, 1)
    tensor_types = [tensor for kind in _messages(value_info, 2) for tensor in _messages(kind, 1)]
    if not tensor_types:
        raise InputError(f"input or output {name!r} of the model is no tensor", "export the model with plain tensors")
    element = _integer(tensor_types[0], 1, 0)
    if element not in _ELEMENT_TYPES:
        raise InputError(
            f"tensor {name!r} has the ONNX type {element}, which edgecnn does not feed", "export the model again"
        )
    sides = []
    for shape in _messages(tensor_types[0], 2):
        for dimension in _messages(shape, 1):
            side = _integer(dimension, 1, -1)
            sides.append(side if side > 0 else -1)
    return TensorInfo(name, tuple(sides), _ELEMENT_TYPES[element])


def _is_contract(entry: memoryview) -> bool:
    return _text(entry, 1) == CONTRACT_KEY


def _names_other_files(model: memoryview) -> bool:
    """Whether a tensor, however deep, says that its values lie in another file; every field is read once."""
    waiting = [("model", model)]
    while waiting:
        kind, message = waiting.pop()
        for number, value, _ in _fields(message):
            if kind == "tensor":
                if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value == _EXTERNAL):
                    return True
            elif number in _WAYS_TO_TENSORS[kind] and isinstance(value, memoryview):
                waiting.append((_WAYS_TO_TENSORS[kind][number], value))
    return False


def read(path: Path) -> FileContents:
    """Return tensors and contract of an ``.onnx`` file.

    The quantization of integer inputs and outputs is not in an ONNX graph's signature; it comes
    from the contract.

    Raises:
        InputError: the bytes do not hold together, or the weights are in other files.
    """
    try:
        model = memoryview(path.read_bytes())
        graphs = _messages(model, _GRAPH)
        if len(graphs) != 1:  # a parser would merge several into one that was never looked at
            raise _Malformed(f"it holds {len(graphs)} graphs")
        if _names_other_files(model):
            # The engine would open whatever path the file names; and a model must be one file to be copied.
            raise InputError(
                f"{str(path)!r} keeps weights in other files", "save it as one file: onnx.save(onnx.load(FILE), NEW)"
            )
        weights = _constants(graphs[0])
        inputs = [info for info in map(_tensor_info, _messages(graphs[0], _INPUT)) if info.name not in weights]
        outputs = [_tensor_info(value) for value in _messages(graphs[0], _OUTPUT)]
        if not inputs or not outputs:
            raise _Malformed("its graph has no input or no output")
        entries = [entry for entry in _messages(model, _METADATA) if _is_contract(entry)]
        # The last one counts, as for every repeated value of a protocol buffer.
        texts = _messages(entries[-1], 2) if entries else []
    except _Malformed as error:
        raise damaged(path, "ONNX", error) from error
    contract = parse_contract(bytes(texts[-1]), path) if texts else None
    quants = require_mapping(contract or {}, "tensors", f"the contract inside {str(path)!r}")
    inputs, outputs = ([_quantized(info, quants) for info in infos] for infos in (inputs, outputs))
    return FileContents(tuple(inputs), tuple(outputs), contract)


def read_graph(path: Path) -> Graph:
    """Return the operators of an ``.onnx`` file, in the order in which they are stored.

    Raises:
        InputError: the bytes do not hold together.
    """
    try:
        graphs = _messages(memoryview(path.read_bytes()), _GRAPH)
        if len(graphs) != 1:
            raise _Malformed(f"it holds {len(graphs)} graphs")
        return Graph(tuple(map(_node, _messages(graphs[0], _NODE))), _constants(graphs[0]))
    except _Malformed as error:
        raise damaged(path, "ONNX", error) from error


def _constants(graph: memoryview) -> frozenset[str]:
    return frozenset(_text(initializer, _INITIALIZER_NAME) for initializer in _messages(graph, _INITIALIZER))


def _node(node: memoryview) -> Node:
    inputs, outputs = (
        tuple(bytes(name).decode(errors="replace") for name in _messages(node, number))
        for number in (_NODE_INPUT, _NODE_OUTPUT)
    )
    return Node(_text(node, _NODE_OP), _text(node, _NODE_NAME), inputs, outputs)


def _quantized(info: TensorInfo, quants: Mapping[str, Any]) -> TensorInfo:
    return info.with_quant(require_mapping(quants, info.name, "'tensors' of the contract"))


def _encode_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _encode_field(number: int, payload: bytes) -> bytes:
    return _encode_varint(number << 3 | 2) + _encode_varint(len(payload)) + payload


def with_contract(content: bytes, contract: bytes) -> bytes:
    """Return an ``.onnx`` file's bytes with the contract as a ``metadata_props`` entry."""
    kept = [
        raw
        for number, value, raw in _fields(memoryview(content))
        if not (number == _METADATA and isinstance(value, memoryview) and _is_contract(value))
    ]
    entry = _encode_field(1, CONTRACT_KEY.encode()) + _encode_field(2, contract)
    return b"".join(bytes(raw) for raw in kept) + _encode_field(_METADATA, entry)
