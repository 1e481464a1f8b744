"""The contract inside ``.tflite`` files: a flatbuffer, read and extended without a library.

Field numbers are those of TensorFlow Lite's public ``schema.fbs`` (version 3). The contract is one
``Metadata`` entry whose buffer holds JSON, as TFLite's own metadata does. It is written by putting
a new root table *before* the old bytes: flatbuffer offsets point forward, so the new tables can
refer to the old ones, and not a byte of the weights moves out of its alignment.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from edgecnn.errors import InputError
from edgecnn.formats import CONTRACT_KEY, FileContents, damaged, parse_contract
from edgecnn.tensors import QuantParams, TensorInfo

_MODEL_FIELDS = {
    "version": 0, "operator_codes": 1, "subgraphs": 2, "description": 3,
    "buffers": 4, "metadata_buffer": 5, "metadata": 6, "signature_defs": 7,
}  # fmt: skip
_TENSOR_TYPES = {
    0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8",
}  # fmt: skip
_PREFIX_ALIGNMENT = 64


class _Table:
    """One flatbuffer table; every access is checked against the end of the file."""

    def __init__(self, data: memoryview, position: int) -> None:
        self.data = data
        self.position = position
        self._vtable = position - self._read("<i", position)
        self._vtable_size = self._read("<H", self._vtable)

    def _read(self, code: str, at: int) -> int:
        if at < 0:
            raise struct.error("offset before the start of the file")
        value: int = struct.unpack_from(code, self.data, at)[0]
        return value

    def slot(self, number: int) -> int | None:
        entry = 4 + 2 * number
        if entry + 2 > self._vtable_size:
            return None
        offset = self._read("<H", self._vtable + entry)
        return self.position + offset if offset else None

    def scalar(self, number: int, code: str, default: int = 0) -> int:
        at = self.slot(number)
        return default if at is None else self._read(code, at)

    def target(self, number: int) -> int | None:
        """Absolute position of the vector, string or table that a field points to."""
        at = self.slot(number)
        return None if at is None else at + self._read("<I", at)

    def table(self, number: int) -> _Table | None:
        at = self.target(number)
        return None if at is None else _Table(self.data, at)

    def vector(self, number: int, code: str, size: int) -> list[int]:
        at = self.target(number)
        if at is None:
            return []
        count = self._read("<I", at)
        if at + 4 + count * size > len(self.data):
            raise struct.error("a vector runs past the end of the file")
        return [entry[0] for entry in struct.iter_unpack(code, self.data[at + 4 : at + 4 + count * size])]

    def element_positions(self, number: int) -> list[int]:
        """Absolute positions of the tables of a vector of tables."""
        at = self.target(number)
        return [] if at is None else [at + 4 + 4 * i + offset for i, offset in enumerate(self.vector(number, "<I", 4))]

    def tables(self, number: int) -> Iterator[_Table]:
        return (_Table(self.data, at) for at in self.element_positions(number))

    def raw(self, number: int) -> bytes:
        """Bytes of a string or a byte vector."""
        at = self.target(number)
        if at is None:
            return b""
        count = self._read("<I", at)
        if at + 4 + count > len(self.data):
            raise struct.error("a buffer runs past the end of the file")
        return bytes(self.data[at + 4 : at + 4 + count])


def _root(content: bytes) -> _Table:
    if content[4:8] != b"TFL3":
        raise struct.error("no TFL3 identifier")
    view = memoryview(content)
    return _Table(view, struct.unpack_from("<I", view, 0)[0])


def _tensor_info(tensor: _Table) -> TensorInfo:
    name = tensor.raw(3).decode(errors="replace")
    code = tensor.scalar(1, "<b")
    if code not in _TENSOR_TYPES:
        raise InputError(
            f"tensor {name!r} has the TFLite type {code}, which edgecnn does not feed", "export the model again"
        )
    dtype = _TENSOR_TYPES[code]
    shape = tuple(tensor.vector(7, "<i", 4) or tensor.vector(0, "<i", 4))
    quant = None
    quantization = tensor.table(4)
    if quantization is not None and dtype in ("int8", "uint8", "int16"):
        scales = quantization.vector(2, "<f", 4)
        zero_points = quantization.vector(3, "<q", 8)
        if len(scales) == 1:
            quant = QuantParams(float(scales[0]), int(zero_points[0]) if zero_points else 0, dtype)
    return TensorInfo(name, shape, dtype, quant)


def _check_buffers(model: _Table) -> None:
    for buffer in model.tables(_MODEL_FIELDS["buffers"]):
        at = buffer.target(0)
        end = 0 if at is None else at + 4 + struct.unpack_from("<I", model.data, at)[0]
        if max(end, buffer.scalar(1, "<Q") + buffer.scalar(2, "<Q")) > len(model.data):
            raise struct.error("a weight runs past the end of the file")


def _outside_buffers(model: _Table) -> list[int]:
    """Where the file notes the start of weights that some exporters put behind the flatbuffer."""
    slots = [buffer.slot(1) for buffer in model.tables(_MODEL_FIELDS["buffers"]) if buffer.scalar(1, "<Q") > 1]
    return [slot for slot in slots if slot is not None]


def read(path: Path) -> FileContents:
    """Return tensors and contract of a ``.tflite`` file.

    Raises:
        InputError: the bytes do not hold together.
    """
    try:
        model = _root(path.read_bytes())
        _check_buffers(model)
        subgraph = next(model.tables(_MODEL_FIELDS["subgraphs"]))
        tensors = subgraph.element_positions(0)
        inputs = tuple(_tensor_info(_Table(model.data, tensors[i])) for i in subgraph.vector(1, "<i", 4))
        outputs = tuple(_tensor_info(_Table(model.data, tensors[i])) for i in subgraph.vector(2, "<i", 4))
        buffers = model.element_positions(_MODEL_FIELDS["buffers"])
        contract = None
        for entry in model.tables(_MODEL_FIELDS["metadata"]):
            if entry.raw(0) == CONTRACT_KEY.encode():
                contract = parse_contract(_Table(model.data, buffers[entry.scalar(1, "<I")]).raw(0), path)
        return FileContents(inputs, outputs, contract)
    except (struct.error, IndexError, StopIteration, OverflowError) as error:
        raise damaged(path, "TFLite", error or "it holds no graph") from error


class _Prefix:
    """Builds the new front of the file; offsets into the old bytes are patched when its size is known."""

    def __init__(self) -> None:
        self.bytes = bytearray()
        self.patches: list[tuple[int, int]] = []  # (where, old absolute position)

    def align(self, size: int = 4) -> int:
        self.bytes.extend(b"\0" * (-len(self.bytes) % size))
        return len(self.bytes)

    def put(self, code: str, *values: int | bytes) -> int:
        at = self.align()
        self.bytes.extend(struct.pack(code, *values))
        return at

    def point(self, where: int, target: int) -> None:
        struct.pack_into("<I", self.bytes, where, target - where)

    def byte_vector(self, content: bytes, *, alignment: int) -> int:
        self.align()
        while (len(self.bytes) + 4) % alignment:
            self.bytes.extend(b"\0" * 4)
        at = self.put("<I", len(content))
        self.bytes.extend(content + b"\0")
        return at

    def finish(self, old: bytes) -> bytes:
        size = self.align(_PREFIX_ALIGNMENT)
        for where, position in self.patches:
            self.point(where, size + position)
        shifted = bytearray(old)
        for where in _outside_buffers(_root(old)):
            start = struct.unpack_from("<Q", shifted, where)[0]
            struct.pack_into("<Q", shifted, where, size + start)
        return bytes(self.bytes + shifted)


def with_contract(content: bytes, contract: bytes) -> bytes:
    """Return a ``.tflite`` file's bytes with the contract as a metadata entry."""
    model = _root(content)
    kept = [
        at
        for at in model.element_positions(_MODEL_FIELDS["metadata"])
        if _Table(model.data, at).raw(0) != CONTRACT_KEY.encode()
    ]
    buffers = model.element_positions(_MODEL_FIELDS["buffers"])

    new = _Prefix()
    new.put("<I4s", 0, b"TFL3")
    fields = len(_MODEL_FIELDS)
    vtable = new.put(f"<HH{fields}H", 4 + 2 * fields, 4 + 4 * fields, *_root_slots(model))
    root = new.put(f"<i{fields}I", 0, *[0] * fields)
    struct.pack_into("<i", new.bytes, root, root - vtable)
    new.point(0, root)
    struct.pack_into("<I", new.bytes, root + 4, model.scalar(0, "<I"))
    for name in ("operator_codes", "subgraphs", "description", "metadata_buffer", "signature_defs"):
        number = _MODEL_FIELDS[name]
        target = model.target(number)
        if target is not None:
            new.patches.append((root + 4 + 4 * number, target))

    slots = {}
    for name, old_tables in (("buffers", buffers), ("metadata", kept)):
        vector = new.put(f"<I{len(old_tables) + 1}I", len(old_tables) + 1, *[0] * (len(old_tables) + 1))
        new.point(root + 4 + 4 * _MODEL_FIELDS[name], vector)
        new.patches.extend((vector + 4 + 4 * i, position) for i, position in enumerate(old_tables))
        slots[name] = vector + 4 + 4 * len(old_tables)

    buffer_vtable = new.put("<HHH", 6, 8, 4)
    buffer = new.put("<iI", 0, 0)
    struct.pack_into("<i", new.bytes, buffer, buffer - buffer_vtable)
    new.point(slots["buffers"], buffer)
    entry_vtable = new.put("<HHHH", 8, 12, 4, 8)
    entry = new.put("<iII", 0, 0, len(buffers))
    struct.pack_into("<i", new.bytes, entry, entry - entry_vtable)
    new.point(slots["metadata"], entry)
    new.point(entry + 4, new.byte_vector(CONTRACT_KEY.encode(), alignment=4))
    new.point(buffer + 4, new.byte_vector(contract, alignment=16))
    return new.finish(content)


def _root_slots(model: _Table) -> list[int]:
    """Vtable entries of the new root: 0 for a field that the old root lacks."""
    always = {"version", "buffers", "metadata"}
    return [
        4 + 4 * number if name in always or model.target(number) is not None else 0
        for name, number in _MODEL_FIELDS.items()
    ]
