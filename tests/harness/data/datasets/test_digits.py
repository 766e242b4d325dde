"""scikit-learn's digits: which image is where, to the byte."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.data.arrays import mean_and_std
from harness.data.datasets.digits import digits_indices, load_digits
from tests.support.first_batches import first_batches


def digest(array: NDArray[Any]) -> str:
    """SHA-256 of the values in C order, integers of several bytes as little-endian."""
    little = array.astype(array.dtype.newbyteorder("<"))
    return hashlib.sha256(np.ascontiguousarray(little).tobytes()).hexdigest()


def test_digits_split_is_pinned() -> None:
    indices = digits_indices()
    assert [len(part) for part in indices] == [600, 600, 597]
    assert digest(indices.training) == "c30b3d3296e8fd16eeea97be1c445b97e965759b518a3a73b0f95835ec5cfb71"
    assert digest(indices.validation) == "3d323caec5c3a4542967a13d89d2abe22762c3cb5a531f3a7061cd9fe996d514"
    assert digest(indices.test) == "ddf8ba5addb69ebbd22d11d7166b92a4a2c149c2382da8fb1e54efb360e98c93"


def test_digits_splits_share_no_image_and_leave_none_out() -> None:
    assert sorted(np.concatenate(digits_indices()).tolist()) == list(range(1797))


def test_digits_arrays_are_pinned() -> None:
    digits = load_digits()
    assert digits.train_images.shape == (1200, 1, 8, 8)
    assert digits.test_images.shape == (597, 1, 8, 8)
    assert digest(digits.train_images) == "601516ea681e8f886957b11bebee56e35ecddee92a62831b00c7ddae00dc032e"
    assert digest(digits.test_images) == "5c2b120dbadcd893266e4fe487135087cb494d82b3732ce606eab009909b38f8"
    assert digest(digits.train_labels) == "2093bdf6ce27420d2597b552f65436f18e6deddeda62a91c4f796444b0af26e1"
    assert digest(digits.test_labels) == "effa23c7143bf4f51343f05052be596aebfa21eb168559ccdd9bbb24d46c9297"
    assert (digits.classes, digits.name) == (10, "digits")


def test_digits_grey_values_span_the_bytes() -> None:
    digits = load_digits()
    values = np.unique(np.concatenate([digits.train_images, digits.test_images]))
    assert values.tolist() == [round(value * 255 / 16) for value in range(17)]


def test_digits_are_normalised_by_the_training_split_alone() -> None:
    digits = load_digits()
    training = digits.train_images[:600] / 255
    assert digits.mean == pytest.approx((training.mean(),), rel=1e-12)
    assert digits.std == pytest.approx((training.std(),), rel=1e-12)


def test_the_constants_of_digits_are_those_of_the_training_split_to_the_last_bit() -> None:
    digits = load_digits()
    assert (digits.mean, digits.std) == mean_and_std(digits.train_images[:600])


def test_a_search_on_digits_sees_what_it_saw_before_data_sets_were_registered() -> None:
    assert first_batches("digits") == [
        "f86795f813f11dc3b0481b3f21703f10da8ea0aef9fecbea43e48b9ce42ecbb6",
        "7e715c4112d0490cfed70343ef81aee60b3c1493965e91a77c2a3bd0eadb94dd",
    ]
