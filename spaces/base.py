"""The contract of a search space: what methods, searches and judges may ask of it, whatever its cells look like.

A `Space` says which rows a mixture has, which architecture a mixture stands for, and builds the `Network` that a
search trains. An `Architecture` is one point of the space: hashable, with a key that equal architectures share, JSON
both ways and a drawing. A `Network` is a function of weights, mixture and inputs; it owns no architecture parameters
and applies no softmax.

What a network can do beyond the plain pass is declared in its `Abilities` and asked for there. Nobody guesses it from a
class or a device.

Importing this module imports no torch, so that what only reads or lists architectures starts at once. It is long since
the whole contract is to be read in one place.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from spaces.mixture import Layout, Mixture

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Outputs: TypeAlias = Any
"""What a network gives for a batch. Only the task (`optimizers.task`) knows what it holds: logits `[batch, classes]` of
images; a network with a state of its own, such as a recurrent one, gives that beside its outputs."""

Loss: TypeAlias = "Callable[[Outputs, Tensor], Tensor]"
"""The mean loss of a batch, 0-dimensional, from a network's outputs and the targets."""


@dataclass(frozen=True)
class Weights:
    """What training moves.

    Attributes:
        parameters: name -> tensor; the leaves that the weight step trains.
        buffers: name -> what passes in training mode move: running mean and variance of each batch norm.
    """

    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor]

    def frozen(self) -> Weights:
        """The same memory without gradients: passes for alphas do not compute those of the weights."""
        return Weights({name: tensor.detach() for name, tensor in self.parameters.items()}, self.buffers)

    def with_own_buffers(self) -> Weights:
        """The same parameters, and a copy of the buffers that a pass may move."""
        return Weights(self.parameters, {name: tensor.clone() for name, tensor in self.buffers.items()})

    def to(self, device: torch.device) -> Weights:
        """Fresh leaves with these values on a device."""
        parameters = {name: tensor.detach().to(device).requires_grad_() for name, tensor in self.parameters.items()}
        return Weights(parameters, {name: tensor.to(device) for name, tensor in self.buffers.items()})


@dataclass(frozen=True)
class Pass:
    """How a forward pass is made.

    Attributes:
        training: normalise by the batch's statistics rather than the stored ones.
        update_statistics: in training, move the stored statistics towards the batch's.
        skip_zeros: do not evaluate operations whose coefficient is exactly zero. The outputs stay the same; skipped
            operations keep their statistics, and neither their weights nor their coefficients get a gradient.
        path_factors: `[cells, paths, batch]`, what the output of each path of each cell is multiplied with, example by
            example (scheduled drop-path); None for ones.
        twice_differentiable: whether second derivatives will be asked for, which a faster network may not have.
        noise: 0-dimensional, int64: the key of whatever a network draws at random in a pass, so that equal keys mean
            equal numbers. Steps draw it up front. None where a pass has none; a network without randomness ignores it.
    """

    training: bool = False
    update_statistics: bool = True
    skip_zeros: bool = False
    path_factors: Tensor | None = None
    twice_differentiable: bool = False
    noise: Tensor | None = None


EVALUATION = Pass()
"""A pass at stored statistics."""


@dataclass(frozen=True)
class Abilities:
    """What a network offers beyond the plain pass.

    Attributes:
        recorded_steps: whether a pass does the same operations on the same memory whatever the numbers, so that a step
            can be recorded in a CUDA graph.
        curvature_of: names of the losses (`optimizers.task.Task.loss_name`) whose exact second derivatives by the
            mixture `Network.curvature` gives.
    """

    recorded_steps: bool = False
    curvature_of: frozenset[str] = frozenset()


@dataclass(frozen=True)
class MixtureCurvature:
    """A loss as a function of a mixture, to second order.

    Attributes:
        loss: 0-dimensional.
        gradient: one tensor for each of the mixture's, of its shape.
        hessian: `[k, k]`, float64: second derivatives along pairs of the k directions.
    """

    loss: Tensor
    gradient: list[Tensor]
    hessian: Tensor


