"""Which layers of a traced network make the same units, and which take them in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

from torch import fx, nn
from torch.fx.passes.shape_prop import TensorMetadata

from accord.merging.permuting.groups import Groups
from accord.merging.permuting.joined import Joined

Shape = tuple[int, ...]
Rule = Callable[[fx.Node], "Units | None"]
CONVOLUTIONS: dict[type[nn.Module], int] = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)

# What works on every number by itself, or treats all units of an axis alike, by the names of functions and modules.
ALIKE = {
    *("relu", "relu6", "relu_", "leakyrelu", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "tanh"),
    *("sigmoid", "hardswish", "hardsigmoid", "hardtanh", "logsigmoid", "softplus", "softsign", "clamp", "abs", "neg"),
    *("exp", "square", "sqrt", "rsqrt", "pow", "softmax", "log_softmax", "logsoftmax", "normalize", "identity"),
    *("dropout", "dropout1d", "dropout2d", "alphadropout", "contiguous", "clone", "detach", "float", "to"),
}
POOLS = {
    f"{adaptive}{kind}{gap}pool{n}d"
    for adaptive in ("", "adaptive", "adaptive_")
    for kind in ("max", "avg")
    for gap in ("", "_")
    for n in (1, 2, 3)
}
BINARY = {"add", "iadd", "add_", "sub", "isub", "mul", "imul", "mul_", "truediv", "div", "maximum", "minimum"}
SHAPED = {"flatten", "view", "reshape"}
REDUCED = {"mean", "sum", "amax", "amin"}
TURNED = {"transpose", "permute"}
SIZES = {"size", "dim"}


@dataclass(frozen=True)
class Units:
    """Units of one group along an axis of a tensor, in runs where the axis is longer than the group."""

    group: str
    axis: int


class UnitWalk:
    """Follow groups of units through a traced network, node by node, and fix what meets something unknown.

    Args:
        model: the network.
        graph: its nodes, with the shapes of what they give out.
    """

    def __init__(self, model: nn.Module, graph: fx.Graph) -> None:
        tensors = chain(model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False))
        self.model = model
        self.graph = graph
        self.joined = Joined(dict(tensors))
        self.held: dict[fx.Node, Units | None] = {}

    def groups(self) -> Groups:
        """Return the groups that nothing has fixed."""
        for node in self.graph.nodes:
            self.held[node] = self._visit(node)
        return self.joined.groups()

    def _visit(self, node: fx.Node) -> Units | None:
        if node.op in ("placeholder", "get_attr"):
            return None
        module = self.model.get_submodule(str(node.target)) if node.op == "call_module" else None
        kind = type(module).__name__ if module is not None else getattr(node.target, "__name__", str(node.target))
        rule = self._layer(module) if module is not None else None
        if rule is None:
            rule = self._rule(kind.lower(), node)
        if rule is None:
            for source in node.all_input_nodes:
                self._fix(source)
            return None
        return rule(node)

    def _layer(self, module: nn.Module) -> Rule | None:
        if isinstance(module, nn.Linear):
            return lambda node: self._maker(node, module, -1, module.out_features, module.in_features)
        if type(module) in CONVOLUTIONS:
            return lambda node: self._convolution(node, module, -1 - CONVOLUTIONS[type(module)])
        if isinstance(module, NORMS):
            return lambda node: self._vectors(node, module, 1)
        if isinstance(module, nn.LayerNorm) and len(module.normalized_shape) == 1:
            return lambda node: self._vectors(node, module, -1)
        if isinstance(module, nn.Embedding):
            return lambda node: self._embedded(node, module)
        return None

    def _rule(self, kind: str, node: fx.Node) -> Rule | None:
        if kind in SIZES or (kind == "getattr" and node.args[1] in ("shape", "ndim", "dtype", "device")):
            return _nothing
        if kind in ALIKE and len(node.all_input_nodes) == 1:
            return lambda node: self.held[node.all_input_nodes[0]]
        rules = ((POOLS, self._pool), (BINARY, self._meet), (SHAPED, self._shape), (REDUCED, self._reduce))
        for names, rule in (*rules, (TURNED, self._turn)):
            if kind in names:
                return rule
        if kind == "getitem" and _shape(node.all_input_nodes[0]) is None:
            return _nothing
        return None

    def _fix(self, source: fx.Node) -> None:
        units = self.held[source]
        if units is not None:
            self.joined.fix(units.group)

    def _made(self, node: fx.Node, axis: int, size: int, vectors: dict[str, int]) -> Units:
        group = self.joined.new(str(node.target), size)
        for name, place in vectors.items():
            self.joined.lay(f"{node.target}.{name}", place, group)
        return Units(group, axis % len(_known(node)))

    def _maker(self, node: fx.Node, module: Any, axis: int, size: int, taken: int) -> Units | None:
        self._take(node, axis, taken, 1)
        vectors = {"weight": 0} | ({"bias": 0} if module.bias is not None else {})
        return self._made(node, axis, size, vectors)

    def _embedded(self, node: fx.Node, module: nn.Embedding) -> Units:
        self.joined.hold(f"{node.target}.weight", 0)
        return self._made(node, -1, module.embedding_dim, {"weight": 1})

    def _take(self, node: fx.Node, axis: int, extent: int, place: int) -> None:
        """Note that a layer takes in what lies along ``axis`` of its input along axis ``place`` of its weight."""
        source = node.all_input_nodes[0]
        units, shape = self.held[source], _known(source)
        if units is None:
            self.joined.hold(f"{node.target}.weight", place)
        elif units.axis == axis % len(shape) and shape[units.axis] == extent:
            self.joined.lay(f"{node.target}.weight", place, units.group)
        else:
            self.joined.fix(units.group)

    def _convolution(self, node: fx.Node, module: Any, axis: int) -> Units | None:
        if module.groups == 1:
            return self._maker(node, module, axis, module.out_channels, module.in_channels)
        source = node.all_input_nodes[0]
        units = self.held[source]
        depthwise = module.groups == module.in_channels == module.out_channels
        if units is None or not depthwise or units.axis != axis % len(_known(source)):
            self._fix(source)
            return None
        self._take(node, axis, module.in_channels, 0)
        if module.bias is not None:
            self.joined.lay(f"{node.target}.bias", 0, units.group)
        return units

    def _vectors(self, node: fx.Node, module: nn.Module, axis: int) -> Units | None:
        source = node.all_input_nodes[0]
        units, shape = self.held[source], _known(source)
        if units is None:
            return None
        for name, tensor in module.state_dict().items():
            if tensor.ndim != 1:
                continue
            if units.axis == axis % len(shape) and len(tensor) == shape[units.axis]:
                self.joined.lay(f"{node.target}.{name}", 0, units.group)
            else:
                self.joined.fix(units.group)
        return units

    def _pool(self, node: fx.Node) -> Units | None:
        """Pooling works within each channel; what lies along a pooled axis loses its order."""
        source = node.all_input_nodes[0]
        units = self.held[source]
        if units is not None and (len(_known(source)) < 3 or units.axis != 1):
            self._fix(source)
            return None
        return units

    def _meet(self, node: fx.Node) -> Units | None:
        """Two tensors meet number by number, one of them spread out over axes of size 1 where need be."""
        sources = [source for source in node.all_input_nodes if _shape(source) is not None]
        units = [(held, _known(source)) for source in sources if (held := self.held[source]) is not None]
        if not units:
            return None
        first, shape = units[0]
        place, extent = first.axis - len(shape), shape[first.axis]
        for other, shape in units[1:]:
            if (other.axis - len(shape), shape[other.axis]) == (place, extent):
                self.joined.join(first.group, other.group)
            else:
                self.joined.fix(first.group)
                self.joined.fix(other.group)
        for source in sources:
            shape = _known(source)
            if self.held[source] is None and len(shape) >= -place and shape[place] != 1:
                if shape[place] == extent and self.joined.holds(str(source.target)):
                    self.joined.lay(str(source.target), len(shape) + place, first.group)
                else:
                    self.joined.fix(first.group)
        return Units(first.group, len(_known(node)) + place)

    def _shape(self, node: fx.Node) -> Units | None:
        """A unit stays a run of neighbours where the axes before it stay and the first one after holds whole runs."""
        source = node.all_input_nodes[0]
        units, before, after = self.held[source], _known(source), _known(node)
        if units is None or before == after:
            return units
        place, size = units.axis, self.joined.size(units.group)
        if after[:place] == before[:place] and len(after) > place and after[place] % size == 0:
            return units
        self._fix(source)
        return None

    def _reduce(self, node: fx.Node) -> Units | None:
        source = node.all_input_nodes[0]
        units, before, after = self.held[source], _known(source), _known(node)
        if units is None:
            return None
        named = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
        dims = [named] if isinstance(named, int) else list(named) if isinstance(named, tuple | list) else []
        gone = [dim % len(before) for dim in dims if isinstance(dim, int)]
        if not gone or units.axis in gone:
            self._fix(source)
            return None
        kept = len(after) == len(before)
        return Units(units.group, units.axis - (0 if kept else sum(dim < units.axis for dim in gone)))

    def _turn(self, node: fx.Node) -> Units | None:
        source = node.all_input_nodes[0]
        units, dims = self.held[source], node.args[1:]
        if units is None:
            return None
        count = len(_known(source))
        order = list(range(count))
        listed = dims[0] if len(dims) == 1 and isinstance(dims[0], tuple | list) else dims
        places = [dim % count for dim in listed if isinstance(dim, int)]
        name = getattr(node.target, "__name__", str(node.target))
        if name == "permute" and len(places) == count:
            order = places
        elif name == "transpose" and len(places) == 2:
            order[places[0]], order[places[1]] = order[places[1]], order[places[0]]
        else:
            self._fix(source)
            return None
        return Units(units.group, order.index(units.axis))


def _nothing(_: fx.Node) -> None:
    """Sizes and types hold no units."""


def _shape(node: fx.Node) -> Shape | None:
    meta = node.meta.get("tensor_meta")
    return tuple(meta.shape) if isinstance(meta, TensorMetadata) else None


def _known(node: fx.Node) -> Shape:
    shape = _shape(node)
    assert shape is not None, f"{node} gives out no tensor"
    return shape
