"use strict";
/* One chart: uPlot draws curves, bands and axes; ours are the hover over single curves, the same by keyboard, and the
   words below. A chart is rebuilt whenever what it shows changes, which takes milliseconds. */

const SYNC = "one cursor for all charts";

class Chart {
  constructor(host) {
    this.host = host;
    this.specification = null;
    this.plot = null;
    this.chosen = null;
    this.inside = false;
    this.area = element("div", { class: "plot", tabindex: 0, role: "application", "aria-roledescription": "chart" });
    this.readout = element("p", { class: "readout", "aria-live": "polite" });
    this.note = element("div", { class: "note" });
    this.empty = element("p", { class: "empty", hidden: true });
    host.replaceChildren(this.area, this.empty, this.readout, this.note);
    this.area.addEventListener("keydown", (event) => this.onKey(event));
    this.area.addEventListener("blur", () => this.clear());
    this.width = 0;
    new ResizeObserver(() => {
      if (this.specification && host.clientWidth && host.clientWidth !== this.width) this.draw(this.specification);
    }).observe(host);
  }

  /**
   * Show something else.
   *
   * specification: { label, xLabel, yLabel, log, height, curves, bands, notes, empty, ink, describe, ratio }
   *   curves: { name, x, y, epochs, colour, dashes, width, alpha, hover, join }; y holds null where there is no value
   *   bands: { x, low, high, colour }
   *   ratio: how many times its size it is drawn, for paper; the style sheet shrinks it
   *   describe(curve, point): what is at a point, in words
   */
  draw(specification) {
    this.specification = specification;
    if (this.plot) this.plot.destroy();
    this.plot = null;
    this.dot = this.tip = null;
    this.area.replaceChildren();
    const { curves, notes, empty } = specification;
    const nothing = !curves.some((curve) => curve.hover && curve.y.some(isNumber));
    this.area.hidden = nothing;
    this.readout.hidden = nothing;
    this.empty.hidden = !nothing;
    this.empty.textContent = nothing ? empty : "";
    this.note.replaceChildren(...notes);
    if (nothing) {
      this.chosen = null;
      return;
    }
    this.area.setAttribute("aria-label", `${specification.label}. Left and right arrows move along a curve, up and down to another.`);
    this.width = this.host.clientWidth;
    this.build();
    this.restore();
  }

