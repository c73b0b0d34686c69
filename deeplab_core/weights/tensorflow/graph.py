"""Frozen graphs: the variables that became constants, and what the operations around them say.

A ``GraphDef`` is a list of nodes; freezing replaced every variable by a ``Const`` node of the same name. Strides, atrous rates
and batch norm's epsilon are not in the variables but in the nodes that read them: they are taken from there, not guessed.
Field numbers are those of ``tensorflow/core/framework/{graph,node_def,attr_value}.proto``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from deeplab_core.protobuf import Malformed, Value, fields, float32, packed, text, view
from deeplab_core.weights.tensorflow.tensors import FLOATS, constant_type, read_constant, to_torch

#: Last part of a variable's name in the official graphs.
VARIABLES = frozenset(
    {"weights", "depthwise_weights", "pointwise_weights", "biases", "gamma", "beta", "moving_mean", "moving_variance"}
)

_MOST_NODES = 200_000
_MOST_HOPS = 16


@dataclass(slots=True)
class Node:
    """An operation: its name, kind, the names of its inputs, and its attributes (raw ``AttrValue`` messages)."""

    name: str
    op: str
    inputs: list[str] = field(default_factory=list)
    attributes: dict[str, memoryview] = field(default_factory=dict)


def looks_like_graph(head: bytes) -> bool:
    """Whether a file's first bytes are those of a ``GraphDef``: a node that begins with its name."""
    data = memoryview(head)
    try:
        for _ in range(2):  # the node, then its name
            if data[0] != 0x0A:
                return False
            length, position = 0, 1
            while data[position] & 0x80:
                position += 1
            position += 1
            data = data[position:]
            length = int(data[0])
        return 0x20 <= length < 0x7F
    except IndexError:
        return False


def read_nodes(data: memoryview) -> dict[str, Node]:
    """The nodes of a serialised ``GraphDef`` by name.

    Raises:
        Malformed: not a graph, two nodes of one name, or more nodes than any network has.
    """
    nodes: dict[str, Node] = {}
    for number, _, value in fields(data):
        if number != 1:
            continue  # versions and function libraries
        node = _node(view(value))
        if not node.name or not node.op:
            raise Malformed("a node has no name or no operation")
        if node.name in nodes:
            raise Malformed(f"two nodes are named '{node.name}'")
        nodes[node.name] = node
        if len(nodes) > _MOST_NODES:
            raise Malformed(f"more than {_MOST_NODES} nodes")
    return nodes


def _node(data: memoryview) -> Node:
    node = Node("", "")
    for number, _, value in fields(data):
        if number == 1:
            node.name = text(value)
        elif number == 2:
            node.op = text(value)
        elif number == 3:
            node.inputs.append(text(value))
        elif number == 5:
            parts = {part: content for part, _, content in fields(view(value))}
            node.attributes[text(parts.get(1, memoryview(b"")))] = view(parts.get(2, memoryview(b"")))
    return node


def read_graph(data: memoryview) -> dict[str, Any]:
    """Variables and facts of a frozen graph.

    Args:
        data: a serialised ``GraphDef``.

    Returns:
        Tensors by variable name, in torch's layout, and under ``"tensorflow"`` what the operations say, see :func:`_operations`.

    Raises:
        Malformed: not a graph, or one that was not frozen.
    """
    nodes = read_nodes(data)
    constants = {name: _attribute(node, "value", 8) for name, node in nodes.items() if node.op == "Const"}
    variables: dict[str, Tensor] = {}
    for name, value in constants.items():
        if value is None or name.rpartition("/")[2] not in VARIABLES:
            continue
        if constant_type(view(value)) in FLOATS:
            try:
                variables[name] = to_torch(name, read_constant(view(value)))
            except Malformed as error:
                raise Malformed(f"'{name}': {error}") from error
    if not variables:
        if any(node.op.startswith(("Variable", "VarHandle")) for node in nodes.values()):
            raise Malformed("the graph is not frozen: its variables are in the checkpoint beside it; choose its .index file")
        raise Malformed(f"none of its {len(constants)} constants is the variable of a network")
    return {**variables, "tensorflow": _operations(nodes)}


def _attribute(node: Node, name: str, field_number: int) -> Value | None:
    raw = node.attributes.get(name)
    if raw is None:
        return None
    return next((value for number, _, value in fields(raw) if number == field_number), None)


def _integers(node: Node, name: str) -> list[int]:
    """An attribute that is a list of integers (``AttrValue.list.i``)."""
    raw = _attribute(node, name, 1)
    if raw is None:
        return []
    return [item for number, wire, value in fields(view(raw)) if number == 3 for item in packed(value, wire)]


def _source(nodes: dict[str, Node], name: str) -> Node | None:
    """The node behind an input, through identities."""
    for _ in range(_MOST_HOPS):
        node = nodes.get(name.removeprefix("^").partition(":")[0])
        if node is None or node.op != "Identity" or not node.inputs:
            return node
        name = node.inputs[0]
    return None


def _operations(nodes: dict[str, Node]) -> dict[str, Any]:
    """What the operations say about the layers of the variables that they read; scopes are variable names without their last
    part.

    Returns:
        ``"stride"`` and ``"rate"``: scope to (vertical, horizontal) of its convolution; ``"epsilon"``: scope of a batch norm to
        its epsilon; ``"pool"``: scope of a convolution to the (height, width) of the average pooling before it.
    """
    operations: dict[str, dict[str, Any]] = {"stride": {}, "rate": {}, "epsilon": {}, "pool": {}}
    for node in nodes.values():
        if len(node.inputs) < 2:
            continue
        if node.op in ("Conv2D", "DepthwiseConv2dNative"):
            weights = _source(nodes, node.inputs[1])
            before = _source(nodes, node.inputs[0])
            if weights is None or weights.op != "Const":
                continue
            scope = weights.name.rpartition("/")[0]
            strides, rates = _integers(node, "strides"), _integers(node, "dilations")
            operations["stride"][scope] = tuple(strides[1:3]) if len(strides) == 4 else (1, 1)
            operations["rate"][scope] = tuple(rates[1:3]) if len(rates) == 4 else (1, 1)
            if before is not None and before.op == "SpaceToBatchND":
                operations["rate"][scope] = _block_shape(nodes, before) or operations["rate"][scope]
            elif before is not None and before.op == "AvgPool":
                operations["pool"][scope] = tuple(_integers(before, "ksize")[1:3])
        elif node.op.startswith("FusedBatchNorm"):
            gamma, epsilon = _source(nodes, node.inputs[1]), _attribute(node, "epsilon", 4)
            if gamma is not None and gamma.op == "Const":
                # A protocol buffer leaves out what equals its default; this operation's is 1e-4.
                operations["epsilon"][gamma.name.rpartition("/")[0]] = 1e-4 if epsilon is None else round(float32(epsilon), 9)
    return operations


def _block_shape(nodes: dict[str, Node], node: Node) -> tuple[int, ...] | None:
    source = _source(nodes, node.inputs[1]) if len(node.inputs) > 1 else None
    value = None if source is None or source.op != "Const" else _attribute(source, "value", 8)
    if value is None:
        return None
    shape = read_constant(view(value))
    return tuple(int(side) for side in shape.tolist()) if shape.shape == (2,) else None
