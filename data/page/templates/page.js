// What the scripts of all reports share: the page's data, interpolation, charts in SVG, read-outs.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

// Values of a grid (flat, last axis fastest) at a point: linear along every axis, clamped to its ends.
function interpolate(axes, values, point) {
  let corners = [[0, 1]];
  axes.forEach((axis, number) => {
    const last = axis.length - 1;
    const at = Math.min(Math.max(point[number], axis[0]), axis[last]);
    const right = Math.max(axis.findIndex((value) => value >= at), Math.min(1, last));
    const left = Math.max(right - 1, 0);
    const share = right > left ? (at - axis[left]) / (axis[right] - axis[left]) : 0;
    corners = corners.flatMap(([start, weight]) => [
      [start * axis.length + left, weight * (1 - share)],
      [start * axis.length + right, weight * share],
    ]);
  });
  return corners.reduce((sum, [at, weight]) => sum + weight * values[at], 0);
}

function nearest(axis, wanted) {
  const gaps = axis.map((value) => Math.abs(value - wanted));
  return gaps.indexOf(Math.min(...gaps));
}

// Text of numbers

function number(value, digits = 3) {
  if (!Number.isFinite(value)) return value > 0 ? "∞" : value < 0 ? "−∞" : "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e6 || size < 1e-4 ? value.toExponential(digits - 1)
    : size >= 10 ** digits ? value.toFixed(0) : String(Number(value.toPrecision(digits)));
  return text.replace("-", "−");
}

function withUnit(value, unit, digits = 3) {
  const prefixes = [[1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"]];
  const [scale, prefix] = prefixes.find(([size]) => Math.abs(value) >= size * 0.9995) || [1, ""];
  return `${number(value / scale, digits)} ${prefix}${unit}`;
}

// Read-outs: the text is for people, data-value holds every digit.
function show(id, value, text, verdict) {
  const output = byId(id);
  output.dataset.value = String(value);
  output.textContent = text;
  output.className = verdict === undefined ? "" : verdict ? "good" : "bad";
}

// The sliders' and selects' values by id.
function valuesOf(ids) {
  return Object.fromEntries(ids.map((id) => [id, byId(id).type === "range" ? byId(id).valueAsNumber : byId(id).value]));
}

// Calls back with these, now and whenever one is moved.
function watch(ids, text, react) {
  const read = () => {
    const state = valuesOf(ids);
    for (const id of ids) if (text[id]) byId(`${id}-value`).textContent = text[id](state[id]);
    react(state);
  };
  ids.forEach((id) => byId(id).addEventListener("input", read));
  read();
}

// Elements

function add(parent, tag, attributes = {}, text = null) {
  const svg = tag === "svg" || parent.namespaceURI === "http://www.w3.org/2000/svg";
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "style") element.style.cssText = value;
    else element.setAttribute(name, value);
  }
  if (text !== null) element.textContent = text;
  parent.append(element);
  return element;
}

// Colours: of things in order (k) between two ends, of things by name (policies) from a list.
const ordered = (at, count) => {
  const share = count > 1 ? at / (count - 1) : 1;
  const [from, to, part] = share < 0.5 ? ["--from", "--middle", 2 * share] : ["--middle", "--to", 2 * share - 1];
  return `color-mix(in srgb, var(${to}) ${Math.round(100 * part)}%, var(${from}))`;
};
const listed = (at) => `var(--c${at % 10})`;

// Ticks of an axis: 1, 2 or 5 times a power of ten apart; on a logarithmic axis, at those.
function ticksOf(low, high, count, log) {
  if (log) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      for (const step of [1, 2, 5]) found.push(step * 10 ** power);
    }
    return found.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  }
  const raw = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((size) => size * power >= raw * 0.999);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + 1e-9 * step; at++) found.push(at * step);
  return found;
}

function redrawOnResize(host, draw) {
  host.redraw = draw;
  if (!host.watched) {
    host.watched = true;
    let width = host.clientWidth;
    new ResizeObserver(() => {
      if (host.clientWidth !== width) {
        width = host.clientWidth;
        host.redraw();
      }
    }).observe(host);
  }
  draw();
}

// Lines over a common axis, with bands, a legend that hides lines, and a read-out under the pointer.
//   spec: {x: {label, ticks?, log?, text?}, y: {label, low?, high?, text?}, series, rules?, mark?, height?}
//   series: [{name, colour, points: [[x, y], ...], band?: [[x, low, high], ...], dots?, dash?, width?, quiet?}]
//   rules: [{name, y}], horizontal lines; mark: [x, y]. A quiet series is in neither legend nor read-out.
function lineChart(id, spec) {
  const host = byId(id);
  host.off ??= new Set();
  redrawOnResize(host, () => drawLines(host, spec));
}

