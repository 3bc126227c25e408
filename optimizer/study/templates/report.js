// The page of a run: policies, learning curves, queues, and what one task would cost.

const colours = Object.fromEntries(data.order.map((name, i) => [name, listed(i)]));
const learned = Object.keys(data.curves);
const dashOf = (name) => (learned.includes(name) ? "none" : "6 3");

const intervalsOf = (key, scale) => data.policies.filter((one) => one[key]).map(({ name, [key]: found }) => ({
  name, colour: colours[name], value: scale * found.value, low: scale * found.low, high: scale * found.high,
}));
intervalChart("qoe", "sum QoE of the UEs per step", intervalsOf("qoe", 1));
if (data.policies.some((found) => found.of_bound)) intervalChart("of-bound", "per cent of the certified bound", intervalsOf("of_bound", 100), 100);

const labels = { qoe: "sum QoE per step", reward: "reward of an episode", entropy: "entropy, nat" };
for (const key of learned.length ? Object.keys(labels) : []) {
  const names = learned.filter((name) => key !== "entropy" || name.startsWith("mappo"));
  if (!names.length) {
    byId(`curve-${key}`).closest("figure").remove();
    continue;
  }
  lineChart(`curve-${key}`, {
    x: { label: "training episode" },
    y: { label: labels[key] },
    series: names.map((name) => {
      const { mean, low, high } = data.curves[name][key];
      return {
        name, colour: colours[name], width: 1.5,
        points: mean.map((y, i) => [i + 1, y]),
        band: low && low.map((y, i) => [i + 1, y, high[i]]),
      };
    }),
    rules: key === "qoe" && data.bound !== null ? [{ name: "mean bound of the test episodes", y: data.bound }] : [],
  });
}

for (const [modality, queues] of Object.entries(data.queues)) {
  lineChart(`queue-${modality}`, {
    x: { label: "steps played" },
    y: { label: "mean tasks left", low: 0 },
    height: 300,
    series: joined(Object.entries(queues).map(([name, left]) => ({
      name, colour: colours[name], dash: dashOf(name), points: left.map((y, step) => [step, y]),
    }))),
  });
}

// What if: the state of the sliders, in the names and units that physics.js takes.

function settingOf(state, task) {
  return {
    ...state,
    bandwidth: state.bandwidth_mhz * 1e6,
    k: task.lengths.length > 1 ? [state[`k_text_${state.modality}`], state[`k_image_${state.modality}`]] : [state[`k_${state.modality}`]],
  };
}

// Moves the sliders to where offloading pays most: of every kind of UE, up to the number of UEs and the distance
// that the sliders have. Where it pays nowhere, they stay.
function openWhereItPays(shared, tasks, stateOf) {
  const [ues, distance] = [byId("ues"), byId("distance")];
  const [near, far] = [Number(distance.min), distance.valueAsNumber];
  let [most, found] = [1, {}];
  for (const modality of Object.keys(tasks)) {
    const system = { ...shared, ...tasks[modality].device };
    for (let count = ues.valueAsNumber; count >= 1; count--) {
      for (const share of [1, 0.75, 0.5, 0.25, 0]) {
        const place = { modality, ues: count, distance: Math.round(near + share * (far - near)) };
        const setting = settingOf({ ...stateOf(), ...place }, tasks[modality]);
        const gain = offload(system, tasks[modality], setting).earned / local(system, tasks[modality], setting).earned;
        if (gain > most * 1.001) [most, found] = [gain, place];
      }
    }
  }
  for (const [id, value] of Object.entries(found)) byId(id).value = value;
}

