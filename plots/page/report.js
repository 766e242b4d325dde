"use strict";
/* The page: what the reader chose, and everything drawn from it and from the data. `show` redraws all of it, also when a
   live page has fetched newer data; choices are kept by name, so that they survive. */

const POLL_MILLISECONDS = 3000;
const THEORY = [
  ["supernet_against_table", "Supernet against table"],
  ["lambda_max", "λ max of the Hessian"],
  ["trace", "Trace of the Hessian"],
  ["projection_gap", "Projection gap"],
  ["bound", "Bound C"],
  ["entropy", "Entropy of the mixture"],
];
const ALL_METHODS = "";
/* More methods than this, and their bands would hide each other until asked for. */
const MOST_BANDS = 7;

const byId = (id) => document.getElementById(id);
const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`).value;

let data = JSON.parse(byId("data").textContent);
const state = { comparison: "", hidden: new Set(), sort: { key: "mean", ascending: true }, cell: { method: "", seed: "", epoch: null }, theory: ALL_METHODS };
const printing = { now: false };
const charts = {};

const comparisonKey = (one) => [one.bench, one.space, one.table.label, one.table.sha256, one.scale].join("\n");
const current = () => data.comparisons.find((one) => comparisonKey(one) === state.comparison);
const shownMethods = () => current().methods.filter((method) => !state.hidden.has(method.name));
const isDark = () => !printing.now && (document.documentElement.dataset.theme || "auto") === "auto"
  ? matchMedia("(prefers-color-scheme: dark)").matches
  : !printing.now && document.documentElement.dataset.theme === "dark";
/** A method's colour; black would not be seen on a dark page. */
const shownColour = (colour) => (colour === "#000000" && isDark() ? "#ffffff" : colour);

function show() {
  byId("title").textContent = data.results;
  const methods = new Set(data.comparisons.flatMap((one) => one.methods.map((method) => method.name)));
  const runs = data.comparisons.flatMap((one) => one.methods.flatMap((method) => method.runs));
  byId("subtitle").textContent = [counted(data.comparisons.length, "comparison"), counted(methods.size, "method"), counted(runs.length, "run"),
    `${runs.filter((run) => run.finished).length} finished`].join(" · ");
  byId("footer").textContent = `Written ${data.written} by one-shot-nas-harness ${data.harness}. Errors are fractions in files, percent here.`;
  state.comparison = offer(byId("comparison"), data.comparisons.map((one) => [comparisonKey(one), comparisonName(one)]), state.comparison);
  const none = !data.comparisons.length;
  byId("chooser").hidden = data.comparisons.length < 2;
  byId("nothing").hidden = !none;
  for (const id of ["run", "summary", "curves", "cells", "theory", "statistics", "raw", "environment"]) byId(id).hidden = none;
  fillLeftOut(byId("left-out-list"), data.left_out);
  if (none) return;
  showRun();
  showSummary();
  showMethods();
  showCurves();
  showCellChoices();
  showTheoryChoices();
  fillStatistics(byId("statistics-body"), data, current());
  fillOverall(byId("overall"), data);
  fillRaw(byId("raw-table"), data, current());
  fillEnvironments(byId("environments"), data.environments);
  fillSettings(byId("settings"), current());
}

function comparisonName(one) {
  const twins = data.comparisons.filter((other) => other.bench === one.bench && other.space === one.space);
  return `${one.bench}, space ${one.space}` + (twins.length > 1 ? `, ${one.table.label} ${one.table.sha256.slice(0, 12)}, ${one.scale}` : "");
}

function showRun() {
  const one = current();
  const runs = one.methods.flatMap((method) => method.runs);
  const finished = runs.filter((run) => run.finished).length;
  const seeds = [...new Set(one.methods.map((method) => method.runs.length))].sort((a, b) => a - b);
  const epochs = [...new Set(one.methods.map((method) => method.epochs))].sort((a, b) => a - b);
  const versions = (key) => [...new Set(data.environments.map((environment) => environment.facts[key]))].filter(Boolean).join(", ");
  refill(byId("warnings"), ...one.warnings.map((text) => element("p", { class: "warning" }, text)));
  factList(byId("facts"), [
    ["benchmark", `${one.bench}, space ${one.space}`],
    ["table", `${one.table.label}, kind ${one.table.kind}` + (one.table.sha256 ? `, SHA-256 ${one.table.sha256}` : ", SHA-256 not recorded")],
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
    );
  }));
}

function hide(hidden, again) {
  hidden.forEach((name) => state.hidden.add(name));
  again.forEach((name) => state.hidden.delete(name));
  showMethods();
  showCurves();
  showTheory();
}

/** Curves and bands of one quantity: each method's mean, and its seeds. */
function curvesOf(quantity, { only = null, seeds = false, bands = false, dashes = null } = {}) {
  const seconds = chosen("x") === "seconds";
  const { first, is_error: isError } = data.quantities[quantity];
  const scale = (values) => values.map((value) => (isNumber(value) ? value * (isError ? 100 : 1) : null));
  const found = { curves: [], bands: [] };
  const add = (target, times, values, rest) => {
    const epochs = [...values.keys()].filter((epoch) => epoch >= first && (!seconds || isNumber(times[epoch])));
    const distinct = epochs.filter((epoch, at) => !seconds || at === 0 || times[epoch] > times[epochs[at - 1]]);
    target({ epochs: distinct, x: distinct.map((epoch) => (seconds ? times[epoch] : epoch)), pick: (column) => distinct.map((epoch) => column[epoch]), ...rest });
  };
  const join = !isError;
  const faint = current().methods.reduce((sum, method) => sum + method.runs.length, 0) <= 12 ? 0.5 : 0.3;
  for (const method of shownMethods()) {
    const colour = shownColour(method.colour), look = { colour, dashes: dashes || method.dashes, quantity, join, method };
    const runs = method.runs.filter((run) => quantity in run.curves && (!only || only === runKey(method, run)));
    const mean = only ? null : method.means[quantity];
    if ((seeds && method.runs.length > 1) || only) {
      for (const run of runs) {
        add((curve) => found.curves.push({ ...curve, y: curve.pick(scale(run.curves[quantity])) }), run.seconds, run.curves[quantity], {
          ...look, dashes: only ? look.dashes : [], name: `${method.label}, seed ${run.seed}`, width: only ? 2 : 0.8, alpha: only ? 1 : faint, hover: true });
      }
    }
    if (!mean) continue;
    add((curve) => {
      found.curves.push({ ...curve, y: curve.pick(scale(mean.mean)) });
      if (bands && mean.band) found.bands.push({ x: curve.x, low: curve.pick(scale(mean.low)), high: curve.pick(scale(mean.high)), colour });
    }, method.mean_seconds, mean.mean, {
      ...look, name: method.runs.length > 1 ? `${method.label}, mean of ${mean.seeds}` : `${method.label}, seed ${method.runs[0].seed}`, width: 2, alpha: 1, hover: true });
  }
  found.curves.sort((one, other) => one.width - other.width);
  return found;
}

const runKey = (method, run) => `${method.name}\n${run.seed}`;

/** What is the same for every chart. */
function specification(label, quantity, parts) {
  const style = getComputedStyle(document.documentElement);
  const { label: yLabel, is_error: isError } = data.quantities[quantity];
  return {
    label, xLabel: chosen("x") === "seconds" ? "seconds of training" : "epoch", yLabel: isError ? `${yLabel} (%)` : yLabel,
    log: false, height: 320, bands: [], notes: [], empty: "No method is shown.", ratio: printing.now ? 2 : 1,
    ink: { muted: style.getPropertyValue("--muted").trim(), line: style.getPropertyValue("--line").trim() },
    describe: (curve, point) => {
      const at = chosen("x") === "seconds" ? `epoch ${curve.epochs[point]} (${curve.x[point].toFixed(1)} s)` : `epoch ${curve.epochs[point]}`;
      const ours = data.quantities[curve.quantity];
      return `${curve.name}, ${at}: ${ours.is_error ? `${curve.y[point].toFixed(2)} %` : short(curve.y[point])}`;
    },
    ...parts,
  };
}

function showCurves() {
  const options = { seeds: byId("show-seeds").checked, bands: byId("show-bands").checked };
  const seconds = chosen("x") === "seconds";
  const anytime = curvesOf("test_error", options);
  const { lines, keys } = references(anytime.curves, seconds);
  chart("anytime").draw(specification("Anytime test error", "test_error", {
    curves: [...anytime.curves, ...lines], bands: anytime.bands, log: chosen("anytime-y") === "log",
    empty: shownMethods().length ? "No run has a test error yet." : "No method is shown.",
    notes: [...keys, ...notes(anytime.curves, chosen("anytime-y") === "log", seconds, "test_error")],
  }));
  const quantity = byId("hessian-quantity").value;
  const hessian = curvesOf(quantity, options);
  chart("hessian").draw(specification("Hessian of the validation loss", quantity, {
    curves: hessian.curves, bands: hessian.bands, log: chosen("hessian-y") === "log",
    empty: shownMethods().length ? "The methods shown recorded no Hessian." : "No method is shown.",
    notes: [...withoutHessian(), ...notes(hessian.curves, chosen("hessian-y") === "log", seconds, quantity)],
  }));
}

/** The optimum of the space, and what random search finds with a fully trained cell an epoch. */
function references(curves, seconds) {
  const one = current(), lines = [], keys = [];
  const muted = getComputedStyle(document.documentElement).getPropertyValue("--muted").trim();
  const key = (dashes, text) => element("span", { class: "key" }, swatch(muted, dashes, 2), text);
  const xs = curves.flatMap((curve) => curve.x);
  if (!xs.length) return { lines, keys };
  const [low, high] = [Math.min(...xs), Math.max(...xs)];
  const plain = { colour: muted, width: 1.5, alpha: 1, quantity: "test_error", join: true };
  if (one.random_search.length && !seconds) {
    const epochs = [...one.random_search.keys()].map((at) => at + 1).filter((epoch) => epoch <= high);
    lines.push({ ...plain, name: "random search", epochs, x: epochs, y: epochs.map((epoch) => 100 * one.random_search[epoch - 1]), dashes: [4, 2], hover: true });
    keys.push(key([4, 2], "random search, a trained cell an epoch"));
  }
  if (isNumber(one.optimum)) {
    lines.push({ ...plain, name: "optimum of the space", epochs: [low, high], x: [low, high], y: [100 * one.optimum, 100 * one.optimum], dashes: [1, 2], hover: false });
    keys.push(key([1, 2], `optimum of the space, ${(100 * one.optimum).toFixed(2)} %`));
  }
  if (one.random_search.length && seconds) keys.push(element("span", {}, "Random search has no seconds and is drawn over epochs. "));
  return { lines, keys };
}

function notes(curves, log, seconds, quantity) {
  const texts = [];
  const bands = shownMethods().map((method) => method.means[quantity]).filter(Boolean).map((mean) => mean.band).filter(Boolean);
  if (byId("show-bands").checked && bands.length) {
    const kinds = [...new Set(bands)].map((band) => (band === "range" ? "range of two seeds" : `${band} over seeds`));
    texts.push(`Band: ${kinds.join(", or ")}.`);
  }
  const below = log ? curves.reduce((sum, curve) => sum + curve.y.filter((value) => isNumber(value) && value <= 0).length, 0) : 0;
  if (below) texts.push(`${counted(below, "value")} at or below zero cannot stand on a logarithmic axis.`);
  if (seconds) texts.push("Seconds are of training alone, by the clock; a mean stands at its seeds' mean seconds.");
  return texts.length ? [element("span", {}, texts.join(" "))] : [];
}

function withoutHessian() {
  const none = shownMethods().filter((method) => !method.means.spectral_norm);
  const say = (methods, text) => (methods.length ? [element("span", {}, `${text}: ${methods.map((method) => method.label).join(", ")}. `)] : []);
  return [...say(none.filter((method) => !method.has_alphas), "Without architecture parameters, so without a Hessian"),
    ...say(none.filter((method) => method.has_alphas), "Hessian not measured")];
}

function chart(id) {
  if (!charts[id]) charts[id] = new Chart(byId(id));
  return charts[id];
}

function showTheoryChoices() {
  const runs = current().methods.flatMap((method) => method.runs.map((run) => [runKey(method, run), `${method.label}, seed ${run.seed}`]));
  state.theory = offer(byId("theory-run"), [[ALL_METHODS, "means of the methods shown"], ...runs], state.theory);
  const panels = byId("theory-panels");
  if (!panels.children.length) {
    panels.append(...THEORY.map(([name, title]) => element("figure", { class: "card", "aria-labelledby": `theory-${name}-heading` },
      element("h3", { id: `theory-${name}-heading` }, title), element("div", { class: "chart", id: `theory-${name}` }))));
  }
  showTheory();
}

function showTheory() {
  const only = state.theory === ALL_METHODS ? null : state.theory;
  const muted = getComputedStyle(document.documentElement).getPropertyValue("--muted").trim();
  for (const [name, title] of THEORY) {
    const pair = name === "supernet_against_table";
    const quantity = pair ? "test_error" : name;
    const { curves } = curvesOf(quantity, { only, dashes: pair ? [] : null });
    const explained = pair
      ? [element("span", { class: "key" }, swatch(muted, [], 2.5), "derived cell, table's test error"), element("span", { class: "key" }, swatch(muted, [3, 2], 2), "supernet, validation images")]
      : [element("span", {}, data.quantities[quantity].meaning)];
    if (pair) curves.push(...curvesOf("supernet_valid_error", { only, dashes: [3, 2] }).curves.map((curve) => ({ ...curve, name: `${curve.name}, supernet`, width: 1.4 })));
    const recorded = current().methods.some((method) => method.means[quantity]);
    chart(`theory-${name}`).draw(specification(title, quantity, {
      curves, height: 220, log: pair, notes: [...explained, ...(pair ? notes(curves, true, false, "") : [])],
      ...(pair ? { yLabel: "error (%)" } : {}),
      empty: recorded ? (only && !curves.length && state.hidden.has(only.split("\n")[0]) ? "This method is hidden." : "No method shown has it.") : "These runs did not record it.",
    }));
  }
}

function showCellChoices() {
  const methods = current().methods.filter((method) => method.runs.some((run) => run.cells.some(isNumber)));
  state.cell.method = offer(byId("cell-method"), methods.map((method) => [method.name, method.label]), state.cell.method);
  const method = methods.find((one) => one.name === state.cell.method);
  const runs = method ? method.runs.filter((run) => run.cells.some(isNumber)) : [];
  state.cell.seed = offer(byId("cell-seed"), runs.map((run) => [String(run.seed), String(run.seed)]), state.cell.seed);
  byId("cells").hidden = !runs.length;
  if (runs.length) showCell();
}

function showCell() {
  const one = current();
  const method = one.methods.find((each) => each.name === state.cell.method);
  const run = method.runs.find((each) => String(each.seed) === state.cell.seed);
  const last = run.cells.length - 1;
  const epoch = state.cell.epoch === null ? last : Math.min(state.cell.epoch, last);
  const slider = byId("cell-epoch");
  slider.max = String(last);
  slider.value = String(epoch);
  const value = (name) => (run.curves[name] || [])[epoch];
  const percent = (name) => (isNumber(value(name)) ? `${(100 * value(name)).toFixed(2)} %` : "n/a");
  byId("cell-at").textContent = `${epoch} of ${last}`;
  slider.setAttribute("aria-valuetext", `epoch ${epoch} of ${last}, test error ${percent("test_error")}`);
  const cell = run.cells[epoch], drawing = byId("cell-drawing");
  drawing.replaceChildren();
  if (isNumber(cell)) drawCell(drawing, one.cells[cell], one.operations, data.drawing);
  showChanges(run, epoch);
  factList(byId("cell-facts"), [
    ["table's test error", percent("test_error")],
    ["table's validation error", percent("valid_error")],
    ["supernet's validation error", percent("supernet_valid_error")],
    ["spectral norm", isNumber(value("spectral_norm")) ? short(value("spectral_norm")) : ""],
    ["seconds of training", isNumber(run.seconds[epoch]) ? run.seconds[epoch].toFixed(1) : ""],
    ["cell", isNumber(cell) ? "" : "not recorded at this epoch"],
  ]);
}

/** A strip with a mark at each epoch whose cell is not that of the epoch before. */
function showChanges(run, epoch) {
  const changed = [...run.cells.keys()].filter((at) => at > 0 && run.cells[at] !== run.cells[at - 1]);
  const last = Math.max(1, run.cells.length - 1), wide = 1000;
  const strip = byId("cell-changes");
  strip.setAttribute("viewBox", `0 0 ${wide} 14`);
  strip.setAttribute("preserveAspectRatio", "none");
  const mark = (at, kind, width) => shape("rect", { class: kind, x: Math.min(wide - width, at / last * wide), y: 0, width, height: 14 });
  const text = `The derived cell changed ${counted(changed.length, "time")} in ${counted(run.cells.length - 1, "epoch")}` +
    (changed.length ? `, the last time at epoch ${changed[changed.length - 1]}.` : ".");
  strip.replaceChildren(shape("title", {}, text), shape("rect", { class: "track", x: 0, y: 0, width: wide, height: 14 }),
    ...changed.map((at) => mark(at, "change", 4)), mark(epoch, "at", 5));
  byId("cell-changes-text").textContent = text;
}

function listen() {
  byId("comparison").addEventListener("change", (event) => { state.comparison = event.target.value; show(); });
  for (const id of ["x-axis", "anytime-scale", "hessian-scale", "show-seeds", "show-bands", "hessian-quantity"]) {
    byId(id).addEventListener("change", () => { showCurves(); if (id === "x-axis") showTheory(); });
  }
  byId("show-all").addEventListener("click", () => hide([], current().methods.map((method) => method.name)));
  byId("hide-all").addEventListener("click", () => hide(current().methods.map((method) => method.name), []));
  byId("cell-method").addEventListener("change", (event) => { state.cell.method = event.target.value; showCellChoices(); });
  byId("cell-seed").addEventListener("change", (event) => { state.cell.seed = event.target.value; showCell(); });
  byId("cell-epoch").addEventListener("input", (event) => { state.cell.epoch = Number(event.target.value); showCell(); });
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
byId("show-bands").checked = Math.max(0, ...data.comparisons.map((one) => one.methods.length)) <= MOST_BANDS;
show();
if (document.documentElement.dataset.live === "yes") poll();
