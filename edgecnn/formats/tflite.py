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
from edgecnn.formats import CONTRACT_KEY, LARGEST_CONTRACT, FileContents, damaged, parse_contract
from edgecnn.tensors import QuantParams, TensorInfo

_MODEL_FIELDS = {
    "version": 0, "operator_codes": 1, "subgraphs": 2, "description": 3,
    "buffers": 4, "metadata_buffer": 5, "metadata": 6, "signature_defs": 7,
}  # fmt: skip
_TENSOR_TYPES = {
    0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8",
}  # fmt: skip
_PREFIX_ALIGNMENT = 64
# Vectors and strings may overlap, so a small file can point at one large one a thousand times: whatever
# is copied out of the file is bounded first.
_MOST_EDGES = 256  # inputs, and outputs
_LONGEST_NAME = 4096  # bytes
_LONGEST_SHAPE = 16  # axes


_KEY = CONTRACT_KEY.encode()


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

    def extent(self, number: int, size: int) -> tuple[int, int]:
        """Absolute position and count of the elements, of ``size`` bytes each, of a vector or string."""
        at = self.target(number)
        if at is None:
            return 0, 0
        count = self._read("<I", at)
        if at + 4 + count * size > len(self.data):
            raise struct.error("a vector runs past the end of the file")
        return at + 4, count

    def vector(self, number: int, code: str, size: int, *, most: int) -> list[int]:
        start, count = self.extent(number, size)
        if count > most:
            raise struct.error(f"a vector has {count} elements, more than {most}")
        return [entry[0] for entry in struct.iter_unpack(code, self.data[start : start + count * size])]

    def element_positions(self, number: int) -> Iterator[int]:
        """Absolute positions of the tables of a vector of tables."""
        start, count = self.extent(number, 4)
        return (at + self._read("<I", at) for at in range(start, start + 4 * count, 4))

    def element(self, number: int, index: int) -> _Table:
        """The table at ``index`` of a vector of tables."""
        start, count = self.extent(number, 4)
        if not 0 <= index < count:
            raise struct.error(f"it points at element {index} of {count}")
        at = start + 4 * index
        return _Table(self.data, at + self._read("<I", at))

    def tables(self, number: int) -> Iterator[_Table]:
        return (_Table(self.data, at) for at in self.element_positions(number))

    def raw(self, number: int, *, most: int) -> bytes:
        """Bytes of a string or a byte vector."""
        start, count = self.extent(number, 1)
        if count > most:
            raise struct.error(f"a text has {count} bytes, more than {most}")
        return bytes(self.data[start : start + count])

    def is_contract(self) -> bool:
        """Whether this Metadata table names the contract."""
        start, count = self.extent(0, 1)
        return count == len(_KEY) and self.data[start : start + count] == _KEY


def _root(content: bytes) -> _Table:
    if content[4:8] != b"TFL3":
        raise struct.error("no TFL3 identifier")
    view = memoryview(content)
    return _Table(view, struct.unpack_from("<I", view, 0)[0])


def _tensor_info(tensor: _Table) -> TensorInfo:
    name = tensor.raw(3, most=_LONGEST_NAME).decode(errors="replace")
    code = tensor.scalar(1, "<b")
    if code not in _TENSOR_TYPES:
        raise InputError(
            f"tensor {name!r} has the TFLite type {code}, which edgecnn does not feed", "export the model again"
        )
    dtype = _TENSOR_TYPES[code]
    shape = tuple(tensor.vector(7, "<i", 4, most=_LONGEST_SHAPE) or tensor.vector(0, "<i", 4, most=_LONGEST_SHAPE))
    quant = None
    quantization = tensor.table(4)
    if quantization is not None and dtype in ("int8", "uint8", "int16") and quantization.extent(2, 4)[1] == 1:
        scale = quantization.vector(2, "<f", 4, most=1)[0]
        zero_points = quantization.vector(3, "<q", 8, most=1)
        quant = QuantParams(scale, zero_points[0] if zero_points else 0, dtype)
    return TensorInfo(name, shape, dtype, quant)


def _check_buffers(model: _Table) -> None:
    for buffer in model.tables(_MODEL_FIELDS["buffers"]):
        at = buffer.target(0)
        end = 0 if at is None else at + 4 + struct.unpack_from("<I", model.data, at)[0]
        if max(end, buffer.scalar(1, "<Q") + buffer.scalar(2, "<Q")) > len(model.data):
            raise struct.error("a weight runs past the end of the file")


