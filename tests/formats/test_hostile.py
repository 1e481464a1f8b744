"""Files made to do harm: every one refused with a clear error, at a bounded cost."""

from __future__ import annotations

import json
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecnn import formats
from edgecnn.artifact import contract_document, open_artifact
from edgecnn.errors import EdgecnnError, EngineError, InputError
from edgecnn.formats import keras as keras_format
from edgecnn.formats import tflite
from edgecnn.recipe import RECIPES, CalibrationRecord
from edgecnn.runtimes import open_runtime
from tests.conftest import GOLDEN


def refused(path: Path, match: str | None = None) -> None:
    with pytest.raises(InputError, match=match) as caught:
        open_artifact(path)
    assert caught.value.remedy


# --- contracts of wrong types

_SPEC = open_artifact(GOLDEN / "tiny_int8.onnx").require_spec()
_RECIPE = RECIPES["int8"].calibrated(CalibrationRecord("digits", 300, 0, "0" * 64))
CONTRACT: dict[str, Any] = json.loads(
    json.dumps(
        {
            "schema_version": 1,
            **contract_document(
                _SPEC,
                _RECIPE,
                {"source_sha256": "0" * 64},
                {
                    tensor.name: {"scale": 0.5, "zero_point": 3}
                    for tensor in open_artifact(GOLDEN / "tiny_int8.onnx").inputs
                },
            ),
        }
    )
)
CONTENTS = {name: (GOLDEN / name).read_bytes() for name in ("tiny_int8.onnx", "tiny_int8.tflite")}


def paths_of(node: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value of a document, the document itself included."""
    yield path
    if isinstance(node, dict):
        for key, value in node.items():
            yield from paths_of(value, (*path, key))
    if isinstance(node, list):
        for index, value in enumerate(node):
            yield from paths_of(value, (*path, index))


def replaced(path: tuple[Any, ...], value: object) -> object:
    if not path:
        return value
    document = deepcopy(CONTRACT)
    node: Any = document
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    return document


def with_text(folder: Path, name: str, text: bytes) -> Path:
    """Write a golden file with ``text`` where its contract was."""
    path = folder / name
    module = import_module(f"edgecnn.formats.{path.suffix[1:]}")
    path.write_bytes(module.with_contract(CONTENTS[name], text))
    return path


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
) | st.sampled_from([10**400, -1, 1e308, "1" * 400 + "/1", "\x1b[31m", "a\0b", "../x", "\ud800", "x" * 10_000, {}, []])


def test_the_valid_contract_is_accepted(tmp_path: Path) -> None:
    for name in CONTENTS:
        artifact = open_artifact(with_text(tmp_path, name, json.dumps(CONTRACT).encode()))
        assert artifact.spec == _SPEC
        assert artifact.recipe == _RECIPE


@pytest.mark.parametrize("name", sorted(CONTENTS))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(path=st.sampled_from(list(paths_of(CONTRACT))), value=ANY_JSON)
def test_any_value_anywhere_in_a_contract_is_read_or_refused(
    tmp_path: Path, name: str, path: tuple[Any, ...], value: object
) -> None:
    file = with_text(tmp_path, name, json.dumps(replaced(path, value)).encode())
    try:
        open_artifact(file)
    except InputError as error:
        assert error.remedy


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("tensors",), [1]),
        (("provenance",), [1]),
        (("provenance", "source_sha256"), "\x1b[31m"),
        (("provenance", "source_sha256"), {}),
        (("recipe",), [1]),
        (("recipe",), None),
        (("recipe", "name"), "../../x"),
        (("recipe", "weights"), 8),
        (("recipe", "calibration"), [1]),
        (("recipe", "calibration", "samples"), "300"),
        (("recipe", "calibration", "sha256"), 1),
        (("spec",), {"input": {}}),
        (("spec", "input"), "x"),
        (("spec", "input", "scale"), 10**400),
        (("spec", "input", "height"), True),
        (("spec", "input", "mean"), {"a": 1}),
        (("spec", "name"), "a/b"),
        (("spec", "labels", 0), "\x1b[2J"),
        (("spec", "labels", 0), None),
    ],
)
def test_wrong_types_are_refused(tmp_path: Path, path: tuple[Any, ...], value: object) -> None:
    refused(with_text(tmp_path, "tiny_int8.onnx", json.dumps(replaced(path, value)).encode()))


@pytest.mark.parametrize("field", ["scale", "zero_point"])
@pytest.mark.parametrize("value", ["x", 10**400, None, True, [1], -1e400])
def test_wrong_quantization_is_refused(tmp_path: Path, field: str, value: object) -> None:
    name = next(iter(CONTRACT["tensors"]))
    document = replaced(("tensors", name, field), value)
    refused(with_text(tmp_path, "tiny_int8.onnx", json.dumps(document).encode()))


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    text = b'{"schema_version":1,"spec":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    for name in CONTENTS:
        refused(with_text(tmp_path, name, text), "contract")


def test_a_huge_contract_is_refused(tmp_path: Path) -> None:
    text = b'{"schema_version":1,"x":"' + b" " * formats.LARGEST_CONTRACT + b'"}'
    for name in CONTENTS:
        refused(with_text(tmp_path, name, text))


# --- .keras archives


def rezipped(source: Path, target: Path, changed: dict[str, bytes], **options: Any) -> Path:
    """Write ``source`` with some members replaced."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", **options) as new:
        for name in {*old.namelist(), *changed}:
            new.writestr(name, changed.get(name) or old.read(name))
    return target


