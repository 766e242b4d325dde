"""The report in a real browser: every control, by pointer and by keyboard, and hostile records that do it no harm."""

from __future__ import annotations

import dataclasses
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.commands.report import main
from harness.records.line import Graph, nasbench_graph
from plots.drawing import cell
from plots.judgement.findings import Question
from plots.judgement.judging import judge
from plots.report import thinning
from plots.report.live import LiveServer
from plots.runs.survey import survey
from tests.support.browser import chromium
from tests.support.report_runs import (
    EPOCHS,
    HOSTILE,
    HOSTILE_NAME,
    METHODS,
    edit_config,
    edit_lines,
    read_lines,
    write_study,
    write_trouble,
)
from tests.support.synthetic_runs import PAPERS_METHODS, write_runs

ROOT = Path(__file__).parents[3]
VERMILION = (213, 94, 0)  # DARTS
OPEN_SECONDS = 3
PAPER_PIXELS = 688  # A4 within its margins


@dataclass
class Opened:
    """A page, and all that it complained of or asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


Open = Callable[..., Opened]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    contexts = []

    def open_page(url: str, width: int = 1280, height: int = 900, scheme: str = "light") -> Opened:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        opened = Opened(context.new_page())

        def refuse(dialog: Any) -> None:
            opened.complaints.append(dialog.message)
            dialog.dismiss()

        opened.page.on("console", lambda message: opened.complaints.append(message.text))
        opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        opened.page.on("dialog", refuse)
        context.on("request", lambda request: opened.requests.append(request.url))
        opened.page.goto(url)
        opened.page.wait_for_selector("#left-out-list *")
        return opened

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three methods, three seeds, two spaces, all finished."""
    results = tmp_path_factory.mktemp("study")
    write_study(results)
    main([str(results)])
    return results


