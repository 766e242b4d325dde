"""Names of data sets: registering, finding, listing without torch, and one that is a file of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.benchmarks.registry import get_benchmark
from harness.cli import run_command
from harness.commands.run import main
from harness.data import registry
from harness.data.arrays import ImageArrays, LabelledImages
from harness.data.registry import (
    GROUP,
    ImageSource,
    describe_datasets,
    get_dataset,
    list_datasets,
    prepare_dataset,
    register_dataset,
)
from harness.errors import UserError
from harness.records.run_folder import RunFolder, run_path

STRIPES = '''
"""Stripes of seven directions in two channels, made on the spot: a data set in one file."""

import numpy as np

from harness.data.arrays import LabelledImages
from harness.data.registry import register_dataset


@register_dataset("stripes", "stripes, 7 classes, 2 channels", mean=(.5, .4), std=(.5, .3), padding=2, flip=False)
def read_stripes(folder):
    generator = np.random.RandomState(0)

    def split(count):
        labels = np.arange(count) % 7
        images = generator.randint(0, 60, (count, 2, 9, 9)).astype(np.uint8)
        for image, label in zip(images, labels):
            image[:, label] += 150
        return images, labels.astype(np.int64)

    return LabelledImages(*split(60), *split(20))
'''

BENCH = """
name = "striped"
[images]
source = "{source}"
[table]
path = "{index}"
[settings]
"network.channels" = 2
"network.cells" = 3
"data.batch_size" = 10
"hessian.every" = 0
"""


@pytest.fixture(autouse=True)
def names_stay() -> Iterator[None]:
    """Forget what a test registers."""
    list_datasets()
    before = dict(registry._datasets)
    yield
    registry._datasets.clear()
    registry._datasets.update(before)


@pytest.fixture
def stripes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module outside the package in the working directory; gives its name."""
    name = "striped_images"
    (tmp_path / f"{name}.py").write_text(STRIPES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


def small(**changes: Any) -> LabelledImages:
    """Four black training images and a test image, and what a test puts in their place."""
    images, labels = np.zeros((4, 1, 3, 3), dtype=np.uint8), np.arange(4, dtype=np.int64)
    return LabelledImages(images, labels, images[:1], labels[:1])._replace(**changes)


def test_listing_imports_neither_torch_nor_what_reads_files() -> None:
    heavy = ["torch", "torchvision", "pyarrow", "sklearn", "scipy", "PIL"]
    code = (
        "import sys; from harness.data.registry import describe_datasets; from harness.benchmarks.registry import "
        f"get_benchmark; describe_datasets(); get_benchmark('digits').settings; print([n for n in {heavy} if n in "
        "sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_built_in_names_come_in_their_order_with_a_summary() -> None:
    names = [dataset.name for dataset in list_datasets()]
    assert names == ["cifar10", "cifar100", "svhn", "fashion", "digits", "parquet", "folder"]
    lines = describe_datasets()
    assert lines[2] == "svhn          SVHN, 73,257 training and 26,032 test images of house numbers"


def test_each_data_set_says_how_its_images_are_varied() -> None:
    varied = {dataset.name: (dataset.padding, dataset.flip) for dataset in list_datasets()}
    assert varied["digits"] == (1, False)
    assert {varied[name] for name in varied if name != "digits"} == {(4, True)}


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match=r"'digits' is registered twice, by harness\.data\.datasets\.digits and"):
        register_dataset("digits", "mine")(lambda folder: small())
    with pytest.raises(ValueError, match="letters, digits, '_' and '-', got 'a:b'"):
        register_dataset("a:b", "mine")
    with pytest.raises(ValueError, match="mean and std of one length, or neither"):
        register_dataset("mine", "mine", mean=(0.5,))


def test_an_unknown_name_lists_the_known_and_the_closest() -> None:
    with pytest.raises(UserError, match=r"unknown data set 'svnh'; did you mean svhn\?"):
        get_dataset("svnh")
    with pytest.raises(UserError, match=r"unknown data set 'imagenet'; known: cifar10, .*module:name"):
        get_dataset("imagenet")


def test_classes_and_normalisation_are_counted_where_nothing_is_said() -> None:
    register_dataset("mine", "mine")(lambda folder: small(train_labels=np.array([0, 6, 2, 1])))
    arrays = ImageSource(get_dataset("mine")).images()
    assert (arrays.classes, arrays.name, arrays.mean, arrays.std) == (7, "mine", (0.0,), (1.0,))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_images": np.zeros((4, 1, 3, 3))}, "expected uint8 training images .*, got float64"),
        ({"test_images": np.zeros((1, 3, 3), np.uint8)}, r"expected uint8 test images .*, got uint8 \[1, 3, 3\]"),
        ({"train_labels": np.zeros(3, np.int64)}, "expected a label for each of 4 training images, .* got 3"),
        ({"test_images": np.zeros((1, 1, 3, 4), np.uint8)}, r"expected .*of one size, .* \[1, 3, 3\] and \[1, 3, 4\]"),
        ({"train_labels": np.array([0, 1, 2, 5])}, "expected labels of 0 to 4, got 0 to 5"),
        ({"train_labels": np.array([0, 1, 2, -1])}, "expected labels of 0 to 4, got -1 to 2"),
    ],
)
def test_what_is_no_data_set_is_told_in_one_line(changes: dict[str, Any], message: str) -> None:
    register_dataset("mine", "mine", classes=5)(lambda folder: small(**changes))
    with pytest.raises(UserError, match=f"mine: {message}"):
        ImageSource(get_dataset("mine")).images()


