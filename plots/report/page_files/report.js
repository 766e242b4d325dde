"use strict";
/* The page: what the reader chose, and everything drawn from it and from the data. `show` redraws all of it, also when a
   live page has fetched newer data; choices are kept by name, so that they survive. */

const POLL_MILLISECONDS = 3000;
/* More methods than this, and their bands and single seeds would hide each other until asked for. */
const MOST_BANDS = 7;
/* More methods than this, and a page opens with some of them, and says so. */
const MOST_METHODS = 20;

const byId = (id) => document.getElementById(id);
const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`).value;

let data = JSON.parse(byId("data").textContent);
const state = { comparison: "", hidden: new Set(), sort: { key: "mean", ascending: true }, cell: { method: "", seed: "", epoch: null }, theory: ALL_METHODS, hessian: "spectral_norm" };
const printing = { now: false };

const comparisonKey = (one) => [one.bench, one.space, one.table.label, one.table.sha256, one.scale].join("\n");
const current = () => data.comparisons.find((one) => comparisonKey(one) === state.comparison);
const runsOf = (one) => one.methods.flatMap((method) => method.runs);
const shownMethods = () => current().methods.filter((method) => !state.hidden.has(method.name));
const isDark = () => !printing.now && (document.documentElement.dataset.theme || "auto") === "auto"
  ? matchMedia("(prefers-color-scheme: dark)").matches
  : !printing.now && document.documentElement.dataset.theme === "dark";
/** A method's colour; black would not be seen on a dark page. */
const shownColour = (colour) => (colour === "#000000" && isDark() ? "#ffffff" : colour);

function show() {
  byId("title").textContent = data.results;
  const methods = new Set(data.comparisons.flatMap((one) => one.methods.map((method) => method.name)));
  const runs = data.comparisons.flatMap(runsOf);
  byId("subtitle").textContent = [counted(data.comparisons.length, "comparison"), counted(methods.size, "method"), counted(runs.length, "run"),
    `${runs.filter((run) => run.finished).length} finished`].join(" · ");
  byId("footer").textContent = `Written ${data.written} by one-shot-nas-harness ${data.harness}. Errors are fractions in files, percent here.`;
  state.comparison = offer(byId("comparison"), data.comparisons.map((one) => [comparisonKey(one), comparisonName(one)]), state.comparison);
  const none = !data.comparisons.length;
  byId("chooser").hidden = data.comparisons.length < 2;
  byId("nothing").hidden = !none;
  for (const id of ["run", "summary", "curves", "cells", "theory", "further", "statistics", "raw", "environment"]) byId(id).hidden = none;
  fillLeftOut(byId("left-out-list"), data.left_out);
  if (none) return;
  showRun();
  showSummary();
  showMethods();
  showCurves();
  showCellChoices();
  showTheoryChoices();
  showFurther();
  fillStatistics(byId("statistics-body"), data, current());
  fillOverall(byId("overall"), data);
  fillRaw(byId("raw-table"), data, current());
  fillEnvironments(byId("environments"), data.environments);
  fillSettings(byId("settings"), current());
}

function comparisonName(one) {
  const twins = data.comparisons.filter((other) => other.bench === one.bench && other.space === one.space);
  return one.place + (twins.length > 1 ? `, ${one.table.label} ${one.table.sha256.slice(0, 12)}, ${one.scale}` : "");
}

/** What the page does not show of the comparison: epochs where there are many runs, methods that were passed over or hidden. */
function showWhatIsMissing() {
  const one = current(), { shown, passed_over: passedOver } = data.picked;
  const hidden = one.methods.filter((method) => state.hidden.has(method.name)).length;
  const last = one.epochs[one.epochs.length - 1];
  const texts = [
    passedOver.length ? `Picked by --only: ${shown.length} of ${counted(shown.length + passedOver.length, "method")} of this folder; the others are not on this page.` : "",
    one.thinned ? `Thinned: over 200 runs are on this page, so that curves, bands and cells are of every ${ordinal(one.thinned)} epoch (${one.epochs.length} of ${last + 1}); what happens between them is not seen. Statistics are of all epochs. A page of fewer methods (--only) has them all.` : "",
    hidden ? `${one.methods.length - hidden} of ${counted(one.methods.length, "method")} are drawn; press a name to draw or hide it, twice to draw it alone.` : "",
  ].filter(Boolean);
  refill(byId("missing"), ...texts.map((text) => element("p", {}, text)));
  byId("missing").hidden = !texts.length;
}

function showRun() {
  const one = current();
  const runs = runsOf(one);
  const finished = runs.filter((run) => run.finished).length;
  const seeds = [...new Set(one.methods.map((method) => method.runs.length))].sort((a, b) => a - b);
  const epochs = [...new Set(one.methods.map((method) => method.epochs))].sort((a, b) => a - b);
  const versions = (key) => [...new Set(data.environments.map((environment) => environment.facts[key]))].filter(Boolean).join(", ");
  refill(byId("warnings"), ...one.warnings.map((text) => element("p", { class: "warning" }, text)));
  factList(byId("facts"), [
    ["benchmark", one.place],
    [one.judged ? "table" : "judge", `${one.table.label}, kind ${one.table.kind}` + (one.table.sha256 ? `, SHA-256 ${one.table.sha256}` : ", SHA-256 not recorded")],
    ["scale", one.scale || "not recorded"],
    ["methods", one.methods.map((method) => method.label).join(", ")],
    ["seeds", `${seeds.join(" or ")} for each method; ${counted(runs.length, "run")}, ${finished} finished`],
    ["epochs", epochs.join(" or ")],
    ["machine", one.machines.join("; ")],
    ["versions", ["harness", "torch", "numpy", "python"].filter(versions).map((key) => `${key} ${versions(key)}`).join(" · ")],
    ["optimum of the space", isNumber(one.optimum) ? `${(100 * one.optimum).toFixed(2)} % test error` : "not recorded by these runs"],
    ["random search", one.random_search.length ? "recorded; drawn in the anytime chart" : "not recorded by these runs"],
  ]);
}

function showSummary() {
  fillSummary(byId("summary-table"), data, current(), state.sort, (key) => {
    state.sort = { key, ascending: state.sort.key === key ? !state.sort.ascending : true };
    showSummary();
  });
  factList(byId("meanings"), Object.values(data.measures).map((measure) => [measure.label, measure.meaning]));
}

/** The buttons that hide and show a method, in all charts. */
function showMethods() {
  refill(byId("methods"), ...current().methods.map((method) => {
    const seeds = method.runs.length, unfinished = method.runs.filter((run) => !run.finished).length;
    return pressed(
      element("button", { type: "button", class: "chip", "aria-pressed": String(!state.hidden.has(method.name)), "data-key": `method ${method.name}` },
        swatch(shownColour(method.colour), method.dashes), `${method.label}, n=${seeds}${unfinished ? ` (${unfinished} unfinished)` : ""}`),
      () => hide(state.hidden.has(method.name) ? [] : [method.name], state.hidden.has(method.name) ? [method.name] : []),
      () => drawOnly((name) => name === method.name),
    );
  }));
  showWhatIsMissing();
}

/** Draw the methods of this comparison that a test picks, and hide its others. */
function drawOnly(picks) {
  const names = current().methods.map((method) => method.name);
  hide(names.filter((name) => !picks(name)), names.filter(picks));
}

/** Draw what is written: names or parts of names with commas between them, in which * stands for any letters. */
function drawWritten() {
  const words = byId("only").value.split(",").map((word) => word.trim().toLowerCase()).filter(Boolean);
  const patterns = words.map((word) => (/[*?]/.test(word)
    ? new RegExp(`^${word.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".")}$`) : word));
  const picked = (text) => patterns.some((pattern) => (pattern instanceof RegExp ? pattern.test(text) : text.includes(pattern)));
  const labels = new Map(current().methods.map((method) => [method.name, method.label.toLowerCase()]));
  drawOnly((name) => !words.length || picked(name.toLowerCase()) || picked(labels.get(name)));
}

/** Of very many methods those without a variant's name, or else the first ones, until the reader asks for others. */
function hideMost() {
  for (const { methods } of data.comparisons) {
    if (methods.length <= MOST_METHODS) continue;
    const presets = methods.filter((method) => !method.name.includes("@"));
    const drawn = new Set((presets.length > 1 && presets.length <= MOST_METHODS ? presets : methods.slice(0, MOST_BANDS)).map((method) => method.name));
    methods.filter((method) => !drawn.has(method.name)).forEach((method) => state.hidden.add(method.name));
  }
}

function hide(hidden, again) {
  hidden.forEach((name) => state.hidden.add(name));
  again.forEach((name) => state.hidden.delete(name));
  showMethods();
  showCurves();
  showTheory();
  showFurther();
}

function listen() {
  byId("comparison").addEventListener("change", (event) => { state.comparison = event.target.value; show(); });
  for (const id of ["x-axis", "anytime-scale", "hessian-scale", "show-seeds", "show-bands", "hessian-quantity"]) {
    byId(id).addEventListener("change", () => { showCurves(); showFurther(); if (id === "x-axis") showTheory(); });
  }
  byId("show-all").addEventListener("click", () => hide([], current().methods.map((method) => method.name)));
  byId("hide-all").addEventListener("click", () => hide(current().methods.map((method) => method.name), []));
  byId("only").addEventListener("input", drawWritten);
  document.querySelectorAll(".scroll").forEach(sayWhatIsFurtherRight);
  byId("cell-method").addEventListener("change", (event) => { state.cell.method = event.target.value; showCellChoices(); });
  byId("cell-seed").addEventListener("change", (event) => { state.cell.seed = event.target.value; showCell(); });
  byId("cell-epoch").addEventListener("input", (event) => { state.cell.epoch = current().epochs[Number(event.target.value)]; showCell(); });
  byId("theory-run").addEventListener("change", (event) => { state.theory = event.target.value; showTheory(); });
  byId("theme").addEventListener("change", () => { document.documentElement.dataset.theme = chosen("theme"); show(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  matchMedia("print").addEventListener("change", (event) => print(event.matches));
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
}

/** On paper: dark ink on white, everything unfolded, and charts at twice the resolution. */
function print(now) {
  if (printing.now === now) return;
  printing.now = now;
  document.documentElement.toggleAttribute("data-printing", now);
  for (const details of document.querySelectorAll("details.meanings")) details.open = now;
  show();
}

/** Ask for newer data as long as the page is open; what the reader chose stays. */
async function poll() {
  const live = byId("live");
  live.hidden = false;
  try {
    const answer = await fetch(`data.json?seen=${encodeURIComponent(data.version)}`, { cache: "no-store" });
    if (answer.status === 200) {
      data = await answer.json();
      show();
    } else if (answer.status !== 204) throw new Error(`status ${answer.status}`);
    live.classList.remove("lost");
    live.textContent = `live, data of ${data.written}`;
  } catch {
    live.classList.add("lost");
    live.textContent = `no answer from the server; data of ${data.written}`;
  }
  setTimeout(poll, POLL_MILLISECONDS);
}

listen();
for (const id of ["show-bands", "show-seeds"]) byId(id).checked = data.comparisons.every((one) => one.methods.length <= MOST_BANDS);
hideMost();
show();
if (document.documentElement.dataset.live === "yes") poll();
