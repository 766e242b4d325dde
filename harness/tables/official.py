"""The official table's own API, `nasbench.api.NASBench` of google-research/nasbench, beside our index.

It is written for TensorFlow 1 and an old protobuf, so that both need help to be imported today: within `official_api`,
`tensorflow` is TensorFlow 2's version 1 names, and the message of `nasbench/lib/model_metrics.proto`, whose generated
module protobuf refuses since version 4, is made from its description. Nothing of ours needs it but for comparison.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.errors import UserError
from harness.judges.base import Judge
from harness.tables.index import IndexInfo
from harness.tables.query import CellMetrics, CellNotInTable, Table, mean, mean_error
from harness.tables.tfrecord import content_sha256
from spaces.nb101.cell import Cell

#: TensorFlow greets on stderr while it is imported, before it can be told not to.
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
_MESSAGES = "nasbench.lib.model_metrics_pb2"


def check_importable() -> None:
    """Say in one line what is missing.

    Raises:
        UserError: TensorFlow or nasbench is not installed.
    """
    missing = [name for name in ("tensorflow", "nasbench") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"the official API needs {' and '.join(missing)}, which cannot be imported; install both as the end of "
            "environment.yml does, or use the index, which gives the same answers"
        )


@functools.cache
def official_api() -> Any:
    """The module `nasbench.api`.

    Raises:
        UserError: TensorFlow or nasbench is not installed.
    """
    check_importable()
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    with _replaced("tensorflow", importlib.import_module("tensorflow.compat.v1")), _replaced(_MESSAGES, _messages()):
        return importlib.import_module("nasbench.api")


def load(path: str) -> Any:
    """A `NASBench` that holds a whole TFRecord file, which must not be compressed; it takes minutes and gigabytes."""
    api = official_api()
    # It prints on stdout, and TensorFlow's reader warns of its age on stderr.
    with contextlib.redirect_stdout(io.StringIO()):
        tensorflow = importlib.import_module("tensorflow.compat.v1")
        tensorflow.logging.set_verbosity(tensorflow.logging.ERROR)
        return api.NASBench(path)


def check_source(table: Table) -> Path:
    """Where the TFRecord lies that an index was made from, and that the official API is to read.

    Raises:
        UserError: it is not beside the index, is another file, or compressed; or the official API is not installed.
    """
    check_importable()
    path = table.path.with_name(table.info.source)
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; the official API reads the TFRecord itself, so put the one that {table.path.name} "
            "was made from beside it"
        )
    if path.suffix in (".xz", ".gz"):
        raise UserError(f"{path}: the official API reads no compressed file; unpack it and make its index")
    if content_sha256(path) != table.info.source_sha256:
        raise UserError(f"{path}: not the file that {table.path.name} was made from, by its SHA-256")
    return path


class OfficialTable:
    """Answers a search's questions through the official API, from the file that an index was made from.

    Attributes:
        info: of the index.
    """

    info: IndexInfo

    def __init__(self, table: Table) -> None:
        """Load the TFRecord that lies beside an index.

        Raises:
            UserError: as `check_source`.
        """
        self.info = table.info
        self._path = check_source(table)
        self._api, self._nasbench = official_api(), load(str(self._path))

    def query(self, cell: Cell) -> CellMetrics:
        """What the table knows about a cell at its largest epoch budget, means over the repeats.

        Raises:
            CellNotInTable: there is no such cell.
        """
        spec = self._api.ModelSpec(cell.matrix.astype(int), list(cell.ops))
        epochs = self.info.epoch_budgets[-1]
        try:
            fixed, computed = self._nasbench.get_metrics_from_spec(spec)
            runs = computed[epochs]
        except (KeyError, self._api.OutOfDomainError):
            raise CellNotInTable(f"{self._path}: cell {cell.hash} is not among those of {self.info.label}") from None
        return metrics(cell.hash, epochs, fixed, runs)


def official_judge(judge: Judge) -> Judge:
    """The judge of the same table whose answers come through the official API.

    Raises:
        UserError: it is no judge of a NAS-Bench-101 table, or as `check_source`.
    """
    from harness.judges.table import TableJudge
    from harness.tables.space_table import SpaceTable

    table = judge.table if isinstance(judge, TableJudge) else None
    if not isinstance(table, SpaceTable):
        raise UserError(f"--table-backend nasbench: expected a table of NAS-Bench-101 cells, got {judge.info.label}")
    check_source(table.table)
    return TableJudge(table.answered_by(lambda: OfficialTable(table.table)))


def metrics(
    hash_: str, epochs: int, fixed: dict[str, Any], runs: list[dict[str, Any]], moment: str = "final"
) -> CellMetrics:
    """`CellMetrics` of the official API's two dictionaries.

    Args:
        hash_: of the cell.
        epochs: the budget that `runs` are of.
        fixed, runs: as `get_metrics_from_hash` gives them.
        moment: `final` or `halfway`.
    """
    test, valid, train, seconds = (
        tuple(run[f"{moment}_{name}"] for run in runs)
        for name in ("test_accuracy", "validation_accuracy", "train_accuracy", "training_time")
    )
    return CellMetrics(
        hash=hash_,
        epochs=epochs,
        repeats=len(runs),
        test_error=mean_error(test),
        valid_error=mean_error(valid),
        test_accuracies=test,
        valid_accuracies=valid,
        train_accuracies=train,
        training_seconds=mean(seconds),
        trainable_parameters=fixed["trainable_parameters"],
    )


@contextlib.contextmanager
def _replaced(name: str, module: ModuleType) -> Iterator[None]:
    """Within it, importing `name` gives a module of our choice."""
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        yield
    finally:
        if before is not None:
            sys.modules[name] = before
        elif name in sys.modules:
            del sys.modules[name]


def _messages() -> ModuleType:
    """A module with `ModelMetrics` and `EvaluationData` (`nasbench/lib/model_metrics.proto`)."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="nasbench_model_metrics.proto", package="nasbench", syntax="proto2")

    def add(message: str, *fields: tuple[str, int, int, str]) -> None:
        description = file.message_type.add(name=message)
        for number, (name, kind, label, type_name) in enumerate(fields, start=1):
            description.field.add(name=name, number=number, type=kind, label=label, type_name=type_name or None)

    optional, repeated = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    add(
        "ModelMetrics",
        ("evaluation_data", field.TYPE_MESSAGE, repeated, ".nasbench.EvaluationData"),
        ("trainable_parameters", field.TYPE_INT32, optional, ""),
        ("total_time", field.TYPE_DOUBLE, optional, ""),
    )
    add(
        "EvaluationData",
        ("current_epoch", field.TYPE_DOUBLE, optional, ""),
        ("training_time", field.TYPE_DOUBLE, optional, ""),
        ("train_accuracy", field.TYPE_DOUBLE, optional, ""),
        ("validation_accuracy", field.TYPE_DOUBLE, optional, ""),
        ("test_accuracy", field.TYPE_DOUBLE, optional, ""),
        ("checkpoint_path", field.TYPE_STRING, optional, ""),
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    module = ModuleType(_MESSAGES)
    for name in ("ModelMetrics", "EvaluationData"):
        setattr(module, name, message_factory.GetMessageClass(pool.FindMessageTypeByName(f"nasbench.{name}")))
    return module