def test_a_module_of_ones_own_is_named_with_the_data_set(stripes: str) -> None:
    assert get_dataset(f"{stripes}:stripes").padding == 2
    with pytest.raises(UserError, match=r"registers no data set 'dots'; its data sets: stripes"):
        get_dataset(f"{stripes}:dots")
    with pytest.raises(UserError, match="no module 'missing_module'"):
        get_dataset("missing_module:stripes")
    with pytest.raises(UserError, match="expected module:name, such as my_module:my_data, got 'a/b:c'"):
        get_dataset("a/b:c")


def test_an_installed_package_offers_a_data_set(tmp_path: Path, stripes: str) -> None:
    metadata = tmp_path / "striped-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: striped\nVersion: 1.2\n")
    offers = f"stripes = {stripes}\nbroken = no_such_module_at_all\nother = {stripes}\nsvhn = {stripes}\n"
    (metadata / "entry_points.txt").write_text(f"[{GROUP}]\n{offers}")
    assert "stripes       of striped 1.2" in describe_datasets()
    assert stripes not in sys.modules
    assert get_dataset("stripes").summary == "stripes, 7 classes, 2 channels"
    assert get_dataset("svhn").load.__module__ == "harness.data.datasets.svhn"
    with pytest.raises(UserError, match=r"'broken' of the package striped 1\.2 .* cannot be loaded, ModuleNotFound"):
        get_dataset("broken")
    with pytest.raises(UserError, match=r"'other' of the package .*: importing it registers no data set of that name"):
        get_dataset("other")


def test_a_data_set_of_one_file_outside_the_package_is_searched_on(
    tmp_path: Path, stripes: str, capfd: pytest.CaptureFixture[str]
) -> None:
    index = Path(registry.__file__).parents[1] / "benchmarks" / "embedded" / "digits_space1.index"
    (tmp_path / "striped.toml").write_text(BENCH.format(source=f"{stripes}:stripes", index=index))
    arguments = ["--bench", "striped.toml", "--space", "1", "--optimizer", "darts", "--seeds", "1", "--epochs", "1"]
    assert run_command(lambda: main([*arguments, "--results", "results"])) == 0, capfd.readouterr().err
    folder = RunFolder(run_path(Path("results"), "striped", 1, "darts", 0))
    record = folder.config()
    assert record["images"] == "stripes"
    assert (record["settings"]["data"]["padding"], record["settings"]["data"]["flip"]) == (2, False)
    assert len(folder.epochs()) == 2
    arrays = get_benchmark("striped.toml").images()
    assert isinstance(arrays, ImageArrays)
    assert (arrays.classes, arrays.train_images.shape[1:]) == (7, (2, 9, 9))


def test_what_else_is_imported_does_not_change_how_a_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    source = ImageSource(get_dataset("folder"), tmp_path)
    register_dataset("train", "a name that folders have")(lambda folder: small())
    assert source.described_by().name == "folder"


def test_preparing_says_where_there_is_nothing_to_download(tmp_path: Path) -> None:
    assert prepare_dataset("digits", tmp_path).startswith("digits: nothing to download, scikit-learn's digits")
    with pytest.raises(UserError, match=r"parquet: nothing to download; .*\[images\] path"):
        prepare_dataset("parquet", tmp_path)
    with pytest.raises(UserError, match="expected the name of a data set, got '/some/folder'; --folder names the data"):
        prepare_dataset("/some/folder", tmp_path)