  build() {
    const specification = this.specification;
    const { log, bands, ratio } = specification;
    const shown = (values) => (log ? values.map((value) => (isNumber(value) && value > 0 ? value : null)) : values);
    const curves = specification.curves.map((curve) => ({ ...curve, y: shown(curve.y) }));
    this.range = axisRange([...curves.map((curve) => curve.y), ...bands.flatMap((band) => [shown(band.low), shown(band.high)])], log);
    const clipped = (values) => values.map((value) => (isNumber(value) ? Math.max(value, this.range[0]) : null));
    const tables = bands.flatMap((band) => [[band.x, clipped(band.low)], [band.x, clipped(band.high)]]);
    tables.push(...curves.map((curve) => [curve.x, curve.y]));
    const invisible = { width: 0, stroke: "transparent", points: { show: false }, spanGaps: true };
    const series = [{}, ...bands.flatMap(() => [invisible, invisible]), ...curves.map((curve, at) => ({
      stroke: () => faded(curve.colour, this.chosen && this.chosen.at === at ? 1 : curve.alpha),
      width: curve.width * ratio,
      dash: curve.dashes.map((dash) => dash * curve.width * ratio),
      spanGaps: curve.join,
      points: { show: curve.y.filter(isNumber).length === 1, size: 7 * ratio, fill: curve.colour },
    }))];
    this.curves = curves;
    this.firstCurve = 1 + 2 * bands.length;
    const ink = specification.ink;
    const font = (size) => `${size * ratio}px system-ui, sans-serif`;
    const axis = { stroke: ink.muted, font: font(12), labelFont: font(13), labelSize: 22 * ratio, gap: 5 * ratio, space: 50 * ratio };
    const lines = { stroke: ink.line, width: ratio };
    this.plot = new uPlot({
      width: this.width * ratio,
      height: specification.height * ratio,
      pxAlign: false,
      legend: { show: false },
      focus: { alpha: 0.25 },
      padding: [10 * ratio, 12 * ratio, 0, 0],
      scales: { x: { time: false, range: xRange(curves) }, y: { distr: log ? 3 : 1, range: this.range } },
      axes: [
        { ...axis, label: specification.xLabel, size: 32 * ratio, grid: { ...lines, show: false }, ticks: { ...lines, size: 5 * ratio } },
        {
          ...axis, label: specification.yLabel, size: 52 * ratio, space: 30 * ratio, grid: lines, ticks: { ...lines, show: false },
          values: (_, splits) => splits.map((value) => (value === null ? "" : String(Number(value.toPrecision(6))))),
          ...(log ? { splits: (_, __, low, high) => logTicks(low, high), filter: (_, splits) => splits } : {}),
        },
      ],
      series,
      bands: bands.map((band, at) => ({ series: [2 * at + 2, 2 * at + 1], fill: faded(band.colour, 0.15) })),
      cursor: {
        y: false, points: { show: false }, drag: { x: false, y: false }, focus: { prox: -1 },
        sync: { key: SYNC, scales: ["x", null] },
      },
      hooks: { setCursor: [(plot) => this.onCursor(plot)] },
    }, uPlot.join(tables), this.area);
    this.plot.over.addEventListener("mouseenter", () => { this.inside = true; });
    this.plot.over.addEventListener("mouseleave", () => { this.inside = false; this.clear(); });
    this.dot = element("div", { class: "dot", hidden: true });
    this.tip = element("div", { class: "tip", hidden: true });
    this.plot.over.append(this.dot, this.tip);
  }

  /** The curve and point nearest to the pointer, within 30 pixels. */
  onCursor(plot) {
    if (!this.inside || plot !== this.plot) return;
    const { left, top } = plot.cursor;
    if (left < 0) return;
    let nearest = 30 ** 2, found = null;
    this.curves.forEach((curve, at) => {
      if (!curve.hover) return;
      for (let point = 0; point < curve.x.length; point++) {
        if (!isNumber(curve.y[point])) continue;
        const away = plot.valToPos(curve.x[point], "x") - left;
        if (away * away >= nearest) continue;
        const distance = away * away + (plot.valToPos(curve.y[point], "y") - top) ** 2;
        if (distance < nearest) [nearest, found] = [distance, { at, point }];
      }
    });
    if (found) this.choose(found.at, found.point);
    else this.clear();
  }

  choose(at, point) {
    const curve = this.curves[at];
    const refocus = !this.chosen || this.chosen.at !== at;
    if (refocus && this.chosen) this.emphasise(this.chosen.at, false);
    this.chosen = { at, point, name: curve.name, epoch: curve.epochs[point] };
    if (refocus) {
      this.emphasise(at, true);
      this.plot.setSeries(this.firstCurve + at, { focus: true });
    }
    const left = this.plot.valToPos(curve.x[point], "x"), top = this.plot.valToPos(curve.y[point], "y");
    const text = this.specification.describe(curve, point);
    this.readout.textContent = text;
    this.tip.textContent = text;
    this.dot.hidden = this.tip.hidden = false;
    Object.assign(this.dot.style, { left: `${left}px`, top: `${top}px`, background: curve.colour });
    const before = left > this.plot.over.clientWidth / 2;
    Object.assign(this.tip.style, {
      left: before ? "" : `${left + 10}px`,
      right: before ? `${this.plot.over.clientWidth - left + 10}px` : "",
      top: `${Math.max(0, top - 34)}px`,
    });
  }