// Lines that no eye could tell apart, as one line with all their names.
function joined(series) {
  const values = series.flatMap((line) => line.points.map(([, y]) => y)).filter(Number.isFinite);
  const apart = 0.003 * (Math.max(...values) - Math.min(...values));
  const like = (one, other) => one.points.length === other.points.length
    && one.points.every(([x, y], i) => x === other.points[i][0] && Math.abs(y - other.points[i][1]) <= apart);
  const found = [];
  for (const line of series) {
    const first = found.find((other) => like(other, line));
    if (first) first.name += `, ${line.name}`;
    else found.push({ ...line });
  }
  return found;
}

function drawLines(host, spec) {
  host.replaceChildren();
  const width = Math.max(host.clientWidth, 240);
  const height = spec.height ?? Math.round(Math.min(400, Math.max(240, width * 0.48)));
  const [left, right, top, bottom] = [52, 12, 12, 42];
  const shown = spec.series.filter((line) => !host.off.has(line.name));
  const rules = spec.rules ?? [];

  const xs = [...new Set(spec.series.flatMap((line) => line.points.map(([x]) => x)))].sort((a, b) => a - b);
  let [lowX, highX] = [xs[0] ?? 0, xs[xs.length - 1] ?? 1];
  if (highX === lowX) [lowX, highX] = [lowX - 0.5, highX + 0.5];
  const ys = [
    ...shown.flatMap((line) => [...line.points.map(([, y]) => y), ...(line.band ?? []).flatMap(([, a, b]) => [a, b])]),
    ...rules.map((rule) => rule.y),
  ].filter(Number.isFinite);
  let lowY = spec.y.low ?? (ys.length ? Math.min(...ys) : 0);
  let highY = spec.y.high ?? (ys.length ? Math.max(...ys) : 1);
  if (highY <= lowY) [lowY, highY] = [lowY - 0.5, lowY + 0.5];
  if (spec.y.high === undefined) highY += 0.05 * (highY - lowY);
  if (spec.y.low === undefined) lowY -= 0.05 * (highY - lowY);

  const place = spec.x.log ? Math.log10 : (x) => x;
  const toX = (x) => left + ((place(x) - place(lowX)) / (place(highX) - place(lowX))) * (width - left - right);
  const toY = (y) => top + (1 - (y - lowY) / (highY - lowY)) * (height - top - bottom);
  const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${toX(x).toFixed(1)} ${toY(y).toFixed(1)}`).join("");

  const svg = add(host, "svg", {
    viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": `${spec.y.label} against ${spec.x.label}`,
  });
  const room = Math.max(2, Math.floor((width - left - right) / 62));
  let ticksX = spec.x.ticks ?? ticksOf(lowX, highX, room, spec.x.log);
  while (ticksX.length > room + 1) ticksX = ticksX.filter((_, i) => i % 2 === 0);
  for (const tick of ticksX) {
    add(svg, "line", { class: "grid", x1: toX(tick), x2: toX(tick), y1: top, y2: height - bottom });
    add(svg, "text", { x: toX(tick), y: height - bottom + 17, "text-anchor": "middle" }, number(tick, 6));
  }
  for (const tick of ticksOf(lowY, highY, Math.max(3, Math.floor((height - top - bottom) / 48)))) {
    add(svg, "line", { class: "grid", x1: left, x2: width - right, y1: toY(tick), y2: toY(tick) });
    add(svg, "text", { x: left - 7, y: toY(tick) + 4, "text-anchor": "end" }, number(tick, 6));
  }
  add(svg, "path", { class: "line axis", d: `M${left} ${top}V${height - bottom}H${width - right}` });
  add(svg, "text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, spec.x.label);
  const middle = (top + height - bottom) / 2;
  add(svg, "text", { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` }, spec.y.label);

  const inside = `clip-${host.id}`;
  const clip = add(add(svg, "defs"), "clipPath", { id: inside });
  // Dots at the ends are whole.
  add(clip, "rect", { x: left - 6, y: top - 6, width: width - left - right + 12, height: height - top - bottom + 12 });
  const ground = add(svg, "g", { "clip-path": `url(#${inside})` });
  for (const line of shown) {
    if (!line.band?.length) continue;
    const back = [...line.band].reverse();
    const outline = path(line.band.map(([x, , high]) => [x, high])) + path(back.map(([x, low]) => [x, low])).replace("M", "L") + "Z";
    add(ground, "path", { class: "band", d: outline, style: `fill: ${line.colour}` });
  }
  for (const rule of rules) {
    add(ground, "path", { class: "rule", d: `M${left} ${toY(rule.y)}H${width - right}` });
  }
  for (const line of shown) {
    const style = `stroke: ${line.colour}; stroke-width: ${line.width ?? 1.8}; stroke-dasharray: ${line.dash ?? "none"}`;
    add(ground, "path", { class: "line", d: path(line.points), style });
    if (line.dots) {
      for (const [x, y] of line.points) add(ground, "circle", { cx: toX(x), cy: toY(y), r: 3, style: `fill: ${line.colour}` });
    }
  }
  for (const rule of rules) {
    add(svg, "text", { class: "name", x: width - right - 4, y: toY(rule.y) - 5, "text-anchor": "end" }, rule.name);
  }
  if (spec.mark) add(svg, "circle", { class: "mark", cx: toX(spec.mark[0]), cy: toY(spec.mark[1]), r: 6 });

  const named = spec.series.filter((line) => !line.quiet);
  const guide = add(svg, "line", { class: "guide", y1: top, y2: height - bottom, visibility: "hidden" });
  const tip = add(host, "div", { class: "tip", hidden: "" });
  const leave = () => {
    guide.setAttribute("visibility", "hidden");
    tip.hidden = true;
  };
  svg.addEventListener("pointerleave", leave);
  svg.addEventListener("pointermove", (event) => {
    const at = event.clientX - svg.getBoundingClientRect().left;
    const readable = named.filter((line) => !host.off.has(line.name));
    const places = [...new Set(readable.flatMap((line) => line.points.map(([x]) => x)))];
    if (!places.length) return leave();
    const x = places[nearest(places.map(toX), at)];
    tip.replaceChildren();
    add(tip, "b", {}, `${spec.x.label.split(",")[0]} ${(spec.x.text ?? number)(x)}`);
    const rows = readable
      .map((line) => [line, line.points.find(([own]) => own === x), (line.band ?? []).find(([own]) => own === x)])
      .filter(([, point]) => point)
      .sort((a, b) => b[1][1] - a[1][1]);
    for (const [line, point, band] of rows) {
      const text = (spec.y.text ?? number)(point[1]) + (band ? ` [${number(band[1])}, ${number(band[2])}]` : "");
      const row = add(tip, "div");
      add(row, "span", { style: `color: ${line.colour}` }, "● ");
      row.append(`${line.name}: ${text}`);
    }
    guide.setAttribute("visibility", "visible");
    guide.setAttribute("x1", toX(x));
    guide.setAttribute("x2", toX(x));
    tip.hidden = false;
    const beside = toX(x) + 12 + tip.offsetWidth > width ? toX(x) - 12 - tip.offsetWidth : toX(x) + 12;
    tip.style.left = `${Math.max(0, beside)}px`;
  });

  const legend = add(host, "div", { class: "legend" });
  for (const line of named) {
    const button = add(legend, "button", { type: "button", "aria-pressed": String(!host.off.has(line.name)) });
    const sample = add(button, "svg", { viewBox: "0 0 22 8", "aria-hidden": "true" });
    add(sample, "path", { d: "M0 4H22", style: `stroke: ${line.colour}; stroke-width: 2.5; stroke-dasharray: ${line.dash ?? "none"}` });
    button.append(line.name);
    button.addEventListener("click", () => {
      if (!host.off.delete(line.name)) host.off.add(line.name);
      host.redraw();
    });
  }
}

