"use strict";
/* A cell as SVG: a graph { title, nodes: [label], edges: [[from, to, label]] }. Places, bends and labels are those of
   `plots/drawing/cell.py`, whose sizes come with the data, so that a cell looks the same here and on paper; a test holds
   both together. */

const UNIT = 100;

/** Whether the operations are on the edges rather than in the nodes. */
const isLabelled = (graph) => graph.edges.some(([, , label]) => label);

/** `[[x, y], ...]`: as far down as the longest path from an input is, side by side in a layer. */
function cellLayout(graph, sizes) {
  const count = graph.nodes.length;
  const [height, width] = isLabelled(graph)
    ? [sizes.labelled_layer_height, sizes.labelled_column_width] : [sizes.layer_height, sizes.column_width];
  const sources = (target) => [...new Set(graph.edges.filter((edge) => edge[1] === target).map(([source]) => source))].sort((one, other) => one - other);
  const layer = new Array(count).fill(0);
  for (let target = 0; target < count; target++) {
    for (const source of sources(target)) layer[target] = Math.max(layer[target], layer[source] + 1);
  }
  layer[count - 1] = Math.max(...layer);
  const places = Array.from({ length: count }, () => [0, 0]);
  const meanX = (node) => {
    const above = sources(node).map((source) => places[source][0]);
    return above.length ? above.reduce((sum, x) => sum + x, 0) / above.length : 0;
  };
  for (let depth = 0; depth <= layer[count - 1]; depth++) {
    const nodes = [...layer.keys()].filter((node) => layer[node] === depth).map((node) => [meanX(node), node]);
    nodes.sort((one, other) => one[0] - other[0] || one[1] - other[1]);
    nodes.forEach(([, node], column) => {
      places[node] = [(column - (nodes.length - 1) / 2) * width, -depth * height];
    });
  }
  return places;
}

/** Ends, label and control points of each edge; of the bends that touch no other node, the one that crosses least. */
function cellEdges(graph, places, sizes) {
  const drop = ([source, target]) => places[source][1] - places[target][1];
  const edges = [...graph.edges].sort((one, other) => drop(one) - drop(other) || one[0] - other[0] || one[1] - other[1]);
  const drawn = [];
  for (const [source, target, label] of edges) {
    const others = places.filter((_, node) => node !== source && node !== target);
    let best = null;
    for (const bend of sizes.bends) {
      const points = edgeCurve(places[source], places[target], bend, sizes);
      const samples = sampled(points);
      const crossings = drawn.filter((edge) => {
        const shares = [source, target].some((end) => edge.source === end || edge.target === end);
        return meets(samples, edge.samples, shares);
      }).length;
      const cost = [touches(samples, others, sizes), crossings];
      if (!best || cost[0] < best.cost[0] || (cost[0] === best.cost[0] && cost[1] < best.cost[1])) {
        best = { source, target, label, points, samples, cost };
      }
    }
    drawn.push(best);
  }
  return drawn;
}

/** `[label, [x, y], width]` of each edge that has one: on its edge, over as little else as possible. */
function cellLabels(edges, places, sizes) {
  const labels = [];
  for (const { label, samples } of edges) {
    if (!label) continue;
    const width = sizes.label_letter * shownLabel(label, sizes).length;
    let best = null;
    for (const place of sizes.label_places) {
      const [x, y] = samples[place];
      const covered = labels.filter(([, [left, top], its]) => Math.abs(x - left) < (width + its) / 2 && Math.abs(y - top) < sizes.label_height).length +
        places.filter(([left, top]) => Math.abs(x - left) < (width + sizes.box_width) / 2 && Math.abs(y - top) < (sizes.label_height + sizes.box_height) / 2).length;
      if (!best || covered < best.covered) best = { covered, at: [x, y] };
    }
    labels.push([label, best.at, width]);
  }
  return labels;
}

const shownLabel = (label, sizes) => (Object.hasOwn(sizes.labels, label) ? sizes.labels[label] : label);
const shownFill = (label, sizes, otherwise) => (Object.hasOwn(sizes.colours, label) ? sizes.colours[label] : otherwise);

function edgeCurve(start, end, bend, sizes) {
  const side = Math.sign(bend) * sizes.box_width / 4;
  const first = [start[0] + side, start[1] - sizes.box_height / 2];
  const last = [end[0] + side, end[1] + sizes.box_height / 2];
  const push = bend / 0.75;
  const between = (share) => [first[0] + (last[0] - first[0]) * share + push, first[1] + (last[1] - first[1]) * share];
  return [first, between(0.2), between(0.8), last];
}

function sampled([a, b, c, d]) {
  return Array.from({ length: 25 }, (_, at) => {
    const t = at / 24, s = 1 - t;
    return [0, 1].map((axis) => s ** 3 * a[axis] + 3 * s ** 2 * t * b[axis] + 3 * s * t ** 2 * c[axis] + t ** 3 * d[axis]);
  });
}

function touches(samples, others, sizes) {
  const wide = sizes.box_width / 2 + sizes.clearance, high = sizes.box_height / 2 + sizes.clearance / 2;
  return others.filter(([x, y]) => samples.some((at) => Math.abs(at[0] - x) < wide && Math.abs(at[1] - y) < high)).length;
}

