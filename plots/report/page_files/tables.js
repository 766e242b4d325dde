"use strict";
/* Tables and lists: facts, the sortable summary, statistics with their caveats, raw lines, environment. Numbers are those
   of `harness.compare`; nothing is computed here but half an interval. */

/** A table of a caption that is read out, a head and rows; a cell is text or an element. */
function fillTable(table, caption, head, rows, textColumns = new Set()) {
  const cell = (value, column) => element("td", { class: textColumns.has(column) ? "text" : null }, value);
  refill(
    table,
    element("caption", { class: "hidden" }, caption),
    element("thead", {}, element("tr", {}, ...head.map((one) => (one instanceof Element ? one : element("th", { scope: "col" }, one))))),
    element("tbody", {}, ...rows.map(([first, ...others]) =>
      element("tr", {}, element("th", { scope: "row" }, first), ...others.map((value, at) => cell(value, at + 1))))),
  );
}

function scrollable(label, table) {
  const scroller = element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, table);
  const host = element("div", {}, scroller);
  sayWhatIsFurtherRight(scroller);
  return host;
}

/** Above a table that is wider than its place: how many of its columns are further right. */
function sayWhatIsFurtherRight(scroller) {
  const cue = element("p", { class: "cue", hidden: true });
  scroller.before(cue);
  const say = () => {
    const more = scroller.scrollWidth - scroller.clientWidth - scroller.scrollLeft > 1;
    const edge = scroller.getBoundingClientRect().right + 1;
    const heads = [...scroller.querySelectorAll("thead th")];
    const beyond = heads.filter((head) => head.getBoundingClientRect().right > edge).length;
    scroller.classList.toggle("more", more);
    cue.hidden = !more;
    cue.textContent = `${beyond} of ${counted(heads.length, "column")} ${beyond === 1 ? "is" : "are"} further right: scroll the table sideways.`;
  };
  scroller.addEventListener("scroll", say, { passive: true });
  const watcher = new ResizeObserver(say);
  watcher.observe(scroller);
  for (const child of scroller.children) watcher.observe(child);
}

function factList(host, facts) {
  refill(host, ...facts.filter(([, text]) => text !== "" && text !== null).flatMap(([name, text]) =>
    [element("dt", {}, name), element("dd", {}, text)]));
}

/** A method's name beside a piece of its line. */
function methodName(method) {
  return element("span", { class: "named" }, swatch(shownColour(method.colour), method.dashes), element("span", {}, method.label));
}

/** The columns of the summary: what each shows of a method, and what it is sorted by. */
function summaryColumns(data, block) {
  const metric = data.measures[data.metric];
  const of = (name) => (row) => (row.summary ? row.summary.measures[name] : null);
  const shown = (get) => (row) => { const one = get(row); return one && one.n ? one : null; };
  const main = shown(of(data.metric));
  const column = (key, label, value, text) => ({ key, label, value, text: (row) => (value(row) === null ? "–" : text(row)) });
  const columns = [
    { key: "method", label: "method", value: (row) => row.position, text: (row) => methodName(row.method) },
    column("n", "n", (row) => (main(row) ? main(row).n : null), (row) => String(main(row).n)),
    column("mean", `${metric.label} (${metric.unit})`, (row) => main(row) && main(row).mean.value, (row) => withHalf(main(row), metric)),
    column("median", "median", (row) => main(row) && main(row).median, (row) => measured(main(row).median, metric)),
    column("iqm", "IQ mean", (row) => main(row) && main(row).interquartile_mean.value,
      (row) => (main(row).approximate ? "~" : "") + measured(main(row).interquartile_mean.value, metric)),
  ];
  for (const [name, measure] of Object.entries(data.measures)) {
    if (name === data.metric || !block.methods.some((method) => method.measures[name].n)) continue;
    const get = shown(of(name));
    columns.push(column(name, `${measure.label} (${measure.unit})`, (row) => get(row) && get(row).mean.value, (row) => withHalf(get(row), measure)));
  }
  return columns;
}

