"use strict";
/* What the charts draw: curves and bands of the methods shown, lines of reference, the theory's panels, and the notes below. */

const PAIR = "supernet_against_table";
const ALL_METHODS = "";

const charts = {};

/** `[name, quantity]` of what the catalogue shows in a panel. */
const quantitiesOf = (panel) => Object.entries(data.quantities).filter(([, quantity]) => quantity.panels.includes(panel));
/** The charts that say why a search decays: `[name, heading]`. */
const theoryCharts = () => [[PAIR, "Supernet against table"], ...quantitiesOf("theory").map(([name, { heading }]) => [name, heading])];
/** A value as a reader sees it, in percent where the quantity is. */
const shownValue = (quantity, value) => (quantity.percent ? `${value.toFixed(2)} %` : short(value));

/** Curves and bands of one quantity: each method's mean, and its seeds; or `only` one run. */
function curvesOf(quantity, { only = null, seeds = false, bands = false, dashes = null } = {}) {
  const { is_error: isError, factor } = data.quantities[quantity];
  const scaled = (values) => values.map((value) => (isNumber(value) ? value * factor : null));
  // As on the figures: an error that is missing breaks its line, unless its judge looks at some epochs only, as the
  // Hessian is measured at some.
  const look = (method) => ({ colour: shownColour(method.colour), dashes: dashes || method.dashes, quantity, join: !isError || current().joined, method, hover: true });
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
  // A column has a value for each epoch that the page shows, which are not all of them where there are many runs.
  const all = current().epochs;
  const places = [...values.keys()].filter((place) => all[place] >= first && (!seconds || isNumber(times[place])))
    // uPlot joins curves by x, which must rise; an epoch that took no time has no place of its own.
    .filter((place, at, kept) => !seconds || at === 0 || times[place] > times[kept[at - 1]]);
  return {
    epochs: places.map((place) => all[place]),
    x: places.map((place) => (seconds ? times[place] : all[place])),
    pick: (column) => places.map((place) => column[place]),
  };
}

const runKey = (method, run) => `${method.name}\n${run.seed}`;

/** What is the same for every chart. */
function specification(label, quantity, parts) {
  const style = getComputedStyle(document.documentElement);
  const { axis } = data.quantities[quantity];
  return {
    label, xLabel: chosen("x") === "seconds" ? "seconds of training" : "epoch", yLabel: axis,
    log: false, height: 320, bands: [], notes: [], empty: "No method is shown.", ratio: printing.now ? 2 : 1,
    ink: { muted: style.getPropertyValue("--muted").trim(), line: style.getPropertyValue("--line").trim() },
    describe: (curve, point) => {
      const at = chosen("x") === "seconds" ? `epoch ${curve.epochs[point]} (${curve.x[point].toFixed(1)} s)` : `epoch ${curve.epochs[point]}`;
      return `${curve.name}, ${at}: ${shownValue(data.quantities[curve.quantity], curve.y[point])}`;
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
    empty: !current().judged ? "These runs had no judge, so that there are no test errors."
      : shownMethods().length ? "No run has a test error yet." : "No method is shown.",
    notes: [...keys, ...notes(anytime.curves, chosen("anytime-y") === "log", seconds, "test_error")],
  }));
  state.hessian = offer(byId("hessian-quantity"), quantitiesOf("hessian").map(([name, { label }]) => [name, label]), byId("hessian-quantity").value || state.hessian);
  const quantity = state.hessian;
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
  const low = xs.reduce((least, x) => Math.min(least, x), Infinity), high = xs.reduce((most, x) => Math.max(most, x), -Infinity);
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

/** Make room for the charts of a section, `[name, heading]` each, where they are not there already. */
function placeCharts(section, wanted) {
  const panels = byId(`${section}-panels`);
  const there = [...panels.querySelectorAll(".chart")].map((host) => host.id);
  if (there.join() === wanted.map(([name]) => `${section}-${name}`).join()) return;
  for (const id of there) delete charts[id];
  panels.replaceChildren(...wanted.map(([name, heading]) => element("figure", { class: "card", "aria-labelledby": `${section}-${name}-heading` },
    element("h3", { id: `${section}-${name}-heading` }, heading), element("div", { class: "chart", id: `${section}-${name}` }))));
}

function showTheoryChoices() {
  const runs = current().methods.flatMap((method) => method.runs.map((run) => [runKey(method, run), `${method.label}, seed ${run.seed}`]));
  state.theory = offer(byId("theory-run"), [[ALL_METHODS, "means of the methods shown"], ...runs], state.theory);
  showTheory();
}

function showTheory() {
  const only = state.theory === ALL_METHODS ? null : state.theory;
  const muted = getComputedStyle(document.documentElement).getPropertyValue("--muted").trim();
  placeCharts("theory", theoryCharts());
  for (const [name, title] of theoryCharts()) {
    const pair = name === PAIR;
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

/** A chart for each quantity that has no other place: what probes of other packages record. */
function showFurther() {
  const further = quantitiesOf("further").filter(([name]) => current().methods.some((method) => method.means[name]));
  byId("further").hidden = !further.length;
  document.querySelector('a[href="#further"]').hidden = !further.length;
  placeCharts("further", further.map(([name, { heading }]) => [name, heading]));
  const options = { seeds: byId("show-seeds").checked, bands: byId("show-bands").checked };
  for (const [name, quantity] of further) {
    const { curves, bands } = curvesOf(name, options);
    const positive = curves.every((curve) => curve.y.every((value) => !isNumber(value) || value > 0));
    chart(`further-${name}`).draw(specification(quantity.heading, name, {
      curves, bands, height: 220, log: quantity.logarithmic && positive,
      notes: [element("span", {}, quantity.meaning)], empty: "No method shown has it.",
    }));
  }
}