// One line per name: a figure with its interval. rows: [{name, value, low, high, colour}]. An upright line
// marks what none can pass; the figures then stand behind it.
function intervalChart(id, label, rows, limit = null) {
  const host = byId(id);
  redrawOnResize(host, () => drawIntervals(host, label, rows, limit));
}

function drawIntervals(host, label, rows, limit) {
  host.replaceChildren();
  const width = Math.max(host.clientWidth, 240);
  const left = Math.min(150, 16 + 7.2 * Math.max(...rows.map((row) => row.name.length)));
  const [right, top, step, bottom] = [62, 8, 28, 42];
  const height = top + rows.length * step + bottom;
  const high = 1.04 * Math.max(1e-9, ...rows.map((row) => row.high), limit ?? 0);
  const low = Math.min(0, ...rows.map((row) => row.low));
  const toX = (x) => left + ((x - low) / (high - low)) * (width - left - right);
  const svg = add(host, "svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": label });
  for (const tick of ticksOf(low, high, Math.max(2, Math.floor((width - left) / 80)))) {
    add(svg, "line", { class: "grid", x1: toX(tick), x2: toX(tick), y1: top, y2: height - bottom });
    add(svg, "text", { x: toX(tick), y: height - bottom + 17, "text-anchor": "middle" }, number(tick, 6));
  }
  add(svg, "text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, label);
  if (limit !== null) add(svg, "path", { class: "rule", d: `M${toX(limit)} ${top}V${height - bottom}` });
  rows.forEach((row, i) => {
    const y = top + (i + 0.5) * step;
    const stroke = `stroke: ${row.colour}; stroke-width: 2`;
    add(svg, "text", { class: "name", x: left - 10, y: y + 4, "text-anchor": "end" }, row.name);
    add(svg, "path", { d: `M${toX(row.low)} ${y}H${toX(row.high)}M${toX(row.low)} ${y - 5}v10M${toX(row.high)} ${y - 5}v10`, style: stroke });
    add(svg, "circle", { cx: toX(row.value), cy: y, r: 5, style: `fill: ${row.colour}` });
    const end = Math.max(row.high, limit ?? row.high);
    add(svg, "text", { class: "value", x: toX(end) + 9, y: y + 4 }, row.value.toPrecision(4).replace("-", "−"));
  });
}
