"""What a terminal shows of findings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from plots.judgement.findings import ALL_PAIRS, Judgement, Question
from plots.judgement.judging import judge
from plots.judgement.measures import MEASURES
from plots.judgement.text import as_text, measures_text, printable
from plots.runs.records import Comparison, Method, Run
from plots.runs.survey import LeftOut, Survey


def method_of(name: str, errors: Sequence[float]) -> Method:
    runs = []
    for seed, error in enumerate(errors):
        values = {"test_error": error, "valid_error": error, "supernet_valid_accuracy": 0.5}
        lines = [{"epoch": epoch, "seconds": {"train": 1.5} if epoch else {}, **values} for epoch in range(3)]
        runs.append(Run.of_lines(Path(f"seed{seed}"), seed, 2, lines))
    return Method(name, 2, tuple(runs))


def judgement_of(*methods: Method, left_out: tuple[LeftOut, ...] = (), **question: str) -> Judgement:
    comparison = Comparison("digits", 1, "standin", "4 channels", methods, None, "abcdef0123456789")
    return judge(Survey((comparison,), left_out), Question(**question))  # type: ignore[arg-type]


DARTS = method_of("darts", [0.05, 0.06, 0.07])
GDAS = method_of("gdas@cold", [0.01, 0.02, 0.03])


def paragraphs(text: str) -> list[list[str]]:
    return [part.splitlines() for part in text.split("\n\n")]


def test_a_comparison_is_headed_by_its_conditions() -> None:
    heading = paragraphs(as_text(judgement_of(DARTS, GDAS)))[0]
    assert heading == ["== digits, space 1", "table: standin (abcdef012345) · 4 channels · 2 epochs"]


def test_columns_hold_the_summary_and_each_seed_in_percent() -> None:
    main, seeds, others = paragraphs(as_text(judgement_of(DARTS, GDAS)))[1:4]
    assert main[0].split() == [
        *("final", "error", "(%)", "n", "mean", "95", "%", "t-interval", "median"),
        *("IQ", "mean", "95", "%", "bootstrap", "lowest", "highest"),
    ]
    assert main[1].split()[:6] == ["darts", "3", "6.00", "[3.52,", "8.48]", "6.00"]
    assert main[1].split()[6].startswith("~6.00")
    assert [line.split() for line in seeds] == [
        ["by", "seed", "0", "1", "2"],
        ["darts", "5.00", "6.00", "7.00"],
        ["gdas@cold", "1.00", "2.00", "3.00"],
    ]
    assert others[2].split() == ["darts", *["6.00±2.48"] * 5, "0.00±0.00", "3.0±0.0"]
    assert len({len(line) for line in main}) == 1


def test_more_seeds_than_fit_abreast_go_on_below() -> None:
    text = as_text(judgement_of(method_of("darts", [0.1] * 14)))
    assert [line.split()[:3] for line in text.splitlines() if line.startswith("by seed")] == [
        ["by", "seed", "0"],
        ["by", "seed", "12"],
    ]


def test_tests_are_shown_with_their_family_and_what_they_can_detect() -> None:
    tests = paragraphs(as_text(judgement_of(DARTS, GDAS)))[4]
    assert tests[0] == (
        "final error, each method against darts: exact Mann-Whitney, two-sided, Holm over this family of 1 test"
    )
    assert tests[2].split() == [
        *("gdas@cold", "-", "darts", "-4.00", "-1.00", "[-1.00,", "+0.44]"),
        *("0", "0.1000", "0.1000", "not", "significant"),
    ]
    assert " ".join(tests[4:]) == (
        "3 seeds against 3, one test alone, miss a difference of 1 standard deviation in 100 % of cases, 1.5 in 100 %, "
        "2 in 100 %; none can be found. One standard deviation is 1.00 points here."
    )


def test_a_family_of_several_is_said_to_find_less() -> None:
    many = [method_of(name, [0.01 * seed for seed in range(6)]) for name in ("darts", "gdas", "nasp")]
    text = " ".join(as_text(judgement_of(*many, family=ALL_PAIRS)).split())
    assert "final error, all pairs: exact Mann-Whitney, two-sided, Holm over this family of 3 tests" in text
    assert "1 standard deviation in 70 % of cases, 1.5 in 42 %, 2 in 17 %; 2 is found in 80 %." in text
    assert "As one of 3, at Holm's first step (p up to 0.017):" in text


def test_p_stands_before_its_adjusted_value() -> None:
    judgement = judgement_of(DARTS, GDAS, method_of("nasp", [0.08, 0.09, 0.1]))
    tests = paragraphs(as_text(judgement))[4]
    assert [line.split()[-4:-2] for line in tests[2:4]] == [["0.1000", "0.2000"], ["0.1000", "0.2000"]]


def test_without_a_test_the_reason_stands_there() -> None:
    assert paragraphs(as_text(judgement_of(DARTS)))[4] == ["No test: there is one method only."]


def test_what_was_left_out_is_listed_last_and_caveats_under_their_comparison() -> None:
    left_out = (LeftOut(Path("results/notes"), "holds no run"),)
    parts = paragraphs(as_text(judgement_of(DARTS, GDAS, left_out=left_out)))
    assert all(line.startswith(("- ", "  ")) for line in parts[5])
    assert parts[-2] == ["== left out", "- results/notes: holds no run"]


def test_ranks_are_shown_with_their_blocks_and_groups() -> None:
    methods = [
        method_of(name, [level + 0.001 * seed for seed in range(10)]) for name, level in (("a", 0.1), ("b", 0.2))
    ]
    text = " ".join(as_text(judgement_of(*methods)).split())
    assert "== digits, space 1: final error average rank a 1.00 b 2.00 Ranks over 10 blocks" in text
    assert "Critical difference 0.62 (Nemenyi, .05), all are told apart." in text
    alike = [method_of(name, [0.1] * 10) for name in ("a", "b")]
    assert "(Nemenyi, .05), not told apart: a = b." in " ".join(as_text(judgement_of(*alike)).split())


def test_a_name_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[31mb\nc\u202e") == "a?[31mb\nc?"
    assert "\x1b" not in as_text(judgement_of(method_of("darts@\x1b[2J", [0.1, 0.2])))


def test_every_measure_is_explained() -> None:
    lines = measures_text().splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == list(MEASURES)
    assert max(map(len, lines)) <= 100
