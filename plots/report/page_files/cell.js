"use strict";
/* A cell as SVG. Places and bends are those of `plots/cell.py`, whose sizes come with the data, so that a cell looks the
   same here and on paper; a test holds both together. */

const UNIT = 100;

/** `[[x, y], ...]`: as far down as the longest path from the input is, side by side in a layer. */
function cellLayout(matrix, sizes) {
  const count = matrix.length;
  const layer = new Array(count).fill(0);
  for (let target = 0; target < count; target++) {
    for (let source = 0; source < target; source++) {
      if (matrix[source][target]) layer[target] = Math.max(layer[target], layer[source] + 1);
    }
  }
  layer[count - 1] = Math.max(...layer);
  const places = Array.from({ length: count }, () => [0, 0]);
  const meanX = (vertex) => {
    const above = [];
    for (let source = 0; source < vertex; source++) if (matrix[source][vertex]) above.push(places[source][0]);
    return above.length ? above.reduce((sum, x) => sum + x, 0) / above.length : 0;
  };
  for (let depth = 0; depth <= layer[count - 1]; depth++) {
    const vertices = [...layer.keys()].filter((vertex) => layer[vertex] === depth).map((vertex) => [meanX(vertex), vertex]);
    vertices.sort((one, other) => one[0] - other[0] || one[1] - other[1]);
    vertices.forEach(([, vertex], column) => {
      places[vertex] = [(column - (vertices.length - 1) / 2) * sizes.column_width, -depth * sizes.layer_height];
    });
  }
  return places;
}

/** `[source, target, control points]` of each edge; of the bends that touch no other vertex, the one that crosses least. */
function cellEdges(matrix, places, sizes) {
  const edges = [];
  for (let target = 0; target < matrix.length; target++) {
    for (let source = 0; source < target; source++) if (matrix[source][target]) edges.push([source, target]);
  }
  const drop = ([source, target]) => places[source][1] - places[target][1];
  edges.sort((one, other) => drop(one) - drop(other) || one[0] - other[0] || one[1] - other[1]);
  const drawn = [];
  for (const [source, target] of edges) {
    const others = places.filter((_, vertex) => vertex !== source && vertex !== target);
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
        best = { source, target, points, samples, cost };
      }
    }
    drawn.push(best);
  }
  return drawn;
}

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

/** The adjacency matrix of a cell as the data write it, `["0110...", [operations]]`. */
function cellMatrix([bits, operations]) {
  const count = operations.length;
  return Array.from({ length: count }, (_, row) => [...bits.slice(row * count, (row + 1) * count)].map(Number));
}

/** Draw a cell into an `svg` element, and say in words what is drawn. */
function drawCell(svg, cell, operations, sizes) {
  const names = cell[1].map((at) => operations[at]);
  const labels = names.map((name) => (Object.hasOwn(sizes.labels, name) ? sizes.labels[name] : name));
  const matrix = cellMatrix(cell);
  const places = cellLayout(matrix, sizes);
  const edges = cellEdges(matrix, places, sizes);
  const reach = [...edges.flatMap((edge) => edge.samples), ...places.flatMap(([x, y]) =>
    [[x - sizes.box_width / 2, y - sizes.box_height / 2], [x + sizes.box_width / 2, y + sizes.box_height / 2]])];
  const [left, right] = extent(reach.map(([x]) => x)), [low, high] = extent(reach.map(([, y]) => y));
  const margin = sizes.clearance;
  svg.setAttribute("viewBox", [left - margin, -high - margin, right - left + 2 * margin, high - low + 2 * margin]
    .map((value) => value * UNIT).join(" "));
  svg.replaceChildren(
    shape("title", {}, edges.map((edge) => `${labels[edge.source]} ${edge.source} to ${labels[edge.target]} ${edge.target}`).join("; ")),
    ...edges.flatMap((edge) => arrow(edge)),
    ...places.flatMap(([x, y], vertex) => box(x, y, labels[vertex], names[vertex], sizes)),
  );
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

function box(x, y, label, name, sizes) {
  const wide = sizes.box_width * UNIT, high = sizes.box_height * UNIT;
  const text = shape("text", { x: x * UNIT, y: -y * UNIT + 6 }, label);
  if (label.length > 9) filled(text, { textLength: 0.9 * wide, lengthAdjust: "spacingAndGlyphs" }, []);
  return [
    shape("rect", {
      class: "box", x: x * UNIT - wide / 2, y: -y * UNIT - high / 2, width: wide, height: high, rx: 8,
      fill: Object.hasOwn(sizes.colours, name) ? sizes.colours[name] : sizes.plain,
    }),
    text,
  ];
}

function extent(values) {
  return [Math.min(...values), Math.max(...values)];
}
