"""An ONNX file looked at without ONNX installed and before anything runs it: its metadata, and what it points to.

Field numbers are those of ``onnx.proto3`` (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

from deeplab_core.errors import UnsafeCheckpoint, WeightsError, message
from deeplab_core.protobuf import BYTES, VARINT, Malformed, Value, fields, number, text, view

#: A protocol buffer cannot be larger.
LARGEST = 2 * 2**30
#: Subgraphs nest this deep at most; no exporter comes near it.
_DEEPEST = 8
_LONGEST_TAIL = 4
_PIXEL_RULES = {"half_pixel": False, "pytorch_half_pixel": False, "align_corners": True}


def looks_like_onnx(head: bytes) -> bool:
    """Whether a file's first bytes are those of an ONNX ``ModelProto``: its IR version, then a field of that message."""
    # A SavedModel begins alike (its version is always 1, then field 2); ONNX left version 1 before its first release.
    return len(head) > 2 and head[0] == 0x08 and 3 <= head[1] <= 0x7F and head[2] in (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42)


@dataclass(frozen=True, slots=True)
class Upsampling:
    """A bilinear ``Resize`` at the end of a graph.

    Attributes:
        source: the tensor that it enlarges.
        align_corners: its rule.
    """

    source: str
    align_corners: bool


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """What an ONNX file says without being run.

    Attributes:
        metadata: its own strings by key.
        operations: how often each operation occurs in its main graph.
        upsampled: outputs that a bilinear enlargement gives, by name.
        external: names of files that hold its weights.
        makers: the operation that makes each output, and each source of an upsampled one, by name; what changes only the order
            or the type of the numbers is looked through.
    """

    metadata: dict[str, str] = field(default_factory=dict)
    operations: Counter[str] = field(default_factory=Counter)
    upsampled: dict[str, Upsampling] = field(default_factory=dict)
    external: frozenset[str] = frozenset()
    makers: dict[str, str] = field(default_factory=dict)


