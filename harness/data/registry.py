"""Names of data sets, and what belongs to each: normalisation, the crop's padding, whether images are mirrored.

A data set is one function that reads its files, made known by a decorator:

    @register_dataset("svhn", "SVHN, 73,257 training and 26,032 test images", mean=(.4377, .4438, .4728),
                      std=(.198, .201, .197), padding=4, flip=True, download=download_svhn)
    def read_svhn(folder: Path) -> LabelledImages: ...

One from outside the package is named by its module, `my_module:my_data`, from the working directory or the environment,
or offered by an installed package through an entry point, in its pyproject.toml:

    [project.entry-points."one_shot_nas_harness.datasets"]
    my_data = "my_package.my_module"

Listing the names imports neither torch nor what reads the files.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TypeVar

import numpy as np

from harness.data.arrays import ImageArrays, LabelledImages, mean_and_std
from harness.data.folder import data_folder
from harness.errors import UserError
from spaces.plugins import PluginError, did_you_mean, import_plugin, load_entry, offered, offers_of, package_of

GROUP = "one_shot_nas_harness.datasets"
"""The group of entry points."""

NAME = r"[A-Za-z0-9][A-Za-z0-9_-]*"
"""What a data set may be called, as a regular expression."""

BUILT_IN_MODULES = (
    "harness.data.datasets.cifar10",
    "harness.data.datasets.cifar100",
    "harness.data.datasets.svhn",
    "harness.data.datasets.fashion",
    "harness.data.datasets.digits",
    "harness.data.datasets.parquet",
    "harness.data.datasets.class_folders",
)

Loader = TypeVar("Loader", bound=Callable[[Path], LabelledImages])


@dataclass(frozen=True)
class DataSet:
    """A registered data set.

    Attributes:
        name: what a benchmark file calls it under `[images] source`.
        summary: what it holds, in one line.
        load: reads its files below a folder; raises `UserError` where one is missing or damaged.
        download: puts its files below a folder, doing nothing where they are; None if there is nothing to download.
        mean: per channel, as a fraction of 255; None to measure it on the training images.
        std: standard deviation per channel, as a fraction of 255; None to measure it on the training images.
        classes: how many there are; None for one more than the largest label.
        padding: black pixels on each side before the random crop; 0 crops nothing.
        flip: whether images are mirrored at random, left to right.
        is_layout: whether it reads folders of a layout, wherever they lie, rather than certain files. Its folder must
            be named, and stands in what records call the images.
        extent: training images, and pixels along their side, where they are always the same; for estimates of time.
    """

    name: str
    summary: str
    load: Callable[[Path], LabelledImages]
    download: Callable[[Path], None] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    classes: int | None = None
    padding: int = 0
    flip: bool = False
    is_layout: bool = False
    extent: tuple[int, int] | None = None


@dataclass(frozen=True)
class ImageSource:
    """A data set, where its files lie, and whose normalisation and augmentation hold for it.

    Attributes:
        dataset: reads the files.
        folder: holds them; None for the data folder.
        like: the data set whose mean, standard deviation, padding and flip hold; None for `described_by`'s rule.
    """

    dataset: DataSet
    folder: Path | None = None
    like: DataSet | None = None

    def images(self) -> ImageArrays:
        """Read the files.

        Raises:
            UserError: a file is missing or damaged, what was read is not labelled images, or they have other channels
                than the data set that they are said to be like.
        """
        folder = self.folder if self.folder is not None else data_folder()
        arrays = self.dataset.load(folder)
        classes = self._checked(arrays)
        name = f"{self.dataset.name}:{folder.resolve().name}" if self.dataset.is_layout else self.dataset.name
        mean, std = self._normalisation(arrays)
        return ImageArrays(**arrays._asdict(), classes=classes, name=name, mean=mean, std=std)

    def settings(self) -> dict[str, object]:
        """How these images are varied in a search that says nothing else, by dotted key."""
        description = self.described_by()
        return {"data.padding": description.padding, "data.flip": description.flip}

    def described_by(self) -> DataSet:
        """The data set whose normalisation and augmentation hold.

        It is `like` where that is given. A folder of a general layout says by its name, or by that of its files, which
        built-in data set it is a copy of: `cifar10_train.parquet` is CIFAR-10. Everything else is described by itself.
        """
        if self.like is not None:
            return self.like
        if not self.dataset.is_layout or self.folder is None or not self.folder.is_dir():
            return self.dataset
        entries = sorted(path.name for path in self.folder.iterdir() if not path.name.startswith("."))
        # Of built-in data sets only: what else was imported must not change how a folder is read.
        known = {
            dataset.name: dataset
            for dataset in list_datasets()
            if dataset.load.__module__ in BUILT_IN_MODULES and not dataset.is_layout
        }
        beginnings = [re.split(r"[-_.]", name.lower())[0] for name in (*entries, self.folder.resolve().name)]
        return next((known[name] for name in beginnings if name in known), self.dataset)

    def _normalisation(self, arrays: LabelledImages) -> tuple[tuple[float, ...], tuple[float, ...]]:
        description, channels = self.described_by(), arrays.train_images.shape[1]
        if description.mean is None or description.std is None:
            return mean_and_std(arrays.train_images)
        if len(description.mean) == len(description.std) == channels:
            return description.mean, description.std
        if description is self.dataset or description is self.like:
            raise UserError(
                f"{self.dataset.name}: expected images of {len(description.mean)} channels, as the mean and standard "
                f"deviation of {description.name} are, got {channels}"
            )
        return mean_and_std(arrays.train_images)

    def _checked(self, arrays: LabelledImages) -> int:
        """The number of classes of arrays that are as `LabelledImages` says."""
        for split, images, labels in (
            ("training", arrays.train_images, arrays.train_labels),
            ("test", arrays.test_images, arrays.test_labels),
        ):
            if images.dtype != np.uint8 or images.ndim != 4 or labels.dtype != np.int64 or not len(images):
                raise UserError(
                    f"{self.dataset.name}: expected uint8 {split} images [n, channels, height, width] and int64 labels "
                    f"[n], got {images.dtype} {list(images.shape)} and {labels.dtype} {list(labels.shape)}"
                )
            if labels.shape != images.shape[:1] or images.shape[1:] != arrays.train_images.shape[1:]:
                raise UserError(
                    f"{self.dataset.name}: expected a label for each of {len(images)} {split} images, all of one size, "
                    f"got {len(labels)} labels and sizes {list(arrays.train_images.shape[1:])} and "
                    f"{list(images.shape[1:])}"
                )
        labels = np.concatenate([arrays.train_labels, arrays.test_labels])
        lowest, highest = int(labels.min()), int(labels.max())
        classes = self.dataset.classes or highest + 1
        if lowest < 0 or highest >= classes:
            raise UserError(f"{self.dataset.name}: expected labels of 0 to {classes - 1}, got {lowest} to {highest}")
        return classes


_datasets: dict[str, DataSet] = {}


def register_dataset(
    name: str,
    summary: str,
    *,
    download: Callable[[Path], None] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    classes: int | None = None,
    padding: int = 0,
    flip: bool = False,
    is_layout: bool = False,
    extent: tuple[int, int] | None = None,
) -> Callable[[Loader], Loader]:
    """Decorator of the function that reads a data set; the arguments are `DataSet`'s attributes.

    Raises:
        ValueError: the name is taken, is not of letters, digits, `_` and `-`, or only one of mean and standard
            deviation is given.
    """
    if not re.fullmatch(NAME, name):
        raise ValueError(f"expected a data set's name of letters, digits, '_' and '-', got {name!r}")
    if (mean is None) != (std is None) or (mean is not None and std is not None and len(mean) != len(std)):
        raise ValueError(f"data set {name!r}: expected mean and std of one length, or neither")

    def decorate(load: Loader) -> Loader:
        if name in _datasets:
            raise ValueError(
                f"data set {name!r} is registered twice, by {_datasets[name].load.__module__} and {load.__module__}"
            )
        _datasets[name] = DataSet(
            name,
            summary,
            load,
            download,
            None if mean is None else tuple(mean),
            None if std is None else tuple(std),
            classes,
            padding,
            flip,
            is_layout,
            extent,
        )
        return load

    return decorate


def get_dataset(name: str) -> DataSet:
    """The data set called `name`: built in, of a module as `module:name`, or offered by an installed package.

    A built-in name means the built-in data set, whatever packages offer.

    Raises:
        UserError: there is none, and the message lists the known ones; or a module cannot be used.
    """
    known = {dataset.name: dataset for dataset in list_datasets()}
    if name in known:
        return known[name]
    if ":" in name:
        return _from_module(name)
    offers = offers_of(GROUP)
    if name in offers:
        return _from_package(name, offers[name])
    names = [*known, *offers]
    hint = did_you_mean(name, names) or f"known: {', '.join(names)}, and module:name for one of your own"
    raise UserError(f"unknown data set {name!r}; {hint}")


def list_datasets() -> list[DataSet]:
    """All registered data sets, built-in ones first and in their order; what packages offer is not imported."""
    for module in BUILT_IN_MODULES:
        importlib.import_module(module)
    order = {module: index for index, module in enumerate(BUILT_IN_MODULES)}
    return sorted(_datasets.values(), key=lambda dataset: order.get(dataset.load.__module__, len(order)))


def prepare_dataset(name: str, folder: Path) -> str:
    """Download a data set, unless it is there, and say so in one line.

    Args:
        name: as `get_dataset` takes it.
        folder: where its files go.

    Raises:
        UserError: there is no such data set, it lies where the user put it, or the download fails.
        OSError: a file cannot be written.
    """
    if "/" in name or name in (".", ".."):
        raise UserError(f"--data: expected the name of a data set, got {name!r}; --folder names the data folder")
    dataset = get_dataset(name)
    if dataset.download is not None:
        dataset.download(folder)
        return f"{folder}: {dataset.summary}"
    if dataset.is_layout:
        raise UserError(
            f"{name}: nothing to download; it reads {dataset.summary}. A benchmark file names it under [images] path"
        )
    return f"{name}: nothing to download, {dataset.summary}"


def describe_datasets() -> list[str]:
    """A line for each known data set, and for each name that an installed package offers; the packages stay as is."""
    lines = [f"{dataset.name:14}{dataset.summary}" for dataset in list_datasets()]
    offered = {name: entries for name, entries in offers_of(GROUP).items() if name not in _datasets}
    lines += [f"{name:14}of {', '.join(map(package_of, entries))}" for name, entries in offered.items()]
    return [*lines, f"{'MODULE:NAME':14}one of your own; the docstring of harness/data/registry.py shows one"]


def _from_module(spec: str) -> DataSet:
    """The data set that `module:name` names: one that the module registers."""
    try:
        # The name of a data set need not be one that a module can hold.
        module, name = import_plugin(spec, "module:name, such as my_module:my_data", NAME)
    except PluginError as error:
        raise UserError(str(error)) from None
    own = [dataset.name for dataset in _datasets.values() if dataset.load.__module__ == module.__name__]
    if name not in own:
        there = f"its data sets: {', '.join(own)}" if own else "it registers none (@register_dataset)"
        raise UserError(f"{spec}: {module.__name__} ({module.__file__}) registers no data set {name!r}; {there}")
    return _datasets[name]


def _from_package(name: str, entries: list[EntryPoint]) -> DataSet:
    """The data set that installed packages offer by this name."""
    try:
        entry, offer = offered(entries, "a data set", "name one as module:name")
        load_entry(entry, offer)
    except PluginError as error:
        raise UserError(str(error)) from error
    if name not in _datasets:
        raise UserError(f"{offer}: importing it registers no data set of that name (@register_dataset)")
    return _datasets[name]
