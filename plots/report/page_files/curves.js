"use strict";
/* What the charts draw: curves and bands of the methods shown, lines of reference, the theory's panels, and the notes below. */

const THEORY = [
  ["supernet_against_table", "Supernet against table"],
  ["lambda_max", "λ max of the Hessian"],
  ["trace", "Trace of the Hessian"],
  ["projection_gap", "Projection gap"],
  ["bound", "Bound C"],
  ["entropy", "Entropy of the mixture"],
];
const ALL_METHODS = "";

const charts = {};

/** Curves and bands of one quantity: each method's mean, and its seeds; or `only` one run. */
function curvesOf(quantity, { only = null, seeds = false, bands = false, dashes = null } = {}) {
  const isError = data.quantities[quantity].is_error;
  const scaled = (values) => values.map((value) => (isNumber(value) ? value * (isError ? 100 : 1) : null));
  // As on the figures: an error that is missing breaks its line; the Hessian is measured at some epochs only.
  const look = (method) => ({ colour: shownColour(method.colour), dashes: dashes || method.dashes, quantity, join: !isError, method, hover: true });
  const single = (method, run, rest) => {
    const { epochs, x, pick } = alongAxis(run.curves[quantity], run.seconds, quantity);
    return { ...look(method), epochs, x, y: pick(scaled(run.curves[quantity])), name: `${method.label}, seed ${run.seed}`, ...rest };
  };
  const faint = { dashes: [], width: 0.8, alpha: runsOf(current()).length <= 12 ? 0.5 : 0.3 };
  const found = { curves: [], bands: [] };
  for (const method of shownMethods()) {
    const runs = method.runs.filter((run) => quantity in run.curves);
    if (only) {
      found.curves.push(...runs.filter((run) => runKey(method, run) === only).map((run) => single(method, run, { width: 2, alpha: 1 })));
      continue;
    }
    if (seeds && method.runs.length > 1) found.curves.push(...runs.map((run) => single(method, run, faint)));
    const mean = method.means[quantity];
    if (!mean) continue;
    const { epochs, x, pick } = alongAxis(mean.mean, method.mean_seconds, quantity);
    const name = method.runs.length > 1 ? `${method.label}, mean of ${mean.seeds}` : `${method.label}, seed ${method.runs[0].seed}`;
    found.curves.push({ ...look(method), epochs, x, y: pick(scaled(mean.mean)), name, width: 2, alpha: 1 });
    if (bands && mean.band) found.bands.push({ x, low: pick(scaled(mean.low)), high: pick(scaled(mean.high)), colour: shownColour(method.colour) });
  }
  found.curves.sort((one, other) => one.width - other.width);
  return found;
}

/** The epochs that can stand on the horizontal axis, where they stand, and what picks a column's values at them. */
function alongAxis(values, times, quantity) {
  const seconds = chosen("x") === "seconds";
  const { first } = data.quantities[quantity];
  const epochs = [...values.keys()].filter((epoch) => epoch >= first && (!seconds || isNumber(times[epoch])))
    // uPlot joins curves by x, which must rise; an epoch that took no time has no place of its own.
    .filter((epoch, at, all) => !seconds || at === 0 || times[epoch] > times[all[at - 1]]);
  return { epochs, x: epochs.map((epoch) => (seconds ? times[epoch] : epoch)), pick: (column) => epochs.map((epoch) => column[epoch]) };
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
