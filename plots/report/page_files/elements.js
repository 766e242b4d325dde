"use strict";
/* Elements and numbers as text. Whatever comes from a run folder enters the page here, as text or as an attribute of
   ours, never as markup. */

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element; strings among the children become text. */
function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same for SVG. */
function shape(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Put new children in the place of the old; the control that had the focus, known by `data-key`, keeps it. */
function refill(host, ...children) {
  const key = host.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  host.replaceChildren(...children.filter((child) => child !== null));
  if (key !== undefined) {
    const again = [...host.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key);
    if (again) again.focus();
  }
}

/** Give a select its options, [value, text] each, and keep what was chosen where it is still there. */
function offer(select, options, chosen) {
  const same = select.options.length === options.length &&
    options.every(([value, text], at) => select.options[at].value === value && select.options[at].text === text);
  if (!same) select.replaceChildren(...options.map(([value, text]) => element("option", { value }, text)));
  select.value = options.some(([value]) => value === chosen) ? chosen : (options[0] || [""])[0];
  return select.value;
}

/** A piece of a method's line: its colour and dashes. */
function swatch(colour, dashes, width = 2.5) {
  const line = shape("line", { x1: 1, x2: 25, y1: 5, y2: 5, stroke: colour, "stroke-width": width });
  if (dashes.length) line.setAttribute("stroke-dasharray", dashes.map((dash) => dash * 1.8).join(" "));
  return shape("svg", { class: "swatch", viewBox: "0 0 26 10", "aria-hidden": "true" }, line);
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** A measure's value as the command line shows it: errors in percent, the rest in seconds. */
function measured(value, measure) {
  if (!isNumber(value)) return "n/a";
  return (measure.is_error ? (100 * value).toFixed(2) : value.toFixed(1)).replace("-", "−");
}

/** `4.55 ± 1.07`, or the mean alone where there is no interval. */
function withHalf(summary, measure) {
  const { value, low } = summary.mean;
  const half = isNumber(value) && isNumber(low) ? ` ± ${measured(value - low, measure)}` : "";
  return measured(value, measure) + half;
}

/** `[3.48, 5.62]`, empty where there is none. */
function interval(estimate, show) {
  return isNumber(estimate.low) ? `[${show(estimate.low)}, ${show(estimate.high)}]` : "";
}

function signed(value) {
  return isNumber(value) ? (value >= 0 ? "+" : "−") + Math.abs(value).toFixed(2) : "n/a";
}

function probability(p) {
  if (!isNumber(p)) return "n/a";
  return p >= 0.0001 ? p.toFixed(4) : "<.0001";
}

/** A number of any size in four digits. */
function short(value) {
  if (!isNumber(value)) return "n/a";
  return String(Number(value.toPrecision(4))).replace("-", "−");
}

/** `2nd`, `3rd`, `4th`. */
function ordinal(number) {
  const ending = number % 100 >= 11 && number % 100 <= 13 ? "th" : { 1: "st", 2: "nd", 3: "rd" }[number % 10] || "th";
  return `${number}${ending}`;
}

/** `1 run`, `2 runs`. */
function counted(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