function whatIf({ system: shared, tasks }) {
  const kIds = (modality) => (tasks[modality].lengths.length > 1 ? [`k_text_${modality}`, `k_image_${modality}`] : [`k_${modality}`]);
  const ids = ["modality", "channel", "against", "ues", "bandwidth_mhz", "power", "distance", "snr", "queue", "beta", ...Object.keys(tasks).flatMap(kIds)];
  const text = Object.fromEntries(ids.filter((id) => byId(id).type === "range").map((id) => [id, (value) => number(value, 4)]));
  openWhereItPays(shared, tasks, () => valuesOf(ids));
  watch(ids, text, (state) => {
    const task = tasks[state.modality];
    const system = { ...shared, ...task.device };
    const setting = settingOf(state, task);
    for (const modality of Object.keys(tasks)) {
      for (const id of kIds(modality)) byId(id).parentElement.hidden = modality !== state.modality;
    }
    byId("distance").parentElement.hidden = state.channel === "snr";
    byId("snr").parentElement.hidden = state.channel !== "snr";

    const remote = offload(system, task, setting);
    const own = local(system, task, setting);
    show("snr_db", remote.snr, `${number(remote.snr)} dB`);
    show("share", remote.share, withUnit(remote.share, "Hz"));
    show("accuracy", remote.accuracy, remote.accuracy.toFixed(3), remote.accurate);
    show("upload", remote.upload, withUnit(remote.upload, "s"));
    show("remote", remote.remote, withUnit(remote.remote, "s"));
    show("latency", remote.latency, withUnit(remote.latency, "s"), remote.inTime);
    show("energy", remote.energy, withUnit(remote.energy, "J"));
    show("earned", remote.earned, number(remote.earned), remote.earned > own.earned);
    show("local_latency", own.latency, withUnit(own.latency, "s"), own.inTime);
    show("local_energy", own.energy, withUnit(own.energy, "J"));
    show("local_earned", own.earned, number(own.earned), own.earned >= remote.earned);
    sweep(system, task, state, setting);
  });
}

// The same along one slider's range.
function sweep(system, task, state, setting) {
  let id = state.against;
  if (id === "distance" && state.channel === "snr") id = "snr";
  if (id === "k") id = task.lengths.length > 1 ? `k_image_${state.modality}` : `k_${state.modality}`;
  const input = byId(id);
  const [low, high, step] = [Number(input.min), Number(input.max), Number(input.step)];
  const every = step * Math.max(1, Math.round((high - low) / step / 80));
  const xs = [];
  for (let x = low; x < high - 1e-9; x += every) xs.push(Number(x.toFixed(6)));
  xs.push(high);
  const rows = xs.map((x) => [x, offload(system, task, settingOf({ ...state, [id]: x }, task)), local(system, task, { ...setting, [id]: x })]);
  const label = input.parentElement.querySelector("span").textContent;
  const x = { label };
  const here = offload(system, task, setting);
  lineChart("sweep-qoe", {
    x, y: { label: "QoE of the UE", low: 0 }, height: 280,
    series: [
      { name: "offloading", colour: listed(0), width: 2.2, points: rows.map(([at, there]) => [at, there.earned]) },
      { name: "local", colour: listed(1), width: 2.2, points: rows.map(([at, , own]) => [at, own.earned]) },
    ],
    mark: [state[id], here.earned],
  });
  const most = system.latency_max_s;
  const longest = Math.max(...rows.flatMap(([, there, own]) => [there.latency, own.latency]).filter(Number.isFinite));
  const top = 1.1 * Math.min(longest, 1.15 * most); // the limit is drawn where the delays come near it
  lineChart("sweep-delay", {
    x, y: { label: "seconds", low: 0, high: top }, height: 280,
    series: [
      { name: "offloading, in all", colour: listed(0), width: 2.2, points: rows.map(([at, there]) => [at, there.latency]) },
      { name: "transmission (4)", colour: listed(2), points: rows.map(([at, there]) => [at, there.upload]) },
      { name: "server (5)", colour: listed(3), points: rows.map(([at, there]) => [at, there.remote]) },
      { name: "local", colour: listed(1), width: 2.2, points: rows.map(([at, , own]) => [at, own.latency]) },
    ],
    rules: top > most ? [{ name: "limit (11g)", y: most }] : [],
  });
}

if (data.what_if) whatIf(data.what_if);