/** Rows in order of a column; a row without a value comes last, whichever way. */
function sorted(rows, column, ascending) {
  const sign = ascending ? 1 : -1;
  const key = (row) => (isNumber(column.value(row)) ? column.value(row) : null);
  return [...rows].sort((one, other) => {
    const a = key(one), b = key(other);
    if (a === null || b === null) return (a === null) - (b === null) || one.position - other.position;
    return sign * (a - b) || one.position - other.position;
  });
}

function fillSummary(table, data, comparison, sort, onSort) {
  const block = comparison.block || { methods: [] };
  const summaries = new Map(block.methods.map((method) => [method.name, method]));
  const columns = summaryColumns(data, block);
  const chosen = columns.find((column) => column.key === sort.key) || columns[0];
  const rows = comparison.methods.map((method, position) => ({ method, position, summary: summaries.get(method.name) || null }));
  const head = columns.map((column) => element(
    "th",
    { scope: "col", "aria-sort": column === chosen ? (sort.ascending ? "ascending" : "descending") : null },
    pressed(element("button", { type: "button", "data-key": `sort ${column.key}` }, column.label), () => onSort(column.key)),
  ));
  fillTable(table, "Measures of each method, finished runs", head,
    sorted(rows, chosen, sort.ascending).map((row) => columns.map((column) => column.text(row))));
}

/** A button with what it does, and what it does when pressed twice. */
function pressed(button, action, twice = null) {
  button.addEventListener("click", action);
  if (twice) button.addEventListener("dblclick", twice);
  return button;
}

function fillStatistics(host, data, comparison) {
  const block = comparison.block;
  if (!block) {
    refill(host, element("p", {}, "No run here is finished, so there is nothing to judge yet."));
    return;
  }
  const metric = data.measures[data.metric];
  refill(
    host,
    element("h3", {}, `${metric.label} (${metric.unit}) by seed`),
    scrollable("Values by seed", seedTable(block, comparison, data.metric, metric)),
    ...testParts(block, comparison, metric),
    element("h3", {}, "Caveats"),
    element("ul", { class: "caveats" }, ...block.caveats.map((text) => element("li", {}, text))),
  );
}

function seedTable(block, comparison, name, metric) {
  const seeds = [...new Set(block.methods.flatMap((method) => method.seeds))].sort((one, other) => one - other);
  const table = element("table");
  fillTable(table, "Values by seed", ["method", ...seeds.map((seed) => `seed ${seed}`), "95 % t-interval", "95 % bootstrap of the IQ mean"],
    block.methods.map((method) => {
      const summary = method.measures[name];
      const show = (value) => measured(value, metric);
      return [labelled(comparison, method.name),
        ...seeds.map((seed) => (seed in summary.by_seed ? show(summary.by_seed[seed]) : "")),
        interval(summary.mean, show), interval(summary.interquartile_mean, show)];
    }));
  return table;
}

function testParts(block, comparison, metric) {
  const { tests, why_none: whyNone } = block.family;
  if (!tests.length) return [element("h3", {}, "Tests"), element("p", {}, `No test: ${whyNone}.`)];
  const table = element("table");
  const name = (method) => (comparison.methods.find((one) => one.name === method) || { label: method }).label;
  fillTable(table, block.tests_heading, ["first − second", "difference", "Cliff's delta", "95 %", "U", "p", "p (Holm)", "at .05"],
    tests.map((test) => [
      `${name(test.first)} − ${name(test.second)}`,
      (test.difference >= 0 ? "+" : "") + measured(test.difference, metric),
      signed(test.delta.value), interval(test.delta, signed), short(test.u), probability(test.p), probability(test.holm_p),
      element("span", { class: test.significant ? "verdict" : null }, test.significant ? "significant" : "not significant"),
    ]), new Set([7]));
  return [
    element("h3", {}, "Tests"),
    element("p", {}, `${block.tests_heading}. Below 0: the first is lower, which is better.`),
    scrollable("Tests", table),
    element("p", {}, block.power),
  ];
}

function labelled(comparison, name) {
  const method = comparison.methods.find((one) => one.name === name);
  return method ? methodName(method) : name;
}