def read_config_or_contract(path: Path, member: str) -> None:
    (keras_format.config_of if member == "config.json" else open_artifact)(path)


@pytest.mark.parametrize("member", ["edgecnn.json", "config.json"])
def test_a_zip_bomb_is_not_unpacked(golden: Callable[[str], Path], tmp_path: Path, member: str) -> None:
    bomb = rezipped(
        golden("tiny.keras"), tmp_path / "bomb.keras", {member: b" " * (200 << 20)}, compression=zipfile.ZIP_DEFLATED
    )
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="bytes, more than"):
            read_config_or_contract(bomb, member)
        assert tracemalloc.get_traced_memory()[1] < 50 << 20
    finally:
        tracemalloc.stop()


def test_weights_are_not_unpacked_to_read_the_contract(golden: Callable[[str], Path], tmp_path: Path) -> None:
    weights = {"model.weights.h5": b"\0" * (100 << 20)}
    path = rezipped(golden("tiny.keras"), tmp_path / "m.keras", weights, compression=zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    try:
        assert open_artifact(path).spec is not None
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("member", ["edgecnn.json", "config.json", "model.weights.h5"])
def test_corrupt_members_are_refused(golden: Callable[[str], Path], tmp_path: Path, member: str) -> None:
    for compression in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
        path = rezipped(golden("tiny.keras"), tmp_path / "corrupt.keras", {}, compression=compression)
        content = bytearray(path.read_bytes())
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(member)
        start = info.header_offset + 30 + len(member)
        middle = start + info.compress_size // 2
        content[start : start + 20] = b"\xff" * 20
        content[middle : middle + 20] = b"\xff" * 20
        path.write_bytes(content)
        with pytest.raises(EdgecnnError) as caught:
            open_runtime(open_artifact(path))
        assert caught.value.remedy


@pytest.mark.parametrize("member", ["edgecnn.json", "config.json"])
def test_encrypted_members_are_refused(golden: Callable[[str], Path], member: str) -> None:
    path = golden("tiny.keras")
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        content[archive.getinfo(member).header_offset + 6] |= 1
    entry = content.rindex(member.encode()) - 46  # of the directory at the end
    content[entry + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="encrypted"):
        read_config_or_contract(path, member)


def test_an_archive_behind_something_else_is_refused(golden: Callable[[str], Path]) -> None:
    path = golden("tiny.keras")
    path.write_bytes(b"PK\x03\x04 is how archives begin" + path.read_bytes())
    refused(path, "does not begin")


# --- flatbuffers


def patched(name: str, *changes: tuple[str, bytes]) -> bytes:
    """Return a golden file of which named places of the first subgraph point to new bytes at its end."""
    content = bytearray(CONTENTS[name])
    for place, new in changes:
        model = tflite._root(bytes(content))
        subgraph = next(model.tables(2))
        table, field = {
            "inputs": (subgraph, 1), "operators": (subgraph, 3), "name": (subgraph.element(0, 0), 3),
        }[place]  # fmt: skip
        slot = table.slot(field)
        assert slot is not None
        content.extend(b"\0" * (-len(content) % 16))
        struct.pack_into("<I", content, slot, len(content) - slot)
        content.extend(new)
    return bytes(content)


@pytest.mark.parametrize("index", [-1, 10**6])
def test_inputs_that_are_no_tensors_are_refused(tmp_path: Path, index: int) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(patched("tiny_int8.tflite", ("inputs", struct.pack("<Ii", 1, index))))
    refused(path, "points at element")


def test_many_inputs_with_one_long_name_cost_little(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    long_name = struct.pack("<I", 1 << 20) + b"n" * (1 << 20) + b"\0"
    many = struct.pack("<1201I", 1200, *[0] * 1200)
    for changes in ([("name", long_name), ("inputs", many)], [("name", long_name)], [("inputs", many)]):
        path.write_bytes(patched("tiny_int8.tflite", *changes))
        if changes == [("name", long_name)]:  # make the tensor an input
            path.write_bytes(patched("tiny_int8.tflite", *changes, ("inputs", struct.pack("<II", 1, 0))))
        tracemalloc.start()
        try:
            refused(path, "more than")
            assert tracemalloc.get_traced_memory()[1] < 20 << 20
        finally:
            tracemalloc.stop()


def test_large_custom_options_move_with_the_file() -> None:
    payload = b"options!" * 4
    fields = [0] * 11
    fields[9], fields[10] = 8, 16
    vtable = struct.pack("<HH11H", 4 + 2 * 11, 24, *fields)  # 26 bytes, 28 with padding
    vector = struct.pack("<II", 1, 4 + 28)
    table_at = 8 + 28  # from the start of the vector
    end = len(CONTENTS["tiny_int8.tflite"]) + -len(CONTENTS["tiny_int8.tflite"]) % 16
    table = struct.pack("<iIQQ", 28, 0, end + table_at + 24, len(payload))
    content = patched("tiny_int8.tflite", ("operators", vector + vtable + b"\0\0" + table + payload))

    def options(file: bytes) -> bytes:
        operator = next(next(tflite._root(file).tables(2)).tables(3))
        start, size = operator.scalar(9, "<Q"), operator.scalar(10, "<Q")
        return file[start : start + size]

    assert options(content) == payload
    moved = tflite.with_contract(content, b"{}")
    assert moved.endswith(payload)
    assert len(moved) != len(content)
    assert options(moved) == payload
    again = tflite.with_contract(tflite.with_contract(moved, b'{"a":1}' * 100), b"{}")
    assert again == moved


def test_names_that_are_no_text_are_an_engine_error(tmp_path: Path) -> None:
    """The engine itself gives up on such names; ours are read with replacement characters."""
    path = tmp_path / "m.tflite"
    content = CONTENTS["tiny_int8.tflite"]
    name = open_artifact(GOLDEN / "tiny_int8.tflite").outputs[0].name.encode()
    assert content.count(name) == 1  # the contract inside the file stays as it is
    path.write_bytes(content.replace(name, b"\xff" * len(name)))
    with pytest.raises(EngineError):
        open_runtime(open_artifact(path))


# --- protocol buffers


def external(tensor: Any) -> None:
    import onnx

    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/hostname")


def outside_initializer(model: Any) -> None:
    external(model.graph.initializer[0])


def outside_constant(model: Any) -> None:
    import onnx

    constant = onnx.helper.make_tensor("c", onnx.TensorProto.FLOAT, [1], [0.0])
    external(constant)
    inner = onnx.helper.make_graph([onnx.helper.make_node("Constant", [], ["c"], value=constant)], "inner", [], [])
    model.graph.node.append(onnx.helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner))


@pytest.mark.parametrize("spoil", [outside_initializer, outside_constant])
def test_weights_in_other_files_are_refused(tmp_path: Path, spoil: Callable[[Any], None]) -> None:
    import onnx

    model = onnx.load(GOLDEN / "tiny_float32.onnx")
    spoil(model)
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    refused(path, "in other files")


def test_two_graphs_are_refused(tmp_path: Path) -> None:
    """A parser merges them: the second could bring what was looked for in the first only."""
    path = tmp_path / "m.onnx"
    path.write_bytes(CONTENTS["tiny_int8.onnx"] + b"\x3a\x00")
    refused(path, "2 graphs")
