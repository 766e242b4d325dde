"use strict";
/* The derived cell of a chosen method, seed and epoch: its drawing, its numbers, and when it changed. */

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
  const epochs = one.epochs.slice(0, run.cells.length);
  // The slider moves over the epochs that the page shows; of one that it does not, to the shown one before it.
  const place = state.cell.epoch === null ? epochs.length - 1 : Math.max(0, epochs.filter((each) => each <= state.cell.epoch).length - 1);
  const epoch = epochs[place], last = run.epochs;
  const slider = byId("cell-epoch");
  slider.max = String(epochs.length - 1);
  slider.value = String(place);
  const value = (name) => (run.curves[name] || [])[place];
  const percent = (name) => (isNumber(value(name)) ? `${(100 * value(name)).toFixed(2)} %` : "n/a");
  byId("cell-at").textContent = `${epoch} of ${last}`;
  slider.setAttribute("aria-valuetext", `epoch ${epoch} of ${last}, test error ${percent("test_error")}`);
  const cell = run.cells[place], drawing = byId("cell-drawing");
  drawing.replaceChildren();
  if (isNumber(cell)) drawCells(drawing, cellGraphs(one.cells[cell], one.cell_labels), data.drawing);
  showChanges(run, epoch);
  factList(byId("cell-facts"), [
    ...quantitiesOf("facts").map(([name, quantity]) =>
      [quantity.label, isNumber(value(name)) ? shownValue(quantity, quantity.factor * value(name)) : quantity.is_error && one.judged ? "n/a" : ""]),
    ["seconds of training", isNumber(run.seconds[place]) ? run.seconds[place].toFixed(1) : ""],
    ["cell", isNumber(cell) ? "" : "not recorded at this epoch"],
  ]);
}

/** A strip with a mark at each epoch whose cell is not that of the epoch before; a thinned page brings their list. */
function showChanges(run, epoch) {
  const changed = run.changes || [...run.cells.keys()].filter((at) => at > 0 && run.cells[at] !== run.cells[at - 1]);
  const last = Math.max(1, run.epochs), wide = 1000;
  const strip = byId("cell-changes");
  strip.setAttribute("viewBox", `0 0 ${wide} 14`);
  strip.setAttribute("preserveAspectRatio", "none");
  const mark = (at, kind, width) => shape("rect", { class: kind, x: Math.min(wide - width, at / last * wide), y: 0, width, height: 14 });
  const text = `The derived cell changed ${counted(changed.length, "time")} in ${counted(run.epochs, "epoch")}` +
    (changed.length ? `, the last time at epoch ${changed[changed.length - 1]}.` : ".");
  strip.replaceChildren(shape("title", {}, text), shape("rect", { class: "track", x: 0, y: 0, width: wide, height: 14 }),
    ...changed.map((at) => mark(at, "change", 4)), mark(epoch, "at", 5));
  byId("cell-changes-text").textContent = text;
}