@pytest.fixture(scope="module")
def trouble(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with everything that may be wrong with it."""
    results = tmp_path_factory.mktemp("trouble")
    write_trouble(results)
    main([str(results)])
    return results


def url(results: Path) -> str:
    return (results / "report.html").as_uri()


def lines_of(results: Path, method: str, seed: int, space: int = 1) -> list[dict[str, Any]]:
    return read_lines(results / "synthetic" / f"space{space}" / method / f"seed{seed}")


def place(page: Any, chart: str, name: str, epoch: int) -> tuple[float, float]:
    """Where a curve's point is on the page."""
    x, y = page.evaluate(
        """([id, name, epoch]) => {
          const chart = charts[id], curve = chart.curves.find((one) => one.name === name);
          const at = curve.epochs.indexOf(epoch), box = chart.plot.over.getBoundingClientRect();
          return [box.left + chart.plot.valToPos(curve.x[at], "x"), box.top + chart.plot.valToPos(curve.y[at], "y")];
        }""",
        [chart, name, epoch],
    )
    return x, y


def inked(page: Any, chart: str, colour: tuple[int, int, int]) -> int:
    """How many points of a chart's canvas have a colour."""
    return int(
        page.evaluate(
            """([id, red, green, blue]) => {
              const canvas = document.querySelector(`#${id} canvas`);
              const dots = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
              let count = 0;
              for (let at = 0; at < dots.length; at += 4) {
                if (dots[at] === red && dots[at + 1] === green && dots[at + 2] === blue && dots[at + 3] > 0) count += 1;
              }
              return count;
            }""",
            [chart, *colour],
        )
    )


def column(page: Any, number: int) -> list[str]:
    return list(page.locator(f"#summary-table tbody tr > :nth-child({number})").all_inner_texts())


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_the_page_asks_for_nothing_and_complains_of_nothing(study: Path, open_page: Open) -> None:
    opened = open_page(url(study))
    assert opened.page.title() == f"One-shot NAS report: {study.name}"
    opened.page.mouse.wheel(0, 20000)
    opened.page.wait_for_timeout(200)
    assert opened.requests == [url(study)]
    assert opened.complaints == []


@pytest.mark.parametrize("name", ["cast", "demo"])
def test_published_runs_are_shown(name: str, tmp_path: Path, open_page: Open) -> None:
    results = ROOT / "results" / "published" / name
    main([str(results), "--out", str(tmp_path / "report.html")])
    opened = open_page(url(tmp_path))
    assert opened.page.locator("#raw-table tbody tr").count() == len(list(results.rglob("epochs.jsonl")))
    assert opened.page.locator("#warnings .warning").count() == 2, "no official table, and a small network"
    assert inked(opened.page, "anytime", VERMILION) > 20
    assert opened.complaints == []


def test_the_policy_stops_what_is_not_ours(study: Path, open_page: Open) -> None:
    opened = open_page(url(study))
    opened.page.evaluate(
        """() => {
          document.body.append(Object.assign(document.createElement("script"), { textContent: "window.ran = 1" }));
          document.body.append(Object.assign(document.createElement("img"), { src: "http://127.0.0.1:9/x.png" }));
        }"""
    )
    opened.page.wait_for_timeout(200)
    assert opened.page.evaluate("window.ran") is None
    assert len([text for text in opened.complaints if "Content Security Policy" in text]) >= 2


def test_the_summary_shows_the_numbers_of_harness_compare(study: Path, open_page: Open) -> None:
    page = open_page(url(study)).page
    (block, _) = judge(survey(study), Question()).blocks
    means = {one.name: one.measures["final_error"].mean for one in block.methods}
    shown = dict(zip(column(page, 1), column(page, 3), strict=True))
    labels = {"darts": "DARTS", "gdas": "GDAS", "sdarts_rs": "SDARTS-RS"}
    for name, mean in means.items():
        assert shown[labels[name]] == f"{100 * mean.value:.2f} ± {100 * (mean.value - mean.low):.2f}"


def test_a_heading_sorts_and_sorts_back_by_pointer_and_by_keyboard(study: Path, open_page: Open) -> None:
    page = open_page(url(study)).page
    heading = page.locator("#summary-table th button", has_text="training seconds")
    heading.click()
    seconds = [float(text.split()[0]) for text in column(page, 13)]
    assert page.locator("#summary-table th[aria-sort]").inner_text().startswith("training seconds")
    assert page.locator("#summary-table th[aria-sort]").get_attribute("aria-sort") == "ascending"
    assert seconds == sorted(seconds)
    assert len(set(seconds)) == len(METHODS)
    press(page, "Enter")
    assert [float(text.split()[0]) for text in column(page, 13)] == seconds[::-1]
    assert page.locator("#summary-table th[aria-sort]").get_attribute("aria-sort") == "descending"
    press(page, "Shift+Tab", "Space")
    assert page.locator("#summary-table th[aria-sort]").inner_text().startswith("regret")


def test_a_method_is_hidden_everywhere_and_shown_again(study: Path, open_page: Open) -> None:
    page = open_page(url(study)).page
    chip = page.get_by_role("button", name="DARTS, n=3", exact=True)
    before = {chart: inked(page, chart, VERMILION) for chart in ("anytime", "hessian", "theory-lambda_max")}
    assert min(before.values()) > 20
    chip.click()
    assert chip.get_attribute("aria-pressed") == "false"
    assert [inked(page, chart, VERMILION) for chart in before] == [0, 0, 0]
    press(page, "Space")
    assert chip.get_attribute("aria-pressed") == "true"
    assert {chart: inked(page, chart, VERMILION) for chart in before} == before
    page.get_by_role("button", name="Hide all").click()
    assert page.locator("#anytime .empty").inner_text() == "No method is shown."
    page.get_by_role("button", name="Show all").click()
    assert {chart: inked(page, chart, VERMILION) for chart in before} == before


@pytest.mark.parametrize("axis", ["epochs", "seconds"])
def test_hovering_a_seed_names_it_and_its_value(study: Path, open_page: Open, axis: str) -> None:
    page = open_page(url(study)).page
    page.locator("#x-axis").get_by_label(axis).check()
    errors = {
        (name, seed): [line["test_error"] for line in lines_of(study, name, seed)]
        for name in METHODS
        for seed in range(3)
    }
    ours = np.array(errors.pop(("darts", 1)))
    # Where no other curve is near: a pointer stands on whole pixels.
    epoch = 1 + int(np.argmax(np.abs(np.array(list(errors.values())) - ours).min(axis=0)[1:]))
    page.locator("#anytime").scroll_into_view_if_needed()
    page.mouse.move(*place(page, "anytime", "DARTS, seed 1", epoch))
    where = f"epoch {epoch}" + (f" ({epoch}.0 s)" if axis == "seconds" else "")
    expected = f"DARTS, seed 1, {where}: {100 * ours[epoch]:.2f} %"
    assert page.locator("#anytime .tip").inner_text() == expected
    assert page.locator("#anytime .readout").inner_text() == expected
    strong = inked(page, "anytime", VERMILION)
    page.mouse.move(5, 5)
    assert page.locator("#anytime .tip").is_hidden()
    page.get_by_label("bands").uncheck()
    page.get_by_role("button", name="DARTS, n=3", exact=True).click()
    assert inked(page, "anytime", VERMILION) == 0
    assert strong > 20, "the seed's own line stood out, at full strength"


def test_a_chart_is_read_by_keyboard(study: Path, open_page: Open) -> None:
    page = open_page(url(study)).page
    page.locator("#hessian .plot").focus()
    readout = page.locator("#hessian .readout")
    press(page, "ArrowRight")
    norms = [line["spectral_norm"] for line in lines_of(study, "darts", 0)]
    assert readout.inner_text() == f"DARTS, seed 0, epoch 0: {norms[0]:.4g}"
    press(page, "ArrowRight", "ArrowRight")
    assert readout.inner_text() == f"DARTS, seed 0, epoch 2: {norms[2]:.4g}"
    press(page, "ArrowDown")
    assert readout.inner_text().startswith("DARTS, seed 1, epoch 2: ")
    press(page, "End")
    assert readout.inner_text().startswith(f"DARTS, seed 1, epoch {EPOCHS}: ")
    press(page, "Escape")
    assert readout.inner_text() == ""


def test_the_horizontal_axis_is_epochs_or_seconds_of_training(study: Path, open_page: Open) -> None:
    page = open_page(url(study)).page
    longest = "charts.anytime.plot.scales.x.max"
    assert page.evaluate(longest) == EPOCHS
    page.locator("#x-axis").get_by_label("epochs").focus()
    press(page, "ArrowRight")
    assert page.evaluate(longest) == pytest.approx(EPOCHS * 3.0), "gdas and sdarts_rs take 2 and 3 seconds an epoch"
    assert "Seconds are of training alone" in page.locator("#anytime .note").inner_text()


@pytest.mark.parametrize(("chart", "first"), [("anytime", "linear"), ("hessian", "log")])
def test_the_vertical_axis_is_linear_or_logarithmic(study: Path, open_page: Open, chart: str, first: str) -> None:
    page = open_page(url(study)).page

    def shares() -> float:
        """How far up the middle of three equally spaced values stands, of the way from the lowest to the highest."""
        return float(
            page.evaluate(
                """(id) => {
                  const { plot, range: [low, high] } = charts[id];
                  const at = (value) => plot.valToPos(value, "y");
                  return (at((low || 0.01) / 2 + high / 2) - at(low || 0.01)) / (at(high) - at(low || 0.01));
                }""",
                chart,
            )
        )

    scale = page.locator(f"#{chart}-scale")
    assert scale.get_by_label(first).is_checked()
    scale.get_by_label("linear").check()
    assert shares() == pytest.approx(0.5, abs=0.01)
    scale.get_by_label("log").check()
    assert shares() > 0.6


def test_seeds_bands_and_the_hessians_quantity_can_be_chosen(study: Path, open_page: Open) -> None:
    page = open_page(url(study)).page
    names = "charts.anytime.curves.map((curve) => curve.name)"
    assert "DARTS, seed 0" in page.evaluate(names)
    page.get_by_label("single seeds").uncheck()
    assert "DARTS, seed 0" not in page.evaluate(names)
    assert "DARTS, mean of 3" in page.evaluate(names)
    assert "Band: 95 % t-interval of the mean" in page.locator("#anytime .note").inner_text()
    page.get_by_label("bands").uncheck()
    assert "Band" not in page.locator("#anytime .note").inner_text()
    page.get_by_label("Quantity of the Hessian").select_option("trace")
    assert "at or below zero cannot stand on a logarithmic axis" in page.locator("#hessian .note").inner_text()


def test_random_search_and_the_optimum_are_drawn(study: Path, open_page: Open) -> None:
    page = open_page(url(study)).page
    note = page.locator("#anytime .note").inner_text()
    assert "random search, a trained cell an epoch" in note
    assert "optimum of the space, 3.00 %" in note
    drawn = page.evaluate(
        "charts.anytime.curves.filter((one) => !one.method).map((one) => [one.name, one.y[0], one.y[1]])"
    )
    assert drawn == [["random search", 13.0, 8.5], ["optimum of the space", 3, 3]]


def test_the_cell_at_any_epoch_is_reached_by_keyboard(study: Path, open_page: Open) -> None:
    page = open_page(url(study)).page
    page.get_by_label("Method", exact=True).select_option("gdas")
    page.get_by_label("Seed", exact=True).select_option("2")
    page.locator("#cell-epoch").focus()
    lines = lines_of(study, "gdas", 2)
    for keys, epoch in (
        ((), EPOCHS),
        (("Home",), 0),
        (("ArrowRight", "ArrowRight"), 2),
        (("End", "ArrowLeft"), EPOCHS - 1),
    ):
        press(page, *keys)
        matrix = np.triu(lines[epoch]["matrix"], 1)
        edges = {f"{source} {target}" for source, target in zip(*np.nonzero(matrix), strict=True)}
        assert page.locator("#cell-at").inner_text() == f"{epoch} of {EPOCHS}"
        drawn = page.locator("#cell-drawing [data-edge]").evaluate_all("all => all.map(one => one.dataset.edge)")
        assert set(drawn) == edges
        assert page.locator("#cell-drawing text").all_text_contents() == [
            cell.LABELS.get(op, op) for op in lines[epoch]["ops"]
        ]
        if epoch:
            assert f"{100 * lines[epoch]['test_error']:.2f} %" in page.locator("#cell-facts").inner_text()
            assert (
                page.locator("#cell-epoch")
                .get_attribute("aria-valuetext")
                .endswith(f"test error {100 * lines[epoch]['test_error']:.2f} %")
            )


def test_a_cell_is_laid_out_as_on_the_figures(study: Path, open_page: Open) -> None:
    page = open_page(url(study)).page
    generator = np.random.default_rng(3)
    for count in (2, 3, 5, 7, 7, 7):
        matrix = np.triu(generator.integers(0, 2, (count, count)), 1)
        matrix[0, -1] = 1
        graph = nasbench_graph(matrix.tolist(), ["op"] * count)
        assert graph is not None
        places = cell.layout(graph)
        curves = cell.edge_curves(graph, places)
        drawn_places, drawn = page.evaluate(
            """(graph) => {
              const places = cellLayout(graph, data.drawing);
              const edges = cellEdges(graph, places, data.drawing);
              return [places, edges.map((one) => [one.source, one.target, one.points])];
            }""",
            dataclasses.asdict(graph),
        )
        np.testing.assert_allclose(drawn_places, places, atol=1e-12)
        assert [(source, target) for source, target, _ in drawn] == [edge[:2] for edge, _ in curves]
        for (_, _, points), (_, curve) in zip(drawn, curves, strict=True):
            np.testing.assert_allclose(points, curve, atol=1e-12)


def test_a_quantity_that_runs_carry_has_a_chart_of_its_own(tmp_path: Path, open_page: Open) -> None:
    entry = {"name": "alpha_norm", "label": "norm of the alphas", "meaning": "A norm.", "percent": True}
    for path in write_runs(tmp_path, ["darts"], [1], seeds=2, epochs=3):
        edit_config(path, lambda config: {**config, "quantities": [entry]})
        edit_lines(path, lambda line: {**line, "alpha_norm": 0.5})
    main([str(tmp_path)])
    page = open_page(url(tmp_path)).page
    assert page.locator("#further h3").all_text_contents() == ["Norm of the alphas"]
    assert page.evaluate("charts['further-alpha_norm'].specification.yLabel") == "norm of the alphas (%)"
    assert page.evaluate("charts['further-alpha_norm'].curves.at(-1).y") == [50, 50, 50, 50]
    assert page.locator("#further .note").inner_text() == "A norm."


def test_without_such_a_quantity_there_is_no_section_for_it(study: Path, open_page: Open) -> None:
    assert open_page(url(study)).page.locator("#further").is_hidden()


def test_a_cell_with_its_operations_on_the_edges_is_drawn_as_on_the_figures(tmp_path: Path, open_page: Open) -> None:
    edges = ((0, 1, "skip"), (0, 2, "conv"), (1, 2, "pool"), (1, 2, "conv"))
    graphs = [{"title": title, "nodes": ["a", "b", "c"], "edges": edges} for title in ("normal", "reduce")]
    (path,) = write_runs(tmp_path, ["darts"], [1], seeds=1, epochs=1)
    edit_lines(path, lambda line: {**line, "graphs": graphs})
    main([str(tmp_path)])
    page = open_page(url(tmp_path)).page
    assert page.locator("#cell-drawing .kind").all_text_contents() == ["normal", "reduce"]
    drawn = page.locator("#cell-drawing .small").all_text_contents()
    assert sorted(drawn) == sorted([label for _, _, label in edges] * 2)
    graph = Graph("normal", ("a", "b", "c"), edges)
    places = cell.layout(graph)
    labels = cell.edge_labels(cell.edge_curves(graph, places), places)
    on_page = page.evaluate(
        """(graph) => {
          const places = cellLayout(graph, data.drawing);
          return cellLabels(cellEdges(graph, places, data.drawing), places, data.drawing);
        }""",
        dataclasses.asdict(graph),
    )
    assert [label for label, _, _ in on_page] == [label for label, _, _ in labels]
    for (_, at, width), (_, expected, its) in zip(on_page, labels, strict=True):
        np.testing.assert_allclose(at, expected, atol=1e-12)
        assert width == pytest.approx(its)


def test_theory_panels_show_the_means_or_one_run(study: Path, open_page: Open) -> None:
    page = open_page(url(study)).page
    names = "charts['theory-bound'].curves.map((curve) => [curve.name, curve.y.find(isNumber)])"
    assert page.evaluate(names) == [["DARTS, mean of 3", 1.5], ["SDARTS-RS, mean of 3", 1.5], ["GDAS, mean of 3", 1.5]]
    page.get_by_label("Show", exact=True).select_option(label="GDAS, seed 1")
    assert page.evaluate(names) == [["GDAS, seed 1", 1.5]]
    both = page.evaluate("charts['theory-supernet_against_table'].curves.map((curve) => curve.name)")
    assert both == ["GDAS, seed 1", "GDAS, seed 1, supernet"]
    assert page.evaluate("charts['theory-projection_gap'].curves[0].y[0]") == pytest.approx(0.25, abs=1e-5)


def test_another_space_is_chosen_and_choices_stay(study: Path, open_page: Open) -> None:
    page = open_page(url(study)).page
    page.get_by_role("button", name="GDAS, n=3").click()
    page.get_by_label("Benchmark and space").select_option(label="synthetic, space 2")
    assert "synthetic, space 2" in page.locator("#facts").inner_text()
    assert page.get_by_role("button", name="GDAS, n=3").get_attribute("aria-pressed") == "false"
    (_, block) = judge(survey(study), Question()).blocks
    shown = column(page, 3)
    assert {text.split()[0] for text in shown} == {
        f"{100 * one.measures['final_error'].mean.value:.2f}" for one in block.methods
    }


def ground(page: Any) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_the_theme_follows_the_system_or_the_switch(study: Path, open_page: Open) -> None:
    page = open_page(url(study)).page
    light = ground(page)
    page.locator("#theme").get_by_label("dark").check()
    dark = ground(page)
    assert dark != light
    page.locator("#theme").get_by_label("auto").check()
    assert ground(page) == light
    page.emulate_media(color_scheme="dark")
    assert ground(page) == dark
    page.locator("#theme").get_by_label("dark").focus()
    page.locator("#theme").get_by_label("light").check()
    assert ground(page) == light
    assert ground(open_page(url(study), scheme="dark").page) == dark


def test_paper_gets_ink_on_white_without_controls_and_sharp_charts(study: Path, open_page: Open) -> None:
    opened = open_page(url(study), scheme="dark")
    page = opened.page
    controls = page.locator("nav, #theme, #x-axis, #cell-epoch, #show-all")
    assert [one.is_visible() for one in controls.all()] == [True] * controls.count()
    across = page.locator("#anytime canvas").evaluate("canvas => canvas.width / canvas.getBoundingClientRect().width")
    page.emulate_media(media="print", color_scheme="dark")
    page.wait_for_timeout(300)
    assert ground(page) == "rgb(255, 255, 255)"
    assert not any(one.is_visible() for one in controls.all())
    sharper = page.locator("#anytime canvas").evaluate("canvas => canvas.width / canvas.getBoundingClientRect().width")
    assert sharper == pytest.approx(2 * across, rel=0.05)
    assert page.locator("#meanings").is_visible()
    page.set_viewport_size({"width": PAPER_PIXELS, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") == PAPER_PIXELS, "no table is cut"
    page.emulate_media(media="screen", color_scheme="dark")
    page.wait_for_timeout(300)
    assert ground(page) != "rgb(255, 255, 255)"
    assert all(one.is_visible() for one in controls.all())
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert opened.complaints == []


@pytest.mark.parametrize("width", [320, 375, 768, 1280])
def test_nothing_but_tables_scrolls_sideways(trouble: Path, open_page: Open, width: int) -> None:
    page = open_page(url(trouble), width=width, height=800).page
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("#anytime canvas").evaluate("canvas => canvas.getBoundingClientRect().right") <= width


def test_every_control_is_reached_by_tab_and_has_a_name(study: Path, open_page: Open) -> None:
    page = open_page(url(study)).page
    reached: list[str] = []
    for _ in range(120):
        press(page, "Tab")
        at = page.evaluate(
            """() => { const at = document.activeElement; if (at === document.body) return null;
              const box = at.getBoundingClientRect();
              return [at.id || at.dataset.key || at.name || at.textContent, box.width > 0]; }"""
        )
        if at is None:
            break
        assert at[1], at
        reached.append(at[0])
    controls = page.evaluate(
        """() => [...document.querySelectorAll("main button, main select, main input, header input")]
          .filter((one) => one.type !== "radio" || one.checked).map((one) => one.id || one.dataset.key || one.name)"""
    )
    assert len(controls) > 20
    assert [one for one in controls if one not in reached] == []
    assert [one for one in reached if one in controls] == sorted(controls, key=reached.index)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input, [role=img], [role=region], [role=application]")]
          .filter((one) => !(one.ariaLabel || one.textContent.trim() || (one.labels && one.labels.length)
            || one.getAttribute("aria-labelledby")) && one.getClientRects().length).map((one) => one.outerHTML)"""
    )
    assert nameless == []


def test_hostile_names_are_letters_and_torn_folders_a_list(trouble: Path, open_page: Open) -> None:
    opened = open_page(url(trouble))
    page = opened.page
    assert f"{HOSTILE} @{HOSTILE_NAME}" in page.locator("#methods").inner_text(timeout=5000).replace("\n", "\u2028")
    page.get_by_label("Method", exact=True).select_option(f"{HOSTILE}@{HOSTILE_NAME}")
    page.get_by_label("Show", exact=True).select_option(f"{HOSTILE}@{HOSTILE_NAME}\n0")
    page.locator("#methods button", has_text="alert(1)").click()
    page.wait_for_timeout(200)
    assert page.locator("img").count() == 0
    left_out = page.locator("#left-out-list").inner_text()
    for words in (f"unfinished: 4 of {EPOCHS} epochs", "not the line of an epoch", "holds no run"):
        assert words in left_out
    assert opened.complaints == []
    assert opened.requests == [url(trouble)]


def test_a_nan_in_a_line_is_a_gap_in_the_curve(trouble: Path, open_page: Open) -> None:
    opened = open_page(url(trouble))
    curve = opened.page.evaluate("charts.anytime.curves.find((one) => one.name === 'GDAS, seed 2').y")
    assert [epoch for epoch, value in enumerate(curve, start=1) if value is None] == [3]
    assert "NaN" not in opened.page.locator("body").inner_text()
    assert opened.complaints == []


def test_a_link_leads_to_the_raw_lines(study: Path, open_page: Open) -> None:
    page = open_page(url(study)).page
    links = page.locator("#raw-table a")
    assert links.count() == len(METHODS) * 3
    targets = [links.nth(at).evaluate("link => link.href") for at in range(links.count())]
    expected = {path.as_uri() for path in study.glob("synthetic/space1/*/*/epochs.jsonl")}
    assert set(targets) == expected


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[LiveServer, Path]]:
    """A server, and the folder of a run that has not finished."""
    paths = write_study(tmp_path)
    edit_config(paths[0], lambda config: {**config, "epochs": EPOCHS + 5})
    edit_config(paths[1], lambda config: {**config, "epochs": EPOCHS + 5})
    shutil.rmtree(paths[2])
    server = LiveServer(tmp_path, 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server, paths[0]
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_live_page_follows_a_search_and_keeps_what_was_chosen(live: tuple[LiveServer, Path], open_page: Open) -> None:
    server, run = live
    opened = open_page(server.url)
    page = opened.page
    page.get_by_role("button", name="GDAS, n=3").click()
    page.locator("#x-axis").get_by_label("seconds").check()
    page.locator("#anytime-scale").get_by_label("log").check()
    page.locator("#theme").get_by_label("dark").check()
    page.locator("#cell-epoch").focus()
    press(page, "Home", "ArrowRight")
    assert "12 of 17" in page.locator("#raw-table").inner_text()
    with (run / "epochs.jsonl").open("a") as file:
        file.write(json.dumps({**read_lines(run)[-1], "epoch": EPOCHS + 1, "test_error": 0.0123}) + "\n")
    page.wait_for_selector("#raw-table :text('13 of 17')", timeout=15_000)
    assert page.get_by_role("button", name="GDAS, n=3").get_attribute("aria-pressed") == "false"
    assert page.locator("#x-axis").get_by_label("seconds").is_checked()
    assert page.evaluate("charts.anytime.plot.scales.y.distr") == 3
    assert page.evaluate("charts.anytime.curves.find((one) => one.name === 'DARTS, seed 0').y.at(-1)") == 1.23
    assert page.locator("#cell-at").inner_text() == f"1 of {EPOCHS + 1}"
    assert page.evaluate("document.activeElement.id") == "cell-epoch"
    assert page.locator("#live").inner_text().startswith("live, data of ")
    assert opened.complaints == []
    assert all(one.startswith(server.url) for one in opened.requests)


def test_a_live_page_says_when_the_server_is_gone(live: tuple[LiveServer, Path], open_page: Open) -> None:
    server, _ = live
    page = open_page(server.url).page
    page.wait_for_selector("#live:has-text('live, data of')")
    page.context.set_offline(True)
    page.wait_for_selector("#live.lost:has-text('no answer from the server')", timeout=15_000)
    assert page.locator("#summary-table tbody tr").count() == len(METHODS)


@pytest.mark.slow
def test_126_runs_of_100_epochs_open_in_under_3_seconds(tmp_path: Path, open_page: Open) -> None:
    assert len(write_runs(tmp_path, PAPERS_METHODS, (1, 2, 3), seeds=6, epochs=100)) == 126
    main([str(tmp_path)])
    before = time.perf_counter()
    opened = open_page(url(tmp_path))
    opened.page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    assert time.perf_counter() - before < OPEN_SECONDS
    assert inked(opened.page, "anytime", VERMILION) > 20


def test_a_page_of_many_methods_opens_with_some_and_draws_those_that_are_written(
    tmp_path: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thinning, "MOST_RUNS", 20)
    names = [f"{method}{name}" for method in PAPERS_METHODS for name in ("", "@a", "@b")]
    write_runs(tmp_path, names, [1], seeds=1, epochs=30)
    main([str(tmp_path)])
    page = open_page(url(tmp_path)).page
    drawn = page.locator("#methods .chip[aria-pressed=true]")
    assert drawn.count() == len(PAPERS_METHODS)
    missing = page.locator("#missing").inner_text()
    assert "every 2nd epoch (17 of 31)" in missing
    assert "7 of 21 methods are drawn" in missing
    page.fill("#only", "SDARTS*, pc_darts@b")
    assert sorted(text.split(",")[0] for text in drawn.all_inner_texts()) == [
        *("PC-DARTS @b", "SDARTS-ADV", "SDARTS-ADV @a", "SDARTS-ADV @b", "SDARTS-RS", "SDARTS-RS @a", "SDARTS-RS @b"),
    ]
    page.fill("#only", "")
    assert drawn.count() == len(names)
    page.locator("#methods .chip", has_text="GDAS @a").dblclick()
    assert [text.split(",")[0] for text in drawn.all_inner_texts()] == ["GDAS @a"]
    page.locator("#cell-epoch").focus()
    press(page, "ArrowLeft")
    assert page.locator("#cell-at").inner_text() == "28 of 30"
    press(page, "Home", "ArrowRight")
    assert page.locator("#cell-at").inner_text() == "1 of 30"


def test_a_table_says_how_many_of_its_columns_are_out_of_sight(study: Path, open_page: Open) -> None:
    page = open_page(url(study), width=390).page
    cue = page.locator("#summary .cue")
    assert cue.inner_text().endswith("of 13 columns are further right: scroll the table sideways.")
    page.locator("#summary .scroll").evaluate("(scroller) => { scroller.scrollLeft = scroller.scrollWidth; }")
    cue.wait_for(state="hidden")
    assert open_page(url(study), width=1600).page.locator("#summary .cue").is_hidden()
