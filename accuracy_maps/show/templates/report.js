// The page of an accuracy map: sliders read the map, lines and read-outs follow.

const names = data.axes.map((axis) => axis.id);
const axes = data.axes.map((axis) => axis.values);
const bimodal = axes.length === 4;
const lineAxis = bimodal ? axes[1] : axes[0]; // one line per k, or per k^I

// The SNRs at which both transmissions are measured, as positions on the last one or two axes.
const diagonal = axes[axes.length - 1]
  .map((snr, last) => [snr, bimodal ? [axes[2].indexOf(snr), last] : [last]])
  .filter(([, at]) => !at.includes(-1));
const cell = (at) => at.reduce((sum, index, axis) => sum * axes[axis].length + index, 0);

const dashes = ["6 4", "2 3", "9 3 2 3", "1 5"]; // of the digital baselines

function curves(state, at) {
  const first = bimodal ? [nearest(axes[0], state.k_text)] : [];
  const name = bimodal ? `kᵀ = ${axes[0][first[0]]}, kᴵ` : "k";
  const series = lineAxis.map((k, line) => {
    const along = diagonal.map(([snr, snrs]) => [snr, cell([...first, line, ...snrs])]);
    return {
      name: `${name} = ${k}`, colour: ordered(line, lineAxis.length), dots: true,
      points: along.map(([snr, index]) => [snr, data.ratio[index]]),
      band: along.map(([snr, index]) => [snr, data.ratio_low[index], data.ratio_high[index]]),
    };
  }).reverse();
  data.digital.forEach((digital, number) => {
    const [ks, snrs] = digital.axes.map((axis) => axis.values);
    ks.forEach((k, row) => {
      const line = lineAxis.indexOf(k);
      if (line < 0) return;
      series.push({
        name: `${digital.name}, k = ${k}`, colour: ordered(line, lineAxis.length), dash: dashes[number % dashes.length],
        points: snrs.map((snr, column) => [snr, digital.ratio[row * snrs.length + column]]),
      });
    });
  });
  const ks = at.slice(0, bimodal ? 2 : 1);
  series.push({
    name: "f at the slider", colour: "var(--accent)", width: 3, quiet: true,
    points: diagonal.map(([snr]) => [snr, interpolate(axes, data.envelope, [...ks, ...(bimodal ? [snr, snr] : [snr])])]),
  });
  const onDiagonal = !bimodal || state.snr_text_db === state.snr_image_db;
  lineChart("curves", {
    x: { label: "SNR, dB", ticks: diagonal.map(([snr]) => snr) },
    y: { label: `${data.metric} over the channel / local`, low: data.axis_start, high: Math.max(1.02, ...data.ratio_high) },
    series,
    rules: [{ name: "local", y: 1 }],
    mark: onDiagonal ? [at[at.length - 1], interpolate(axes, data.envelope, at)] : null,
  });
}

const [least, most] = [Math.min(...data.envelope), Math.max(...data.envelope)];

function heat(state) {
  const host = byId("heat");
  const [snrText, snrImage] = [axes[2], axes[3]];
  host.replaceChildren();
  const table = add(add(host, "div", { class: "scroll" }), "table", { class: "heat" });
  const head = add(add(table, "thead"), "tr");
  add(head, "th", {}, "question \\ image, dB");
  snrImage.forEach((snr) => add(head, "th", {}, number(snr)));
  const body = add(table, "tbody");
  snrText.forEach((text, i) => {
    const row = add(body, "tr");
    add(row, "th", {}, number(text));
    snrImage.forEach((image, j) => {
      const f = interpolate(axes, data.envelope, [state.k_text, state.k_image, text, image]);
      const here = nearest(snrText, state.snr_text_db) === i && nearest(snrImage, state.snr_image_db) === j;
      add(row, "td", { style: `--share: ${(f - least) / (most - least || 1)}`, class: here ? "here" : "" }, f.toFixed(3));
    });
  });
}

watch(
  [...names, "bandwidth_mhz", "ues"],
  Object.fromEntries([...names, "bandwidth_mhz", "ues"].map((name) => [name, (value) => number(value, 4)])),
  (state) => {
    const at = names.map((name) => state[name]);
    const read = (grid) => interpolate(axes, grid, at);
    const f = read(data.envelope);
    show("f", f, f.toFixed(3));
    show("accuracy", f * data.local_accuracy, number(f * data.local_accuracy, 4));
    show("measured", read(data.ratio), read(data.ratio).toFixed(3));
    const ends = [read(data.ratio_low), read(data.ratio_high)];
    show("interval", ends, ends.map((end) => end.toFixed(3)).join("–"));
    data.digital.forEach((digital, number) => {
      const own = digital.axes.map((axis) => axis.values);
      const value = interpolate(own, digital.envelope, at);
      show(number ? `digital_f_${number}` : "digital_f", value, value.toFixed(3));
    });
    const share = (state.bandwidth_mhz * 1e6) / state.ues;
    const sends = bimodal ? { send_text_s: state.k_text, send_image_s: state.k_image } : { send_s: state.k };
    for (const [id, k] of Object.entries(sends)) {
      show(id, k / (share * f), f > 0 ? withUnit(k / (share * f), "s") : "never: f is 0");
    }
    curves(state, at);
    if (bimodal) heat(state);
  },
);
