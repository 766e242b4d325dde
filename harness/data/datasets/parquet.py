"""Any images in Parquet files, in the Hugging Face layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.data.arrays import LabelledImages
from harness.data.decoding import EncodedImage, cached, decode
from harness.data.registry import register_dataset
from harness.errors import UserError

_ROWS_AT_ONCE = 1000

_MOST_TIMES = 50
"""How many times as large as in the file a column may be, beyond the first `_FREE_BYTES`."""

_FREE_BYTES = 64 << 20


@register_dataset(
    "parquet",
    "any folder of *train*.parquet and *test*.parquet, the Hugging Face layout; needs the extra `parquet`",
    padding=4,
    flip=True,
    is_layout=True,
)
def read_parquet(folder: Path) -> LabelledImages:
    """A data set in the Hugging Face layout: `*train*.parquet` and `*test*.parquet`, shards in the order of names.

    The columns are `img` or `image`, a struct with the PNG or JPEG file in `bytes`, and `label`, or else the only
    column of integers. Images are decoded to 8-bit RGB, or stay grey (one channel) if all of them are. The decoded
    arrays are kept in the data folder's `cache/`.

    Returns:
        the rows in their order.

    Raises:
        UserError: files or columns are missing, a file is damaged, or an image is damaged or of another size than the
            first (the message names file and row, counted from 0), or pyarrow is not installed.
    """
    train_files, test_files = _find_shards(folder, "train"), _find_shards(folder, "test")
    ambiguous = sorted(set(train_files) & set(test_files))
    if ambiguous:
        raise UserError(f"{ambiguous[0]}: named both train and test; expected each file to belong to one of the two")
    files = {"train": train_files, "test": test_files}
    return cached(files, lambda: decode(_rows(train_files), _rows(test_files)))


def _find_shards(folder: Path, split: str) -> list[Path]:
    shards = sorted(path for path in folder.glob(f"*{split}*.parquet") if not path.name.startswith("."))
    if not shards:
        state = "holds no such file" if folder.is_dir() else "is no folder"
        raise UserError(
            f"{folder / f'*{split}*.parquet'}: missing, {folder} {state}; expected images in the Hugging Face layout, "
            "*train*.parquet and *test*.parquet; or use --bench digits, which needs no download"
        )
    for path in shards:
        # A pipe that nobody writes to would be waited for without end.
        if not path.is_file():
            raise UserError(f"{path}: is no regular file; expected a Parquet file")
    return shards


def _rows(files: Sequence[Path]) -> Iterator[EncodedImage]:
    """The images of one split's shards, in order.

    Raises:
        UserError: there is none, or a shard cannot be read.
    """
    empty = True
    for path in files:
        for row, (content, label) in enumerate(_read_rows(path)):
            empty = False
            yield EncodedImage(content, label, f"{path}: row {row}")
    if empty:
        raise UserError(f"{files[0]}: holds no rows; expected images")


def _read_rows(path: Path) -> Iterator[tuple[object, int | None]]:
    """The image bytes and the label of each row, None where missing."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError(
            f"{path}: reading it takes pyarrow; install it with `pip install 'one-shot-nas-harness[parquet]'`"
        ) from None
    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            image_column, label_column = _find_columns(path, file.schema_arrow)
            _check_sizes(path, file.metadata)
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=[f"{image_column}.bytes", label_column]):
                images = batch.column(image_column).to_pylist()
                labels = batch.column(label_column).to_pylist()
                yield from ((image and image["bytes"], label) for image, label in zip(images, labels, strict=True))
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: damaged, or not a Parquet file ({error})") from error


def _check_sizes(path: Path, metadata: Any) -> None:
    """Refuse a file whose columns are far larger than what they were compressed to: PNG and JPEG hardly shrink.

    Raises:
        UserError: a column is.
    """
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            column = metadata.row_group(group).column(place)
            size, compressed = column.total_uncompressed_size, column.total_compressed_size
            if size > _FREE_BYTES and size > _MOST_TIMES * compressed:
                raise UserError(
                    f"{path}: {size:,} bytes of {column.path_in_schema} were compressed to {compressed:,}, which no "
                    "images are; expected images in the Hugging Face layout"
                )


def _find_columns(path: Path, schema: Any) -> tuple[str, str]:
    """Names of the image and of the label column in a pyarrow schema."""
    from pyarrow import types

    def is_image(field: Any) -> bool:
        if field.name not in ("img", "image") or not types.is_struct(field.type):
            return False
        parts = {part.name: part.type for part in field.type}
        return "bytes" in parts and bool(types.is_binary(parts["bytes"]) or types.is_large_binary(parts["bytes"]))

    images = [field.name for field in schema if is_image(field)]
    integers = [field.name for field in schema if types.is_integer(field.type)]
    labels = ["label"] if "label" in integers else integers
    if len(images) != 1 or len(labels) != 1:
        columns = ", ".join(f"{field.name}: {field.type}" for field in schema) or "none"
        raise UserError(
            f"{path}: expected one column `img` or `image`, a struct with binary `bytes`, and an integer column "
            f"`label` or only one integer column; got {columns}"
        )
    return images[0], labels[0]