@dataclass(frozen=True)
class Graph:
    """An architecture's cell as a drawing: nodes in an order in which every edge points forwards.

    Attributes:
        nodes: a label each; empty for a node without an operation of its own.
        edges: (from, to, label); the label is empty where the operation is in the node.
        title: what kind of cell this is, such as `normal`; empty where there is one kind only.
    """

    nodes: tuple[str, ...]
    edges: tuple[tuple[int, int, str], ...]
    title: str = ""

    def to_json(self) -> dict[str, Any]:
        """The graph as an epoch line records it."""
        return {"title": self.title, "nodes": list(self.nodes), "edges": [list(edge) for edge in self.edges]}


class Architecture(ABC):
    """One point of a space. Subclasses are immutable, hashable and equal where all choices are equal."""

    @property
    @abstractmethod
    def key(self) -> str:
        """A text that architectures share exactly if they are the same function of their own weights."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """All choices, as `Space.read` takes them back."""

    @abstractmethod
    def graphs(self) -> tuple[Graph, ...]:
        """A drawing of each kind of cell."""

    @abstractmethod
    def operations(self) -> tuple[str, ...]:
        """The labels of the operations that count, one for each use."""

    def record(self) -> dict[str, Any]:
        """The entries of an epoch line that say which architecture this is: `cell`, its key, and what draws it."""
        return {
            "cell": self.key,
            "architecture": self.to_json(),
            "graphs": [graph.to_json() for graph in self.graphs()],
        }

    def computed(self) -> Architecture:
        """An architecture that is the same function of a supernet's weights, alike for all of which that is true.

        Architectures with equal keys may differ here, since each place of a supernet has weights of its own.
        """
        return self


@dataclass(frozen=True)
class InputShape:
    """What a network reads and how many outputs it has.

    Attributes:
        channels: channels of the images, or 0 where inputs have none.
        outputs: number of classes, or of symbols.
    """

    channels: int
    outputs: int


@dataclass(frozen=True)
class DerivedSize:
    """Size of a network that trains one architecture from scratch, where it differs from the search's.

    Attributes:
        channels: the setting `network.channels`; 0 for that of the search.
        cells: the setting `network.cells`, likewise.
        auxiliary: whether an auxiliary head helps in training.
        large_images: whether it reads images as large as those of ImageNet, and so begins otherwise.
    """

    channels: int = 0
    cells: int = 0
    auxiliary: bool = False
    large_images: bool = False


@dataclass(frozen=True)
class NodeChoices:
    """What a controller decides at one node of a cell.

    Attributes:
        parents: how many of the earlier nodes feed it; 0 where there is no choice.
        operations: number of candidates of each of its operations.
    """

    parents: int
    operations: tuple[int, ...]


@dataclass(frozen=True)
class CellChoices:
    """What a controller decides in one kind of cell, node by node.

    Attributes:
        inputs: nodes that are there before the first decision.
        nodes: the nodes that follow.
    """

    inputs: int
    nodes: tuple[NodeChoices, ...]


@dataclass(frozen=True)
class Variable:
    """One of the choices that make an architecture, each free of the others: a categorical variable.

    Attributes:
        name: such as `edge 1<-0` or `parents of 3`.
        kind: `operation`, or `parents`, whose values are sets of as many nodes each.
        values: labels of operations, or tuples of nodes in ascending order; at least two.
    """

    name: str
    kind: Literal["operation", "parents"]
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Demand:
    """Numbers that a network keeps at the least during a training step.

    Attributes:
        parameters: numbers that training moves; a gradient and a momentum come with each.
        maps: numbers of one example that are kept for the gradient.
    """

    parameters: int
    maps: int


ConfigType = TypeVar("ConfigType")


@dataclass(frozen=True)
class NetworkConfig(ABC):
    """Size and quirks of a network: the section `network` of a search's settings. Each space has its own subclass."""

    tiny: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Name -> value of the settings that make the network about as small as it can be with every kind of cell in it;
    checks run methods on it so (`harness.conformance`). Empty where 4 channels and 2 cells do."""

    @property
    @abstractmethod
    def scale(self) -> str:
        """The size in words, for lines and figures, such as `16 channels, 9 cells`."""

    def check(self) -> None:
        """Refuse settings that do not go together; each by itself is checked as it is set.

        Raises:
            ValueError: they do not; the message names them by their keys, such as `network.channels`.
        """

    def demand(self, shape: InputShape, pixels: int) -> Demand | None:
        """What a supernet of this size takes at the least, so that one which cannot fit is refused before it starts.

        None leaves it unsaid; then only the images are counted. Whoever says it says too little rather than too much,
        since a search that would have fitted must not be refused.

        Args:
            shape: channels of the images, and classes.
            pixels: of an image.
        """
        return None


def demand_of_stages(channels: int, working: int, cells: int, shape: InputShape, pixels: int) -> Demand:
    """The demand of a supernet of convolutional cells whose channels double where its maps are halved.

    In each cell one 3x3 convolution (or as many numbers in others) and one map are counted, and the classifier. The map
    of a later stage has twice the channels on a quarter of the pixels; that of the third, a quarter of the first's, is
    counted for all.

    Args:
        channels: of the first stage.
        working: those of them that operations see.
        cells: how many there are.
        shape: channels of the images, and classes.
        pixels: of an image.
    """
    return Demand(9 * cells * working**2 + channels * shape.outputs, pixels * cells * channels // 4)


def check_partial_channels(channels: int, parts: int) -> None:
    """Check that channels split into parts, of which the first alone goes through the operations (PC-DARTS).

    Args:
        channels: the setting `network.channels`.
        parts: the setting `network.partial_channels`.

    Raises:
        ValueError: they do not.
    """
    if channels % parts:
        raise ValueError(
            f"expected network.channels ({channels}) to be a multiple of network.partial_channels ({parts})"
        )


class Network(ABC):
    """A weight-sharing supernet: a function of weights, mixture and inputs.

    Attributes:
        space: the space whose architectures it holds.
        config: its size and quirks, of the space's `config_class`.
        shape: what it reads, and its number of outputs.
        groups: the kind of each cell in the order of the data, as rows name it; the cells are counted by it.
        paths: places in each cell whose output drop-path multiplies.
        abilities: what there is beyond the plain pass.
    """

    space: Space[Any]
    config: Any
    shape: InputShape
    groups: tuple[str, ...]
    paths: int
    abilities: ClassVar[Abilities] = Abilities()

    @abstractmethod
    def initial_weights(self, generator: torch.Generator, dtype: torch.dtype) -> Weights:
        """Fresh weights on the CPU, drawn with the generator alone."""

    @abstractmethod
    def after_stem(self, weights: Any, mixture: Mixture, stem: Any, how: Pass = EVALUATION) -> Outputs:
        """Outputs from what `stem` gave at the same weights.

        Args:
            weights: `Weights`, or for evaluation what `fold` gave.
            mixture: coefficients for all cells of a kind, or with a first dimension of cells.
            stem: what no coefficient can change.
            how: the way of the pass.
        """

    def stem(self, weights: Any, inputs: Tensor, how: Pass = EVALUATION) -> Any:
        """What no coefficient can change of a batch; the inputs themselves unless a network knows more."""
        return inputs

    def __call__(self, weights: Any, mixture: Mixture, inputs: Tensor, how: Pass = EVALUATION) -> Outputs:
        """Outputs for a batch."""
        return self.after_stem(weights, mixture, self.stem(weights, inputs, how), how)

    def fold(self, weights: Weights) -> Any:
        """Weights for evaluation at stored statistics, in whatever form is fastest; no gradient reaches them."""
        return weights.frozen()

    def of_architecture(self, weights: Any, architecture: Architecture, stem: Any) -> Outputs:
        """Outputs of one architecture at folded weights, from what `stem` gave there, batch norm as stored."""
        dtype = next(tensor.dtype for tensor in _tensors(weights))
        device = next(tensor.device for tensor in _tensors(weights))
        mixture = self.space.mixture_of(architecture, dtype).map(lambda row: row.to(device))
        return self.after_stem(weights, mixture, stem, Pass(skip_zeros=True))

    def loss_of_mixture(self, weights: Any, inputs: Tensor, targets: Tensor, loss: Loss) -> Callable[[Mixture], Tensor]:
        """The mean loss of a batch as a function of the mixture alone, at stored statistics.

        Every operation is evaluated. What no coefficient can change is computed once.

        Args:
            weights: what `fold` gave.
            inputs: the batch.
            targets: what it should give.
            loss: of outputs and targets.
        """
        import torch

        with torch.no_grad():
            stem = self.stem(weights, inputs)
        return lambda mixture: loss(self.after_stem(weights, mixture, stem), targets)

    def curvature(
        self, weights: Weights, mixture: Mixture, inputs: Tensor, targets: Tensor, directions: Sequence[Tensor]
    ) -> MixtureCurvature:
        """Second derivatives of a loss that `abilities.curvature_of` names, training mode; stored statistics stay.

        Args:
            weights: where to take it.
            mixture: coefficients.
            inputs: the batch.
            targets: what it should give.
            directions: one tensor `[k, *shape]` for each of the mixture's, of its shape.
        """
        raise NotImplementedError(f"{type(self).__name__} declares no curvature (`abilities.curvature_of`)")

    def faster(self, device: torch.device) -> Network | None:
        """A network that computes the same up to rounding in less time on this device, or None if there is none.

        Raises:
            FasterNetworkUnavailable: there is one, but something that it needs is missing.
        """
        return None

    def altered(self, space: Space[Any], **settings: Any) -> Network:
        """A network of another space, with some settings changed and the others as they are here.

        Raises:
            Unsupported: its space has no such setting.
        """
        if unknown := set(settings) - {field.name for field in fields(self.config)}:
            raise Unsupported(f"{self.space.name}: its network has no setting {', '.join(sorted(unknown))}")
        return space.network(replace(self.config, **settings), self.shape)

    def cells_of(self, group: str) -> int:
        """How many cells are of this kind."""
        return self.groups.count(group)


class Unsupported(NotImplementedError):
    """A space or its network lacks what a method needs, which cannot search it then; the message is one line."""


class FasterNetworkUnavailable(RuntimeError):
    """What a faster network needs is not installed; the message is one line that says what."""


class Space(ABC, Generic[ConfigType]):
    """A set of architectures that a mixture relaxes.

    Attributes:
        name: what `--space` takes, such as `nb101_1`.
        label: how run folders, lines and figures call it: the name, or the number of a space that has one.
        summary: one line with the source, for `--space list`.
        layout: the rows of a mixture, in order.
        config_class: settings of its network.
        parameter_free: labels of the operations without weights.
    """

    name: str
    label: int | str
    summary: str
    layout: Layout
    config_class: type[ConfigType]
    parameter_free: frozenset[str] = frozenset()

    @property
    def row_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each row's tensor; every last dimension is a probability simplex."""
        return tuple(row.shape for row in self.layout)

    @abstractmethod
    def derive(self, rows: Sequence[npt.ArrayLike]) -> Architecture:
        """The architecture that a mixture stands for.

        Args:
            rows: arrays of the shapes `row_shapes`.

        Raises:
            ValueError: other shapes.
        """

    @abstractmethod
    def one_hot(self, architecture: Architecture) -> list[npt.NDArray[np.float64]]:
        """The 0/1 coefficients at which a network computes this architecture, in the order of `layout`."""

    @abstractmethod
    def sample(self, generator: random.Random) -> Architecture:
        """An architecture drawn uniformly over the choices of the space."""

    @abstractmethod
    def read(self, content: Mapping[str, Any]) -> Architecture:
        """The architecture whose `to_json` this is.

        Raises:
            ValueError: it is none of this space.
        """

    def parse(self, text: str) -> Architecture:
        """The architecture that papers and logs write so.

        Raises:
            Unsupported: there is no such form.
            ValueError: it is none of this space.
        """
        raise Unsupported(f"{self.name}: its architectures have no form in words")

    @abstractmethod
    def network(self, config: ConfigType, shape: InputShape) -> Network:
        """The plain supernet of this space.

        Raises:
            ValueError: the settings do not go together.
        """

    def derived_network(
        self, architecture: Architecture, config: ConfigType, shape: InputShape, size: DerivedSize
    ) -> Network | None:
        """The network that trains one architecture from scratch, called with its 0/1 mixture.

        With an auxiliary head it gives `(outputs, outputs of the head)` in training. None where the network is the
        supernet with nothing computed but what counts.

        Raises:
            ValueError: there is none of this size.
        """
        return None

    def record(self, architecture: Architecture) -> dict[str, Any]:
        """The entries of an epoch line that say which architecture this is: what identifies and draws it, and
        `parameter_free`, the share of its operations that have no weights."""
        operations = architecture.operations()
        free = sum(operation in self.parameter_free for operation in operations)
        return {**architecture.record(), "parameter_free": free / len(operations) if operations else None}

    def choices(self) -> tuple[CellChoices, ...]:
        """What a controller decides, cell by cell (ENAS).

        Raises:
            Unsupported: the space says no such thing, and a controller cannot search it.
        """
        raise Unsupported(f"{self.name}: offers a controller no choices")

    def decided(self, choices: Sequence[Sequence[tuple[tuple[int, ...], tuple[int, ...]]]]) -> Architecture:
        """The architecture of a controller's decisions.

        Args:
            choices: for each cell of `choices`, for each of its nodes, the parents and the operations by number.
        """
        raise Unsupported(f"{self.name}: offers a controller no choices")

    def variables(self) -> tuple[Variable, ...]:
        """The choices that make an architecture, for methods that vary one at a time (`spaces.variables`).

        Each combination of their values is an architecture, and `sample` draws all combinations alike. What leaves no
        choice is none of them.

        Raises:
            NotImplementedError: the space says no such thing.
        """
        raise NotImplementedError(f"{self.name}: offers no variables")

    def values_of(self, architecture: Architecture) -> tuple[int, ...]:
        """For each of the `variables` the place of the architecture's value among its values.

        Raises:
            NotImplementedError: the space offers no variables.
            ValueError: the architecture is none of this space.
        """
        raise NotImplementedError(f"{self.name}: offers no variables")

    def of_values(self, values: Sequence[int]) -> Architecture:
        """The architecture with these values, the inverse of `values_of`; raises `NotImplementedError` likewise."""
        raise NotImplementedError(f"{self.name}: offers no variables")

    def enumerate(self) -> list[Architecture]:
        """Every architecture that a search can return, one for each key, in a fixed order.

        Raises:
            NotImplementedError: they are too many to list.
        """
        raise NotImplementedError(f"{self.name}: too large to enumerate")

    def labels(self) -> tuple[tuple[tuple[str, ...], ...], ...]:
        """For each row of the layout, for each of its simplexes in order, the operations that its entries stand for.

        Raises:
            Unsupported: the rows do not all choose operations, or the space does not say which.
        """
        raise Unsupported(f"{self.name}: does not say which operations its coefficients stand for")

    def narrowed(self, labels: Sequence[Sequence[Sequence[str]]]) -> Space[ConfigType]:
        """The space in which each simplex has these operations alone, in their order.

        Args:
            labels: as `labels` gives them, of each simplex of a row as many.

        Raises:
            Unsupported: the space cannot be narrowed.
        """
        raise Unsupported(f"{self.name}: cannot be narrowed to fewer operations")

    def mixture(self, rows: Sequence[Tensor]) -> Mixture:
        """The mixture with these tensors, in the order of `layout`."""
        return Mixture(self.layout, tuple(rows))

    def mixture_of(self, architecture: Architecture, dtype: torch.dtype) -> Mixture:
        """`one_hot` as a mixture on the CPU."""
        import torch

        return self.mixture([torch.tensor(row, dtype=dtype) for row in self.one_hot(architecture)])


def _tensors(weights: Any) -> Sequence[Tensor]:
    """The tensors of weights that `fold` gave without a form of its own."""
    return list(weights.parameters.values())