/** Ranks and means over the spaces of a benchmark. */
function fillOverall(host, data) {
  const metric = data.measures[data.metric];
  const show = (value) => measured(value, metric);
  const parts = data.overall.filter((one) => one.ranks || Object.keys(one.interquartile_means).length).flatMap((one) => {
    const means = one.interquartile_means;
    const withMeans = Object.keys(means).length > 0;
    const table = element("table");
    const label = one.place;
    const order = [...one.methods.keys()];
    if (one.ranks) order.sort((a, b) => one.ranks.means[a] - one.ranks.means[b]);
    const rows = order.map((at) => [one.methods[at], at]).map(([name, at]) => [
      labelled({ methods: data.comparisons.flatMap((each) => each.methods) }, name), ...(one.ranks ? [one.ranks.means[at].toFixed(2)] : []),
      ...(withMeans ? [(one.approximate ? "~" : "") + show(means[name].value), interval(means[name], show)] : [])]);
    fillTable(table, label, ["method", ...(one.ranks ? ["average rank"] : []), ...(withMeans ? [`IQ mean (${metric.unit})`, "95 % bootstrap"] : [])], rows);
    return [
      element("h3", {}, `Ranks: ${label}`), scrollable(label, table), element("p", {}, one.ranks_text),
      element("ul", { class: "caveats" }, ...one.caveats.map((text) => element("li", {}, text))),
    ];
  });
  refill(host, ...parts);
}

function fillRaw(table, data, comparison) {
  const metric = data.measures[data.metric];
  const summaries = new Map((comparison.block ? comparison.block.methods : []).map((method) => [method.name, method]));
  const final = (method, run) => {
    const summary = summaries.get(method.name);
    const value = summary ? summary.measures[data.metric].by_seed[run.seed] : null;
    return isNumber(value) ? measured(value, metric) : "–";
  };
  fillTable(table, "Every run, with its raw lines", ["method", "seed", "epochs", "state", `${metric.label} (${metric.unit})`, "machine", "raw lines"],
    comparison.methods.flatMap((method) => method.runs.map((run) => [
      methodName(method), String(run.seed), `${run.epochs === null ? 0 : run.epochs} of ${run.asked}`,
      run.finished ? "finished" : "unfinished", final(method, run), run.machine,
      element("a", { href: run.lines }, "epochs.jsonl", element("span", { class: "hidden" }, ` of ${method.label}, seed ${run.seed}`)),
    ])), new Set([3, 5, 6]));
}

function fillEnvironments(host, environments) {
  refill(host, ...environments.map((one, at) => {
    const facts = element("dl", { class: "facts" });
    factList(facts, [...Object.entries(one.facts), ["started", one.first === one.last ? one.first : `${one.first} to ${one.last}`]]);
    const commands = element("details", { "data-key": `commands ${at}` }, element("summary", {}, counted(one.commands.length, "command")),
      ...one.commands.map((command) => element("p", {}, element("code", {}, command))));
    return element("div", {}, element("h3", {}, one.runs), facts, one.commands.length ? commands : null);
  }));
}

function fillSettings(host, comparison) {
  const { shared, differing } = comparison.settings;
  const names = Object.keys(differing);
  const methods = comparison.methods;
  const parts = [element("h3", {}, "Settings in which methods differ")];
  if (names.length) {
    const table = element("table");
    fillTable(table, "Settings in which methods differ", ["setting", ...methods.map((method) => method.label)],
      names.map((name) => [name, ...methods.map((method) => (method.name in differing[name] ? differing[name][method.name] : ""))]));
    parts.push(scrollable("Settings in which methods differ", table));
  } else parts.push(element("p", {}, "None."));
  const facts = element("dl", { class: "facts" });
  factList(facts, Object.entries(shared));
  parts.push(element("details", {}, element("summary", {}, counted(Object.keys(shared).length, "setting") + " that all methods share"), facts));
  refill(host, ...parts);
}

function fillLeftOut(host, leftOut) {
  if (!leftOut.length) return refill(host, element("p", {}, "Nothing."));
  const table = element("table");
  fillTable(table, "Folders left out", ["folder", "reason"], leftOut.map((one) => [one.path, one.reason]), new Set([1]));
  return refill(host, scrollable("Folders left out", table));
}
