"""Networks trained together compute what each would compute alone, and are NAS-Bench-101's.

`PlainNetwork` states the published network (google-research/nasbench `lib/model_builder.py`) once more, one cell at a
time and out of ordinary layers; the networks evaluated together are held against it.
"""

from __future__ import annotations

import csv
import gzip
import math
import random
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.cell_networks import CellNetworks, NetworkScale, multiply_adds, trainable_parameters, vertex_channels
from spaces.cell import CONV1X1, CONV3X3, INPUT, MAXPOOL3X3, OPERATIONS, OUTPUT, Cell
from spaces.search_space import get_space
from tests.golden_vectors import reference_folder

IMAGE_CHANNELS, CLASSES, MOMENTUM = 2, 5, 0.3


class ConvBlock(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, kernel, padding=(kernel - 1) // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-5, momentum=MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(self.convolution(x)))


class PlainModule(nn.Module):
    """One cell of a network."""

    def __init__(self, cell: Cell, inputs: int, outputs: int) -> None:
        super().__init__()
        self.parents, self.output = cell.parents, len(cell.ops) - 1
        feeding = [parent for parent in self.parents[self.output] if parent != 0]
        self.widths = {self.output: outputs}
        for vertex in reversed(range(1, self.output)):
            if vertex in feeding:
                first_ones = outputs % len(feeding)
                self.widths[vertex] = outputs // len(feeding) + (1 if feeding.index(vertex) < first_ones else 0)
            else:
                followers = [child for child in range(vertex + 1, self.output) if vertex in self.parents[child]]
                self.widths[vertex] = max(self.widths[child] for child in followers)
        self.projections = nn.ModuleDict(
            {str(v): ConvBlock(inputs, self.widths[v], 1) for v in self.widths if 0 in self.parents[v]}
        )
        kernels = {CONV3X3: 3, CONV1X1: 1}
        self.convolutions = nn.ModuleDict(
            {
                str(v): ConvBlock(self.widths[v], self.widths[v], kernels[cell.ops[v]])
                for v in self.widths
                if cell.ops[v] in kernels
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        values: dict[int, Tensor] = {}
        for vertex in range(1, self.output):
            terms = [values[parent][:, : self.widths[vertex]] for parent in self.parents[vertex] if parent != 0]
            if 0 in self.parents[vertex]:
                terms.append(self.projections[str(vertex)](x))
            total = torch.stack(terms).sum(dim=0)
            if str(vertex) in self.convolutions:
                values[vertex] = self.convolutions[str(vertex)](total)
            else:
                values[vertex] = F.max_pool2d(total, kernel_size=3, stride=1, padding=1)
        feeding = [values[parent] for parent in self.parents[self.output] if parent != 0]
        results = [torch.cat(feeding, dim=1)] if feeding else []
        if 0 in self.parents[self.output]:
            results.append(self.projections[str(self.output)](x))
        return torch.stack(results).sum(dim=0)


class PlainNetwork(nn.Module):
    """The whole network of one cell."""

    def __init__(
        self, cell: Cell, scale: NetworkScale, image_channels: int = IMAGE_CHANNELS, classes: int = CLASSES
    ) -> None:
        super().__init__()
        self.stem = ConvBlock(image_channels, scale.channels, 3)
        self.stacks = nn.ModuleList()
        width = scale.channels
        for stack in range(scale.stacks):
            wider = scale.channels * 2**stack
            modules = [PlainModule(cell, width if index == 0 else wider, wider) for index in range(scale.modules)]
            self.stacks.append(nn.ModuleList(modules))
            width = wider
        self.dense = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        for number, stack in enumerate(self.stacks):
            if number:
                # TensorFlow's "same" padding adds to the bottom and right edge of odd maps, here what never wins.
                x = F.max_pool2d(F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2), value=-math.inf), 2)
            assert isinstance(stack, nn.ModuleList)
            for module in stack:
                x = module(x)
        logits: Tensor = self.dense(x.mean(dim=(2, 3)))
        return logits


def mixed(matrix: Sequence[Sequence[int]] | np.ndarray[tuple[int, ...], np.dtype[np.int8]], count: int) -> list[Cell]:
    """Cells of one graph; the first vertex has the first operation in all of them, the others have any."""
    generator = random.Random(5)
    interior = len(matrix) - 2
    ops = [[OPERATIONS[0], *generator.choices(OPERATIONS, k=interior - 1)][:interior] for _ in range(count)]
    return [Cell(np.asarray(matrix), (INPUT, *labels, OUTPUT)) for labels in ops]


def from_space(number: int, *parents: tuple[int, ...]) -> list[Cell]:
    space = get_space(number)
    return mixed(space.cell(parents, [CONV1X1] * space.blocks).matrix, 4)


GRAPHS: dict[str, tuple[list[Cell], NetworkScale]] = {
    "space 1": (from_space(1, (0,), (0, 1), (0, 2), (1, 3), (3, 4)), NetworkScale(4, 3, 1)),
    "space 1, input feeds output": (from_space(1, (0,), (0, 1), (1, 2), (2, 3), (0, 4)), NetworkScale(3, 2, 2)),
    "space 2, 8 channels over 3": (from_space(2, (0,), (1,), (0, 2), (1, 3), (2, 3, 4)), NetworkScale(8, 2, 1)),
    "space 2, input feeds output": (from_space(2, (0,), (0,), (1, 2), (0, 2), (0, 3, 4)), NetworkScale(5, 2, 1)),
    "space 3": (from_space(3, (0,), (0,), (1,), (1, 2), (3, 4), (4, 5)), NetworkScale(4, 2, 2)),
    "space 3, input feeds output": (from_space(3, (0,), (1,), (0,), (2, 3), (1, 4), (0, 5)), NetworkScale(4, 3, 1)),
    "10 channels over 4, and the input": (
        mixed(np.array([[0, 1, 1, 1, 1, 1], *[[0, 0, 0, 0, 0, 1]] * 4, [0] * 6]), 3),
        NetworkScale(10, 2, 1),
    ),
    "input to output alone": (mixed([[0, 1], [0, 0]], 2), NetworkScale(4, 3, 2)),
    "one network": (from_space(1, (0,), (0, 1), (0, 2), (1, 3), (3, 4))[:1], NetworkScale(4, 2, 1)),
}


@pytest.fixture(params=GRAPHS)
def graph(request: pytest.FixtureRequest) -> tuple[list[Cell], NetworkScale]:
    return GRAPHS[request.param]


def drawer(seed: int, dtype: torch.dtype = torch.float64) -> Callable[[str, tuple[int, ...], int], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda name, shape, fan_in: torch.randn(shape, generator=generator, dtype=dtype) / math.sqrt(fan_in)


def together(cells: Sequence[Cell], scale: NetworkScale) -> CellNetworks:
    """Networks in float64; no scale is 1 and no shift or bias 0, so that nothing hides behind its first value."""
    draw = [drawer(index) for index in range(len(cells))]
    networks = CellNetworks(cells, scale, IMAGE_CHANNELS, CLASSES, draw, MOMENTUM)
    generator = torch.Generator().manual_seed(99)
    with torch.no_grad():
        for name, parameter in networks.parameters.items():
            if not name.endswith("weight"):
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return networks


def plain_blocks(plain: PlainNetwork, networks: CellNetworks, index: int) -> Iterator[tuple[ConvBlock, str, slice]]:
    """Each block of a plain network, the block of the networks together that holds it, and where there."""
    cell, scale = networks.cells[index], networks.scale
    yield plain.stem, "stem", slice(index * scale.channels, (index + 1) * scale.channels)
    for stack, modules in enumerate(plain.stacks):
        assert isinstance(modules, nn.ModuleList)
        for number, module in enumerate(modules):
            assert isinstance(module, PlainModule)
            name = f"stack{stack}.module{number}"
            fed = sorted(map(int, module.projections))
            start = index * sum(module.widths[vertex] for vertex in fed)
            for vertex in fed:
                block, width = module.projections[str(vertex)], module.widths[vertex]
                assert isinstance(block, ConvBlock)
                yield block, f"{name}.projections", slice(start, start + width)
                start += width
            for key, block in module.convolutions.items():
                assert isinstance(block, ConvBlock)
                label, width = cell.ops[int(key)], module.widths[int(key)]
                place = sum(other.ops[int(key)] == label for other in networks.cells[:index])
                yield block, f"{name}.vertex{key}.{label}", slice(place * width, (place + 1) * width)


def plain_parameters(
    plain: PlainNetwork, networks: CellNetworks, index: int, tensors: dict[str, Tensor]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Each parameter of a plain network with its part of tensors that are like the parameters of all networks."""
    for block, name, part in plain_blocks(plain, networks, index):
        yield block.convolution.weight, tensors[f"{name}.weight"][part]
        yield block.norm.weight, tensors[f"{name}.scale"][part]
        yield block.norm.bias, tensors[f"{name}.shift"][part]
    yield plain.dense.weight, tensors["dense.weight"][index].T
    yield plain.dense.bias, tensors["dense.bias"][index, 0]


def alone(networks: CellNetworks, index: int) -> PlainNetwork:
    """The plain network of one of the cells, with its weights."""
    plain = PlainNetwork(networks.cells[index], networks.scale).double()
    copied = 0
    with torch.no_grad():
        for parameter, part in plain_parameters(plain, networks, index, networks.parameters):
            parameter.copy_(part)
            copied += parameter.numel()
    assert copied == sum(parameter.numel() for parameter in plain.parameters())
    return plain


def batch(seed: int, count: int = 6, size: int = 7) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, IMAGE_CHANNELS, size, size, generator=generator, dtype=torch.float64)
    return images, torch.randint(CLASSES, (count,), generator=generator)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_networks_together_equal_each_alone(graph: tuple[list[Cell], NetworkScale], training: bool) -> None:
    networks = together(*graph)
    everyone = [alone(networks, index) for index in range(len(networks.cells))]
    for seed in (1, 2):
        networks(batch(seed)[0], training=True)
        for plain in everyone:
            plain.train()(batch(seed)[0])
    images, targets = batch(3)
    logits = networks(images, training=training)
    loss = sum(F.cross_entropy(own, targets) for own in logits)
    assert isinstance(loss, Tensor)
    names = list(networks.parameters)
    gradients = dict(zip(names, torch.autograd.grad(loss, list(networks.parameters.values())), strict=True))
    for index, plain in enumerate(everyone):
        plain.train(training)
        expected = plain(images)
        assert_close(logits[index], expected)
        F.cross_entropy(expected, targets).backward()  # type: ignore[no-untyped-call]
        for parameter, gradient in plain_parameters(plain, networks, index, gradients):
            assert parameter.grad is not None
            assert_close(gradient, parameter.grad)
        for block, name, part in plain_blocks(plain, networks, index):
            mean, variance = networks.statistics[name]
            assert block.norm.running_mean is not None
            assert block.norm.running_var is not None
            assert_close(mean[part], block.norm.running_mean)
            assert_close(variance[part], block.norm.running_var)


def assert_close(ours: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-10)


def test_evaluation_leaves_the_running_statistics_alone() -> None:
    networks = together(*GRAPHS["space 1"])
    networks(batch(1)[0], training=True)
    before = {name: [tensor.clone() for tensor in pair] for name, pair in networks.statistics.items()}
    networks(batch(2)[0], training=False)
    for name, pair in networks.statistics.items():
        assert all(map(torch.equal, pair, before[name]))


def test_initial_weights_of_a_network_do_not_depend_on_its_company() -> None:
    cells, scale = GRAPHS["space 2, 8 channels over 3"]
    company = CellNetworks(cells, scale, IMAGE_CHANNELS, CLASSES, [drawer(index) for index in range(len(cells))])
    for index, cell in enumerate(cells):
        lonely = CellNetworks([cell], scale, IMAGE_CHANNELS, CLASSES, [drawer(index)])
        for one, other in zip(parameters_of(lonely, 0), parameters_of(company, index), strict=True):
            assert torch.equal(one, other)


def parameters_of(networks: CellNetworks, index: int) -> list[Tensor]:
    plain = PlainNetwork(networks.cells[index], networks.scale)
    return [part for _, part in plain_parameters(plain, networks, index, networks.parameters)]


def test_networks_have_the_type_that_is_drawn() -> None:
    cells, scale = GRAPHS["space 1"]
    for dtype in (torch.float32, torch.float64):
        draw = [drawer(index, dtype) for index in range(len(cells))]
        networks = CellNetworks(cells, scale, IMAGE_CHANNELS, CLASSES, draw)
        assert {parameter.dtype for parameter in networks.parameters.values()} == {dtype}
        assert networks(batch(1)[0].to(dtype), training=True).dtype == dtype


def test_cells_of_different_graphs_are_refused() -> None:
    cells = [Cell([[0, 1], [0, 0]], (INPUT, OUTPUT)), GRAPHS["space 1"][0][0]]
    with pytest.raises(ValueError, match="share their adjacency matrix"):
        CellNetworks(cells, NetworkScale(4), IMAGE_CHANNELS, CLASSES, [drawer(0), drawer(1)])


def edges(count: int, *pairs: tuple[int, int]) -> Cell:
    matrix = np.zeros((count, count), dtype=int)
    for source, target in pairs:
        matrix[source, target] = 1
    return Cell(matrix, (INPUT, *[MAXPOOL3X3] * (count - 2), OUTPUT))


@pytest.mark.parametrize(
    ("cell", "outputs", "expected"),
    [
        # nothing but the projection of the input
        (edges(2, (0, 1)), 8, [5, 8]),
        # a chain: all as wide as the output
        (edges(4, (0, 1), (1, 2), (2, 3)), 8, [5, 8, 8, 8]),
        # 8 over 2; the input feeds the output too, and takes no share
        (edges(4, (0, 1), (0, 2), (0, 3), (1, 3), (2, 3)), 8, [5, 4, 4, 8]),
        # 8 over 3: the first two take the remainder
        (edges(5, (0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)), 8, [5, 3, 3, 2, 8]),
        # 11 over 4
        (edges(6, *[(0, v) for v in range(1, 5)], *[(v, 5) for v in range(1, 5)]), 11, [5, 3, 3, 3, 2, 11]),
        # vertex 1 feeds 2 and 3, which feed the output with 4 and 3 channels: it is as wide as the wider
        (edges(5, (0, 1), (1, 2), (1, 3), (2, 4), (3, 4)), 7, [5, 4, 4, 3, 7]),
        # vertex 1 feeds the output itself: its share is all it has, although 2 is no wider
        (edges(4, (0, 1), (1, 2), (1, 3), (2, 3)), 7, [5, 4, 3, 7]),
        # backwards through a chain: 3 has 3 of 6 channels, so have 2 and 1
        (edges(6, (0, 4), (4, 5), (0, 1), (1, 2), (2, 3), (3, 5)), 6, [5, 3, 3, 3, 3, 6]),
    ],
)
def test_vertex_channels_equal_the_ones_worked_out_by_hand(cell: Cell, outputs: int, expected: list[int]) -> None:
    assert vertex_channels(cell, 5, outputs) == expected


def test_parameter_count_is_that_of_the_plain_network(graph: tuple[list[Cell], NetworkScale]) -> None:
    cells, scale = graph
    networks = together(cells, scale)
    counts = [trainable_parameters(cell, scale, IMAGE_CHANNELS, CLASSES) for cell in cells]
    for cell, count in zip(cells, counts, strict=True):
        assert count == sum(parameter.numel() for parameter in PlainNetwork(cell, scale).parameters())
    assert sum(counts) == sum(parameter.numel() for parameter in networks.parameters.values())


@pytest.mark.parametrize("size", [8, 9])
def test_multiply_adds_are_those_of_the_plain_networks_layers(
    graph: tuple[list[Cell], NetworkScale], size: int
) -> None:
    cells, scale = graph
    for cell in cells:
        plain = PlainNetwork(cell, scale)
        counted: list[int] = []

        def count(layer: nn.Module, _: object, output: Tensor, counted: list[int] = counted) -> None:
            weight = layer.weight
            assert isinstance(weight, Tensor)
            counted.append(output.numel() // output.shape[1] * weight.numel())

        for layer in plain.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.register_forward_hook(count)
        plain.eval()(torch.zeros(1, IMAGE_CHANNELS, size, size))
        assert multiply_adds(cell, scale, IMAGE_CHANNELS, size, CLASSES) == sum(counted)


def test_parameter_counts_equal_the_recorded_ones_of_nas_bench_101() -> None:
    file = reference_folder() / "data" / "nasbench101" / "nb101_val_30001.csv.gz"
    if not file.exists():
        pytest.skip(f"{file.name} is not in the reference folder")
    with gzip.open(file, "rt", newline="") as text:
        rows = list(csv.DictReader(text))[::5]
    missed = []
    for row in rows:
        count = int(row["num_vertices"])
        bits = [int(bit) for bit in row["adjacency"]]
        matrix = [bits[start : start + count] for start in range(0, len(bits), count)]
        interior = row["ops"].split(",") if row["ops"] else []
        cell = Cell(matrix, (INPUT, *interior, OUTPUT))
        if trainable_parameters(cell, NetworkScale()) != int(row["params"]):
            missed.append(cell)
    assert len(rows) > 1000
    assert len(missed) <= 0.02 * len(rows)
    # 128, 256 and 512 channels leave a remainder for three vertices only; which of them take it, the order of the
    # stored isomorph's vertices decides.
    assert {len([vertex for vertex in cell.parents[-1] if vertex != 0]) for cell in missed} <= {3}


def test_parameter_counts_of_the_smallest_recorded_cells_are_all_equal() -> None:
    file = reference_folder() / "data" / "nasbench101" / "nb101_mean_le4v_91.csv"
    if not file.exists():
        pytest.skip(f"{file.name} is not in the reference folder")
    with file.open(newline="") as text:
        rows = list(csv.DictReader(text))
    assert len(rows) == 91
    for row in rows:
        ops = row["ops"].split(",")
        matrix = np.array(list(map(int, row["adjacency"]))).reshape(len(ops), len(ops))
        cell = Cell(matrix, ops)
        assert (cell.hash, trainable_parameters(cell, NetworkScale())) == (row["hash"], int(row["params"]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_computes_what_the_cpu_computes(graph: tuple[list[Cell], NetworkScale]) -> None:
    cells, scale = graph
    answers = []
    for device in ("cpu", "cuda"):
        draw = [drawer(index) for index in range(len(cells))]
        networks = CellNetworks(cells, scale, IMAGE_CHANNELS, CLASSES, draw, device=device)
        images, labels = batch(1)
        logits = networks(images.to(device), training=True)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.to(device).repeat(len(cells)))
        gradients = torch.autograd.grad(loss, list(networks.parameters.values()))
        evaluated = networks(images.to(device), training=False)
        answers.append([tensor.detach().cpu() for tensor in (logits, *gradients, evaluated)])
    for ours, expected in zip(*answers, strict=True):
        assert_close(ours, expected)
