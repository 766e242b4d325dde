"""Architectures of NAS-Bench-201: text form, index, classes and what counts."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.nb201.architecture import (
    COUNT,
    EDGES,
    OPERATIONS,
    Nb201Architecture,
    UnknownArchitecture,
    network_flops,
    network_parameters,
)
from tests.support.nb201_golden import golden

architectures = st.tuples(*[st.sampled_from(OPERATIONS)] * len(EDGES)).map(Nb201Architecture)

ALL_SKIP = Nb201Architecture(("skip_connect",) * 6)

OFFICIAL = {
    0: "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
    9: "|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
    123: "|avg_pool_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|",
}
"""The architectures that the published code itself checks its enumeration with."""


@pytest.mark.parametrize(("index", "text"), OFFICIAL.items())
def test_index_is_the_official_one(index: int, text: str) -> None:
    assert Nb201Architecture.from_index(index).string == text
    assert Nb201Architecture.from_string(text).index == index


def test_all_indices_stay_as_they_are() -> None:
    texts = [Nb201Architecture.from_index(index).string for index in range(COUNT)]
    assert len(set(texts)) == COUNT
    assert hashlib.sha256("\n".join(texts).encode()).hexdigest() == (
        "83abc799e45cf34e9d2163654668ab998b9a54d01c39e72ca1f71f2cdf356d84"
    )


@given(architectures)
def test_text_index_and_json_lead_back_to_the_architecture(architecture: Nb201Architecture) -> None:
    assert Nb201Architecture.from_string(architecture.string) == architecture
    assert Nb201Architecture.from_index(architecture.index) == architecture
    assert architecture.to_json() == {"string": architecture.string}
    assert architecture.key == architecture.string


def test_text_forms_and_classes_equal_the_published_ones() -> None:
    texts, unique = (golden()[f"derived/{name}"] for name in ("string", "unique_string"))
    for text, expected, connected in zip(texts, unique, golden()["derived/connected"], strict=True):
        architecture = Nb201Architecture.from_string(text.decode())
        assert architecture.string == text.decode()
        assert architecture.unique_string == expected.decode()
        assert architecture.connected == connected


def test_there_are_6466_classes() -> None:
    assert len({Nb201Architecture.from_index(index).unique_string for index in range(COUNT)}) == 6466


@pytest.mark.parametrize("text", ["", "|none~0|", OFFICIAL[0][:-1], OFFICIAL[0] + "|", OFFICIAL[0].replace("~2", "~1")])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UnknownArchitecture, match=r"expected \|op~0\|"):
        Nb201Architecture.from_string(text)


def test_unknown_operations_numbers_of_edges_and_indices_are_refused() -> None:
    with pytest.raises(UnknownArchitecture, match="unknown operation 'max_pool_3x3'; known: none, skip_connect"):
        Nb201Architecture.from_string(OFFICIAL[9].replace("avg", "max"))
    with pytest.raises(UnknownArchitecture, match="expected the operations of 6 edges, got 5"):
        Nb201Architecture(("none",) * 5)
    for index in (-1, COUNT):
        with pytest.raises(UnknownArchitecture, match=f"expected an index from 0 to 15624, got {index}"):
            Nb201Architecture.from_index(index)


def test_operations_that_count_lie_on_a_path() -> None:
    # Node 1 leads nowhere, and node 2 is reached from node 1 alone, by none.
    loose = Nb201Architecture(("nor_conv_3x3", "none", "none", "skip_connect", "none", "nor_conv_1x1"))
    assert loose.operations() == ("skip_connect",)
    assert ALL_SKIP.operations() == ("skip_connect",) * 6
    assert Nb201Architecture(("none",) * 6).operations() == ()


def test_drawing_has_the_edges_without_none() -> None:
    (graph,) = Nb201Architecture.from_string(OFFICIAL[9]).graphs()
    assert graph.nodes == ("input", "1", "2", "output")
    assert graph.edges == ((0, 1, "avg_pool_3x3"), (0, 3, "skip_connect"), (2, 3, "nor_conv_3x3"))


def test_record_has_key_choices_and_drawing() -> None:
    record = ALL_SKIP.record()
    assert record["cell"] == ALL_SKIP.string
    assert record["architecture"] == {"string": ALL_SKIP.string}
    assert len(record["graphs"][0]["edges"]) == 6


def test_computed_form_drops_what_cannot_change_the_output_and_keeps_convolutions_of_zero() -> None:
    loose = Nb201Architecture(("nor_conv_3x3", "none", "none", "skip_connect", "none", "nor_conv_1x1"))
    assert loose.computed().choices == ("none", "none", "none", "skip_connect", "none", "nor_conv_1x1")
    zero_pooled = Nb201Architecture(("none", "none", "avg_pool_3x3", "skip_connect", "skip_connect", "avg_pool_3x3"))
    assert zero_pooled.computed().choices == ("none", "none", "none", "skip_connect", "none", "none")


@given(architectures)
def test_computed_form_is_its_own_computed_form(architecture: Nb201Architecture) -> None:
    assert architecture.computed().computed() == architecture.computed()


def test_sizes_of_the_trained_network() -> None:
    # Millions of weights and of multiplications as the benchmark states them for its least and largest network.
    assert network_parameters(0, 0) == 73_306
    assert network_parameters(0, 6) == 1_531_546
    assert ALL_SKIP.parameters == 73_306
    assert network_flops(0, 0) == 7_783_050
    assert network_flops(0, 6) == 220_119_690
    assert network_flops(0, 6, classes=120, side=16) == 55_037_560