  clear() {
    if (!this.chosen) return;
    if (this.plot) this.emphasise(this.chosen.at, false);
    this.chosen = null;
    this.readout.textContent = "";
    if (!this.plot) return;
    this.dot.hidden = this.tip.hidden = true;
    this.plot.setSeries(null, { focus: true });
  }

  /** A single seed's line is thin and faint; while it is read it is as strong as a mean. */
  emphasise(at, strong) {
    const { width } = this.curves[at];
    this.plot.series[this.firstCurve + at].width = this.specification.ratio * (strong ? Math.max(2, width) : width);
  }

  /** After a rebuild: the point that was chosen, where its curve is still drawn. */
  restore() {
    const chosen = this.chosen;
    this.chosen = null;
    const at = chosen ? this.curves.findIndex((curve) => curve.name === chosen.name) : -1;
    const point = at < 0 ? -1 : this.curves[at].epochs.indexOf(chosen.epoch);
    if (point >= 0 && isNumber(this.curves[at].y[point])) this.choose(at, point);
    else this.readout.textContent = "";
  }

  onKey(event) {
    const moves = { ArrowLeft: -1, ArrowRight: 1, PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity };
    const others = { ArrowUp: -1, ArrowDown: 1 };
    if (event.key === "Escape") return this.clear();
    if (!(event.key in moves) && !(event.key in others)) return undefined;
    event.preventDefault();
    const hoverable = [...this.curves.keys()].filter((at) => this.curves[at].hover && this.curves[at].y.some(isNumber));
    if (!this.chosen) return this.choose(hoverable[0], this.valued(hoverable[0])[0]);
    if (event.key in moves) {
      const points = this.valued(this.chosen.at);
      const wanted = points.indexOf(this.chosen.point) + moves[event.key];
      return this.choose(this.chosen.at, points[Math.min(points.length - 1, Math.max(0, wanted))]);
    }
    const place = hoverable.indexOf(this.chosen.at) + others[event.key];
    const at = hoverable[(place + hoverable.length) % hoverable.length];
    const epoch = this.chosen.epoch;
    const nearest = this.valued(at).reduce((best, point) =>
      Math.abs(this.curves[at].epochs[point] - epoch) < Math.abs(this.curves[at].epochs[best] - epoch) ? point : best);
    return this.choose(at, nearest);
  }

  valued(at) {
    return [...this.curves[at].y.keys()].filter((point) => isNumber(this.curves[at].y[point]));
  }
}

function xRange(curves) {
  const values = curves.flatMap((curve) => curve.x);
  const low = values.reduce((least, value) => Math.min(least, value), Infinity);
  const high = values.reduce((most, value) => Math.max(most, value), -Infinity);
  return low < high ? [low, high] : [low - 0.5, low + 0.5];
}

/** The vertical axis: all that is drawn, with a little room. */
function axisRange(columns, log) {
  let low = Infinity, high = -Infinity;
  for (const column of columns) {
    for (const value of column) {
      if (!isNumber(value)) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  if (low > high) return log ? [0.1, 1] : [0, 1];
  if (log) {
    const widen = Math.max(1.08, Math.sqrt(2.5 * low / high));
    return [low / widen, high * widen];
  }
  const room = (high - low) * 0.05 || Math.abs(high) * 0.05 || 1;
  return [low >= 0 && low < room ? 0 : low - room, high + room];
}

/** Ticks of a logarithmic axis: more within a decade, powers of ten alone over many. */
function logTicks(low, high) {
  const decades = Math.log10(high / low);
  const steps = decades < 0.9 ? [1, 1.5, 2, 3, 4, 5, 7] : decades < 2.2 ? [1, 2, 5] : [1];
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    ticks.push(...steps.map((step) => Number((step * 10 ** power).toPrecision(3))));
  }
  return ticks.filter((tick) => tick >= low && tick <= high);
}

/** A colour "#rrggbb" with an opacity. */
function faded(colour, alpha) {
  return alpha >= 1 ? colour : colour + Math.round(255 * alpha).toString(16).padStart(2, "0");
}