def read_onnx_file(path: Path) -> OnnxFile:
    """Look at an ONNX file.

    Raises:
        WeightsError: damaged, or weights in other files are missing.
        UnsafeCheckpoint: it points at files outside its own folder.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise Malformed("a file of this format cannot have more than 2 GiB")
        found = _model(memoryview(path.read_bytes()))
    except Malformed as error:
        raise WeightsError(
            message("the ONNX file is truncated or damaged"),
            why=str(error),
            remedy=message("Download or export it again"),
            path=path,
        ) from error
    except OSError as error:
        raise WeightsError(message("the ONNX file cannot be read"), why=str(error), path=path) from error
    _check_external(found.external, path)
    return found


def _check_external(names: frozenset[str], path: Path) -> None:
    for name in sorted(names):
        inside = not PurePosixPath(name).is_absolute() and not PureWindowsPath(name).drive and "\\" not in name
        target = path.parent / name
        if not inside or ".." in PurePosixPath(name).parts or not target.resolve().is_relative_to(path.parent.resolve()):
            raise UnsafeCheckpoint(
                message("the ONNX file points at a file outside its folder; it was not opened"),
                why=message("it refers to weights in {file}", file=repr(name)),
                remedy=message("Do not use this file; get it from its authors again"),
                path=path,
            )
        if not target.is_file():
            raise WeightsError(
                message("a part of the ONNX file is missing"), why=message("its weights are in {file}", file=name),
                remedy=message("Put {file} beside it, as its authors gave it", file=name), path=path,
            )  # fmt: skip


@dataclass(slots=True)
class _Node:
    op: str = ""
    domain: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    strings: dict[str, str] = field(default_factory=dict)


def _model(data: memoryview) -> OnnxFile:
    metadata: dict[str, str] = {}
    external: set[str] = set()
    nodes: list[_Node] = []
    outputs: list[str] = []
    graphs = 0
    for field_number, kind, value in fields(data):
        if field_number == 7 and kind == BYTES:
            graphs += 1
            _graph(view(value), nodes, outputs, external, 0)
        elif field_number == 14 and kind == BYTES:
            key, entry = _pair(view(value))
            metadata[key] = entry
        elif field_number == 25 and kind == BYTES:  # functions: their nodes may hold tensors too
            for inner, inner_kind, part in fields(view(value)):
                if inner == 7 and inner_kind == BYTES:
                    _node(view(part), external, 1)
    if graphs != 1 or not outputs:
        raise Malformed("it holds no graph")
    upsampled, makers = _ends(nodes, outputs)
    return OnnxFile(metadata, Counter(node.op for node in nodes), upsampled, frozenset(external), makers)


def _ends(nodes: list[_Node], outputs: list[str]) -> tuple[dict[str, Upsampling], dict[str, str]]:
    """Which outputs are enlarged maps, and by output the operation that makes it, or the map that it enlarges."""
    made_by = {name: node for node in nodes for name in node.outputs}
    upsampled, makers = {}, {}
    for name in outputs:
        node = _maker(name, made_by)
        makers[name] = "" if node is None else node.op
        enlarged = None if node is None else _enlarged(node)
        # What the graph's own input is enlarged to is not a map of scores.
        if enlarged is not None and enlarged.source in made_by:
            upsampled[name] = enlarged
            before = _maker(enlarged.source, made_by)
            makers[name] = makers[enlarged.source] = "" if before is None else before.op
    return upsampled, makers


def _enlarged(node: _Node) -> Upsampling | None:
    """What a node enlarges bilinearly, by a rule that is known."""
    if node.op != "Resize" or node.domain not in ("", "ai.onnx") or not node.inputs or node.strings.get("mode") != "linear":
        return None
    rule = _PIXEL_RULES.get(node.strings.get("coordinate_transformation_mode", "half_pixel"))
    return None if rule is None else Upsampling(node.inputs[0], rule)


def _maker(name: str, made_by: dict[str, _Node]) -> _Node | None:
    """The node that makes a tensor, behind what changes only the order or the type of the numbers."""
    node = made_by.get(name)
    for _ in range(_LONGEST_TAIL):
        if node is not None and node.op in ("Transpose", "Cast", "Identity") and node.inputs:
            node = made_by.get(node.inputs[0])
    return node


def _graph(data: memoryview, nodes: list[_Node], outputs: list[str], external: set[str], depth: int) -> None:
    if depth > _DEEPEST:
        raise Malformed("graphs nest without end")
    for field_number, kind, value in fields(data):
        if kind != BYTES:
            continue
        if field_number == 1:
            nodes.append(_node(view(value), external, depth))
        elif field_number == 5:
            external.update(_location(view(value)))
        elif field_number == 15:  # sparse: values and indices are tensors
            for inner, inner_kind, part in fields(view(value)):
                if inner in (1, 2) and inner_kind == BYTES:
                    external.update(_location(view(part)))
        elif field_number == 12:
            outputs.extend(text(part) for inner, _, part in fields(view(value)) if inner == 1)


def _node(data: memoryview, external: set[str], depth: int) -> _Node:
    node = _Node()
    for field_number, kind, value in fields(data):
        if kind != BYTES:
            continue
        if field_number == 1:
            node.inputs.append(text(value))
        elif field_number == 2:
            node.outputs.append(text(value))
        elif field_number == 4:
            node.op = text(value)
        elif field_number == 7:
            node.domain = text(value)
        elif field_number == 5:
            _attribute(view(value), node, external, depth)
    return node


def _attribute(data: memoryview, node: _Node, external: set[str], depth: int) -> None:
    name, string = "", None
    for field_number, kind, value in fields(data):
        if kind != BYTES:
            continue
        if field_number == 1:
            name = text(value)
        elif field_number == 4:
            string = bytes(view(value)).decode("utf-8", "replace")
        elif field_number in (5, 10):
            external.update(_location(view(value)))
        elif field_number in (6, 11):
            _graph(view(value), [], [], external, depth + 1)
    if string is not None:
        node.strings[name] = string


def _location(tensor: memoryview) -> Iterator[str]:
    """The file with a tensor's values, if not in the model itself."""
    outside, location = False, ""
    for field_number, kind, value in fields(tensor):
        if field_number == 13 and kind == BYTES:
            key, entry = _pair(view(value))
            if key == "location":
                location = entry
        elif field_number == 14 and kind == VARINT:
            outside = number(value) == 1
    if outside or location:
        yield location


def _pair(data: memoryview) -> tuple[str, str]:
    """A ``StringStringEntryProto``."""
    found: dict[int, Value] = {field_number: value for field_number, kind, value in fields(data) if kind == BYTES}
    return text(found.get(1, memoryview(b""))), text(found.get(2, memoryview(b"")))


def with_output(name: str) -> bytes:
    """Bytes that, put behind a model's own, make one more of its tensors an output.

    A protocol buffer's messages may come in parts, which a reader joins: this is a model with one output.
    """
    return bytes_field(7, bytes_field(12, bytes_field(1, name.encode())))


def bytes_field(field_number: int, content: bytes) -> bytes:
    """A field of a protocol buffer that holds bytes, a text or a message."""
    return _varint(field_number << 3 | BYTES) + _varint(len(content)) + content


def number_field(field_number: int, value: int) -> bytes:
    """A field of a protocol buffer that holds an unsigned number."""
    return _varint(field_number << 3 | VARINT) + _varint(value)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