def _absolute_offsets(model: _Table) -> set[int]:
    """Where the file notes the start of what some exporters put behind the flatbuffer: weights, large custom options.

    Tables may be shared, so this is a set: each is to be shifted once. 0 and 1 stand for "none".
    """
    holders = [(buffer, 1) for buffer in model.tables(_MODEL_FIELDS["buffers"])]
    for subgraph in model.tables(_MODEL_FIELDS["subgraphs"]):
        holders += [(operator, 9) for operator in subgraph.tables(3)]
    slots = {table.slot(number) for table, number in holders if table.scalar(number, "<Q") > 1}
    return {slot for slot in slots if slot is not None}


def _shifted(content: bytes, by: int) -> bytes:
    """Return a file whose absolute offsets count from ``by`` bytes earlier."""
    result = bytearray(content)
    for where in _absolute_offsets(_root(content)):
        struct.pack_into("<Q", result, where, struct.unpack_from("<Q", result, where)[0] + by)
    return bytes(result)


def read(path: Path) -> FileContents:
    """Return tensors and contract of a ``.tflite`` file.

    Raises:
        InputError: the bytes do not hold together.
    """
    try:
        model = _root(path.read_bytes())
        _check_buffers(model)
        subgraph = next(model.tables(_MODEL_FIELDS["subgraphs"]))
        inputs, outputs = (
            tuple(_tensor_info(subgraph.element(0, i)) for i in subgraph.vector(field, "<i", 4, most=_MOST_EDGES))
            for field in (1, 2)
        )
        buffer = _contract_buffer(model)
        text = None if buffer is None else buffer.raw(0, most=LARGEST_CONTRACT)
    except (struct.error, OverflowError) as error:
        raise damaged(path, "TFLite", error) from error
    except StopIteration as error:
        raise damaged(path, "TFLite", "it holds no graph") from error
    return FileContents(inputs, outputs, None if text is None else parse_contract(text, path))


def _contract_buffer(model: _Table) -> _Table | None:
    buffer = None
    for entry in model.tables(_MODEL_FIELDS["metadata"]):
        if entry.is_contract():
            buffer = model.element(_MODEL_FIELDS["buffers"], entry.scalar(1, "<I"))
    return buffer


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
        return bytes(self.bytes) + _shifted(old, size)


def with_contract(content: bytes, contract: bytes) -> bytes:
    """Return a ``.tflite`` file's bytes with the contract as a metadata entry; an earlier prefix is taken off."""
    while (earlier := _without_prefix(content)) is not None:
        content = earlier
    return _with_prefix(content, contract)


def _without_prefix(content: bytes) -> bytes | None:
    """Return the bytes that :func:`_with_prefix` was given to make ``content``; ``None`` if it did not make it."""
    model = _root(content)
    buffer = _contract_buffer(model)
    if buffer is None:
        return None
    # The contract is the last thing in a prefix: a byte vector, its closing NUL, and padding.
    start, count = buffer.extent(0, 1)
    size = -(-(start + count + 1) // _PREFIX_ALIGNMENT) * _PREFIX_ALIGNMENT
    if content[size + 4 : size + 8] != b"TFL3":
        return None
    try:
        old = _shifted(content[size:], -size)
        # Only what gives the very same file again is surely ours.
        return old if _with_prefix(old, content[start : start + count]) == content else None
    except (struct.error, OverflowError):
        return None


def _with_prefix(content: bytes, contract: bytes) -> bytes:
    model = _root(content)
    metadata = model.element_positions(_MODEL_FIELDS["metadata"])
    kept = [at for at in metadata if not _Table(model.data, at).is_contract()]
    buffers = list(model.element_positions(_MODEL_FIELDS["buffers"]))

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
    new.point(entry + 4, new.byte_vector(_KEY, alignment=4))
    new.point(buffer + 4, new.byte_vector(contract, alignment=16))
    return new.finish(content)


def _root_slots(model: _Table) -> list[int]:
    """Vtable entries of the new root: 0 for a field that the old root lacks."""
    always = {"version", "buffers", "metadata"}
    return [
        4 + 4 * number if name in always or model.target(number) is not None else 0
        for name, number in _MODEL_FIELDS.items()
    ]
