from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.darts.genotype import Genotype
from spaces.darts.space import SPACES
from tests.support.published_darts import published_genotype, published_genotypes


def random_genotype(seed: int) -> Genotype:
    return SPACES["darts"].sample(random.Random(seed))


@pytest.mark.parametrize("name", published_genotypes())
def test_a_published_text_is_read_and_written_back(name: str) -> None:
    text = published_genotypes()[name]
    assert Genotype.from_text(text).text == text.replace("[2, 3, 4, 5]", "range(2, 6)")


@given(st.integers(0, 2**32))
def test_text_and_json_keep_a_genotype(seed: int) -> None:
    genotype = random_genotype(seed)
    assert Genotype.from_text(genotype.text) == genotype
    assert Genotype.from_json(json.loads(json.dumps(genotype.to_json()))) == genotype
    assert Genotype.from_text(genotype.key).key == genotype.key


@pytest.mark.parametrize(
    ("method", "shares"),
    [
        ("random", [0.125, 0.375, 0.125, 0.0]),
        ("pgd", [0.125, 0.125, 0.125, 0.0]),
        ("pcdarts", [0.5, 0.75, 0.125, 0.125]),
    ],
)
def test_shares_of_parameter_free_operations_are_those_of_table_5(method: str, shares: list[float]) -> None:
    genotypes = [published_genotype(f"c10_s{space}_{method}") for space in (1, 2, 3, 4)]
    assert [genotype.parameter_free_share for genotype in genotypes] == shares


@pytest.mark.parametrize(
    ("name", "width", "depth"),
    [
        ("c10_s5_pgd", 3.0, 4),
        ("c10_s5_random", 3.0, 3),
        ("DARTS_V1", 3.5, 3),
        ("DARTS_V2", 3.5, 3),
        ("PC_DARTS_cifar", 4.0, 2),
    ],
)
def test_width_and_depth_are_those_of_appendix_7_4(name: str, width: float, depth: int) -> None:
    genotype = published_genotype(name)
    assert (genotype.width, genotype.depth) == (width, depth)


def test_the_order_of_a_nodes_edges_means_nothing() -> None:
    genotype = published_genotype("c10_s5_pgd")
    first, second, *others = genotype.normal
    swapped = Genotype((second, first, *others), genotype.reduce)
    assert swapped.text != genotype.text
    assert swapped == genotype
    assert hash(swapped) == hash(genotype)
    assert swapped.key == genotype.key
    assert swapped.computed().normal == genotype.computed().normal


def test_the_order_of_nodes_changes_the_place_in_a_supernet_and_not_the_key() -> None:
    sep, skip = "sep_conv_3x3", "skip_connect"
    rest = ((sep, 2), (skip, 3), (sep, 0), (skip, 4))
    swapped_rest = ((sep, 3), (skip, 2), (sep, 0), (skip, 4))
    nodes = (((sep, 0), (sep, 1)), ((skip, 0), (sep, 1)))
    reduce = published_genotype("c10_s2_pgd").reduce
    one = Genotype((*nodes[0], *nodes[1], *rest), reduce)
    other = Genotype((*nodes[1], *nodes[0], *swapped_rest), reduce)
    assert one != other
    assert one.computed() != other.computed()
    assert one.key == other.key
    assert one.key != Genotype((*nodes[1], *nodes[0], *rest), reduce).key


def test_graphs_draw_both_cells_with_operations_on_edges() -> None:
    normal, reduce = published_genotype("c10_s5_pgd").graphs()
    assert (normal.title, reduce.title) == ("normal", "reduce")
    assert normal.nodes == ("c_{k-2}", "c_{k-1}", "0", "1", "2", "3", "c_{k}")
    assert normal.edges[:4] == (
        (0, 2, "sep_conv_3x3"),
        (1, 2, "sep_conv_3x3"),
        (1, 3, "sep_conv_3x3"),
        (0, 3, "skip_connect"),
    )
    assert normal.edges[8:] == tuple((node, 6, "") for node in (2, 3, 4, 5))
    assert all(source < node for source, node, _ in (*normal.edges, *reduce.edges))


def test_operations_are_those_of_the_normal_cell() -> None:
    assert published_genotype("c10_s4_pcdarts").operations() == ("sep_conv_3x3",) * 7 + ("noise",)


EIGHT = "[('skip_connect', 0), ('skip_connect', 1)" + ", ('skip_connect', 0), ('skip_connect', 2)" * 3 + "]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Genotype(", "does not parse"),
        ("__import__('os').abort()", "expected Genotype"),
        ("Genotype(normal=[], reduce=[])", "normal_concat"),
        (f"Genotype({EIGHT}, range(2, 6), {EIGHT}, range(3, 6))", "reduce_concat: expected the states"),
        (f"Genotype({EIGHT}, range(2, 6), {EIGHT}, range(2, 10 ** 9))", "expected a literal"),
        (f"Genotype({EIGHT}, range(2, 6), {EIGHT}, range(2, 1000000000))", "expected range"),
        (f"Genotype({EIGHT}, range(2, 6), list(), range(2, 6))", "expected a literal"),
        (f"Genotype({EIGHT}, range(2, 6), [], range(2, 6))", "expected 8 edges"),
        (f"Genotype({EIGHT}, range(2, 6), [('skip_connect',)], range(2, 6))", "expected pairs"),
        (f"Genotype({EIGHT}, range(2, 6), {EIGHT.replace('skip', 'skp')}, range(2, 6))", "unknown operation"),
        (f"Genotype({EIGHT}, range(2, 6), {EIGHT.replace('1)', '2)', 1)}, range(2, 6))", "reads states 0 to 1, got 2"),
        (f"Genotype({EIGHT}, range(2, 6), {EIGHT.replace('1)', '0)', 1)}, range(2, 6))", "got 0 twice"),
    ],
)
def test_a_text_that_is_no_genotype_is_refused_and_not_executed(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Genotype.from_text(text)


@pytest.mark.parametrize(
    "content", [{}, {"normal": []}, {"normal": "abc", "reduce": []}, {"normal": [["skip_connect", True]], "reduce": []}]
)
def test_json_that_is_no_genotype_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Genotype.from_json(content)
