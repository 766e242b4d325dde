"""The one builder of a search: from what a run folder records, or asks for, to a `Search` before its first epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from harness.benchmarks.registry import Benchmark
from harness.data.arrays import ImageArrays
from harness.data.images import Augmentation, halve, shrunk
from harness.errors import UserError
from harness.judges.base import Judge
from harness.launch.request import Request
from harness.probes.registry import extra_probes
from harness.records.run_folder import RunFolder
from harness.search.examples import Examples
from harness.search.loop import Assignment, Search
from harness.search.memory import check_memory
from harness.search.settings import ComputeConfig, SearchConfig
from harness.search.steps import PlainSteps, RecordedSteps, Steps
from harness.tasks.classification import Classification, ImageExamples
from optimizers.base import Optimizer
from optimizers.black_box.registry import list_black_box
from optimizers.companions.registry import joined
from optimizers.plugins import offers
from optimizers.randomness import Randomness
from optimizers.registry import Method, get_method, list_methods
from spaces.base import FasterNetworkUnavailable, InputShape, Network, Unsupported
from spaces.plugins import PluginError, did_you_mean, import_modules
from spaces.registry import AnySpace, get_space


def build(
    folder: RunFolder,
    record: Mapping[str, Any],
    arrays: ImageArrays,
    method: Method,
    space: AnySpace,
    config: SearchConfig,
    judge: Judge,
    device: str,
) -> Search:
    """The search that a folder's record describes, before its first epoch; sets torch's number of threads.

    Args:
        folder: where it records.
        record: what `config.json` holds, of which bench, seed, scale, threads and keep are read.
        arrays: the images, whose first half trains and whose second half validates.
        method: the method.
        space: the space, which the record knows by its label alone.
        config: all settings.
        judge: says how good an architecture is.
        device: cpu or cuda.
    """
    torch.set_num_threads(int(record["threads"]))
    data, augmentation = config.data, augmentation_of(config)
    arrays = replace(arrays, train_images=shrunk(arrays.train_images, data.shrink))
    halves = halve(arrays, device, limit=data.images or None)
    training = ImageExamples(halves[0], augmentation, data.batch_size)
    validation = ImageExamples(halves[1], augmentation, data.batch_size, fresh=data.validation_batches == "fresh")
    shape = InputShape(arrays.train_images.shape[1], arrays.classes)
    check_memory(config, shape, arrays.train_images[0, 0].size, training.count, device)
    optimizer = build_optimizer(method, space, config, shape, training, Randomness(record["seed"]))
    assignment = Assignment(
        record["bench"], space.label, config, record["seed"], record["scale"], tuple(record.get("keep", ()))
    )
    steps = build_steps(optimizer, training, validation, config.compute)
    probes = extra_probes(config.probes.extra)
    return Search(assignment, folder, optimizer, steps, training, validation, judge, probes)


def augmentation_of(config: SearchConfig) -> Augmentation:
    """How the images of a search are varied."""
    return Augmentation(config.data.padding, config.data.flip, config.data.cutout)


def build_optimizer(
    method: Method,
    space: AnySpace,
    config: SearchConfig,
    shape: InputShape,
    training: Examples,
    randomness: Randomness,
) -> Optimizer:
    """A method at its start, on the device of the training split, with the companions that settings switch on.

    Raises:
        UserError: the space makes no network of these settings, or lacks what the method needs, or what a faster
            network needs is missing.
    """
    try:
        plain = space.network(config.network, shape)
    except ValueError as error:
        raise UserError(f"network: {error}") from None
    if training.device.type == "cuda":
        compute_as(config.compute)
    try:
        return method.optimizer_class(
            network_for(plain, training.device, config.compute.fuse),
            config.method,
            task=Classification(),
            epochs=config.epochs,
            steps=-(-training.count // training.batch_size),
            randomness=randomness,
            device=training.device,
            dtype=training.dtype,
            batch_size=training.batch_size,
            companions=joined(config.companions, config.epochs, method.optimizer_class),
        )
    except Unsupported as error:
        raise UserError(f"{method.name} cannot search space {space.label}: {error}") from None


def build_steps(optimizer: Optimizer, training: Examples, validation: Examples, compute: ComputeConfig) -> Steps:
    """What makes the steps: recorded ones on a GPU where the settings and the method allow it."""
    recorded = training.device.type == "cuda" and compute.capture and optimizer.capturable
    return (RecordedSteps if recorded else PlainSteps)(optimizer, training, validation)


def network_for(plain: Network, device: torch.device, fuse: bool) -> Network:
    """The plain network, or the faster one that it offers for the device.

    Raises:
        UserError: what the faster one needs is missing.
    """
    if not fuse:
        return plain
    try:
        return plain.faster(device) or plain
    except FasterNetworkUnavailable as error:
        raise UserError(f"compute.fuse: {error}; use --set compute.fuse=false") from None


def compute_as(compute: ComputeConfig) -> None:
    """Set the arithmetic of convolutions and products on the GPU, and the same algorithms every time."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = compute.precision == "tf32"
    torch.backends.cudnn.deterministic = True


def known_method(name: str) -> Method:
    """The method called `name`.

    Raises:
        UserError: no such method, and the message names those that are nearly called so; or a plug-in that cannot be
            used.
    """
    try:
        return get_method(name)
    except PluginError as error:
        raise UserError(str(error)) from None
    except ValueError as error:
        if name in {method.name for method in list_black_box()}:
            raise UserError(
                f"{name} is a black-box method, which sees no weights; `python -m harness.blackbox` runs it"
            ) from None
        hint = did_you_mean(name, [*(method.name for method in list_methods()), *offers()])
        raise UserError(f"unknown optimizer {name!r}; {hint}" if hint else str(error)) from None


def import_for(request: Request) -> None:
    """Import the modules that a request names, for what they register.

    Raises:
        UserError: one cannot be imported.
    """
    try:
        import_modules(request.imports)
    except PluginError as error:
        raise UserError(f"--import: {error}") from None


def known_space(wanted: int | str) -> AnySpace:
    """The space of a name or a number.

    Raises:
        UserError: there is none.
    """
    try:
        return get_space(wanted)
    except PluginError as error:
        raise UserError(f"--space: {error}") from None


def judge_of(bench: Benchmark, space: AnySpace, config: SearchConfig, device: str, request: Request) -> Judge:
    """What says how good the architectures of a search are.

    Raises:
        UserError: what the judge needs is missing, or the official API is asked for and there is no table for it.
    """
    judge = bench.judge(
        space,
        request.judge,
        network=config.network,
        augmentation=augmentation_of(config),
        every=request.judge_every,
        device=device,
    )
    if request.table_backend == "index":
        return judge
    from harness.tables.official import official_judge

    return official_judge(judge)


def known_device(wanted: str) -> str:
    """cpu or cuda; `auto` is cuda where there is one.

    Raises:
        UserError: cuda is wanted and there is none.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise UserError("--device cuda: torch finds no CUDA device; use --device cpu, or install a CUDA build of torch")
    return "cuda" if available and wanted != "cpu" else "cpu"