function meets(samples, others, shareAnEnd) {
  const points = shareAnEnd ? samples.slice(8, 17) : samples;
  const limit = shareAnEnd ? 0.2 : 0.06;
  return points.some((one) => others.some((other) => Math.abs(one[0] - other[0]) + Math.abs(one[1] - other[1]) < limit));
}

/** The graphs of an architecture as the data write it, `[[title, [labels], [[from, to, label]]], ...]`. */
function cellGraphs(architecture, labels) {
  return architecture.map(([title, nodes, edges]) => ({
    title, nodes: nodes.map((at) => labels[at]), edges: edges.map(([source, target, at]) => [source, target, labels[at]]),
  }));
}

/** Draw the graphs of an architecture side by side into an `svg` element, and say in words what is drawn. */
function drawCells(svg, graphs, sizes) {
  const words = [], parts = [];
  let left = 0, high = -Infinity, low = Infinity;
  for (const graph of graphs) {
    const places = cellLayout(graph, sizes);
    const edges = cellEdges(graph, places, sizes);
    const labels = cellLabels(edges, places, sizes);
    const reach = [...edges.flatMap((edge) => edge.samples), ...labels.flatMap(([, [x, y], width]) => [[x - width / 2, y], [x + width / 2, y]]), ...places.flatMap(([x, y]) =>
      [[x - sizes.box_width / 2, y - sizes.box_height / 2], [x + sizes.box_width / 2, y + sizes.box_height / 2]])];
    const [start, end] = extent(reach.map(([x]) => x)), [bottom, top] = extent(reach.map(([, y]) => y));
    const name = (node) => `${shownLabel(graph.nodes[node], sizes)} ${node}`;
    words.push((graph.title ? `${graph.title}: ` : "") + edges.map((edge) =>
      `${name(edge.source)} to ${name(edge.target)}${edge.label ? ` by ${shownLabel(edge.label, sizes)}` : ""}`).join("; "));
    parts.push(shape("g", { transform: `translate(${(left - start) * UNIT} 0)` },
      ...(graph.title ? [shape("text", { class: "kind", x: (start + end) / 2 * UNIT, y: -(top + 0.15) * UNIT }, graph.title)] : []),
      ...edges.flatMap((edge) => arrow(edge)),
      ...places.flatMap(([x, y], node) => box(x, y, graph.nodes[node], sizes)),
      ...labels.flatMap(([label, [x, y], width]) => edgeLabel(label, x, y, width, sizes)),
    ));
    left += end - start + sizes.column_width / 2;
    high = Math.max(high, top + (graph.title ? 0.4 : 0));
    low = Math.min(low, bottom);
  }
  const margin = sizes.clearance;
  svg.setAttribute("viewBox", [-margin, -high - margin, left - sizes.column_width / 2 + 2 * margin, high - low + 2 * margin]
    .map((value) => value * UNIT).join(" "));
  svg.replaceChildren(shape("title", {}, words.join(". ")), ...parts);
}

function arrow({ points, source, target }) {
  const [a, b, c, d] = points.map(([x, y]) => [x * UNIT, -y * UNIT]);
  const angle = Math.atan2(d[1] - c[1], d[0] - c[0]);
  const turned = (back, side) => [
    d[0] - back * Math.cos(angle) - side * Math.sin(angle), d[1] - back * Math.sin(angle) + side * Math.cos(angle)].join(" ");
  return [
    shape("path", { d: `M${a.join(" ")} C${b.join(" ")} ${c.join(" ")} ${turned(5, 0)}`, "data-edge": `${source} ${target}` }),
    shape("path", { class: "head", d: `M${d.join(" ")} L${turned(9, 3.6)} L${turned(9, -3.6)} Z` }),
  ];
}

function box(x, y, name, sizes) {
  const wide = sizes.box_width * UNIT, high = sizes.box_height * UNIT;
  const label = shownLabel(name, sizes);
  const text = shape("text", { x: x * UNIT, y: -y * UNIT + 6 }, label);
  if (label.length > 9) filled(text, { textLength: 0.9 * wide, lengthAdjust: "spacingAndGlyphs" }, []);
  return [
    shape("rect", {
      class: "box", x: x * UNIT - wide / 2, y: -y * UNIT - high / 2, width: wide, height: high, rx: 8,
      fill: shownFill(name, sizes, sizes.plain),
    }),
    text,
  ];
}

function edgeLabel(name, x, y, width, sizes) {
  const wide = width * UNIT, high = sizes.label_height * UNIT;
  return [
    shape("rect", { class: "box", x: x * UNIT - wide / 2, y: -y * UNIT - high / 2, width: wide, height: high, fill: shownFill(name, sizes, "#ffffff") }),
    shape("text", { class: "small", x: x * UNIT, y: -y * UNIT + 5, textLength: 0.9 * wide, lengthAdjust: "spacingAndGlyphs" }, shownLabel(name, sizes)),
  ];
}

function extent(values) {
  return [Math.min(...values), Math.max(...values)];
}
