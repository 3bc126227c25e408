// One step of one UE: the formulas of optimizer/world/physics and optimizer/world/channel, which the tests hold
// these to. `system` has SystemConfig's fields, with the UE's device; `task` what one task of the UE costs, and its map.

const wattOf = (dbm) => 10 ** ((dbm - 30) / 10);

// TR 38.901 without shadowing, in dB; `system.scenario` holds the scenario's numbers.
function pathlossDb(system, distance, sight) {
  const height = system.station_height_m - system.ue_height_m;
  const apart = Math.hypot(distance, height);
  const carrier = system.carrier_hz / 1e9;
  const ground = system.environment_height_m;
  const { los: [constant, slope], nlos: rows, breakpoint } = system.scenario;
  const turn = (4 * (system.station_height_m - ground) * (system.ue_height_m - ground) * system.carrier_hz) / 3e8;
  const near = constant + slope * Math.log10(apart) + 20 * Math.log10(carrier);
  const far = constant + 40 * Math.log10(apart) + 20 * Math.log10(carrier) - breakpoint * Math.log10(turn ** 2 + height ** 2);
  const los = breakpoint === null || distance <= turn ? near : far;
  const nlos = rows[0] + rows[1] * Math.log10(apart) + rows[2] * Math.log10(carrier) - rows[3] * (system.ue_height_m - 1.5);
  return sight ? los : Math.max(los, nlos);
}

// Eqs. (3), (8) at rho = 0.
function localEffort(system, task, queue, clock) {
  const latency = (queue * task.flops) / (system.local_flops_per_cycle * clock);
  return { latency, energy: latency * (system.local_energy_coefficient * clock ** 3 + system.circuit_power_w) };
}

// Eqs. (9), (10).
function costOf(system, task, queue, beta, { latency, energy }) {
  const reference = localEffort(system, task, queue, system.local_clock_max_hz);
  return (beta * energy) / reference.energy + ((1 - beta) * latency) / reference.latency;
}

// The clock that minimises eq. (9) of local execution, within its range and, if that allows it, t_max.
function bestClock(system, task, queue, beta) {
  const [alpha, fixed] = [system.local_energy_coefficient, system.circuit_power_w];
  const full = alpha * system.local_clock_max_hz ** 3 + fixed;
  const weight = Math.max(beta, 1e-12);
  const free = Math.cbrt((weight * fixed + (1 - weight) * full) / (2 * alpha * weight));
  const best = Math.min(Math.max(free, system.local_clock_min_hz), system.local_clock_max_hz);
  const needed = (queue * task.flops) / (system.local_flops_per_cycle * system.latency_max_s);
  return Math.max(best, Math.min(needed, system.local_clock_max_hz));
}

// A UE that computes; `earned` is 0 where (11g) is broken.
function local(system, task, { queue, beta }) {
  const effort = localEffort(system, task, queue, bestClock(system, task, queue, beta));
  const qoe = 1 / costOf(system, task, queue, beta, effort);
  const inTime = effort.latency <= system.latency_max_s;
  return { ...effort, qoe, inTime, earned: inTime ? qoe : 0 };
}

// A UE that offloads beside ues - 1 others on equal shares of the band; `earned` is 0 where (11b) or (11g) is
// broken. `channel` is "los" or "nlos", at `distance` and |h|^2 = 1, or "snr", at the received `snr` in dB.
function offload(system, task, { queue, beta, ues, bandwidth, power, channel, distance, snr, k }) {
  const share = bandwidth / ues; // (12)
  const watt = wattOf(power);
  const gain = 10 ** (-pathlossDb(system, distance, channel === "los") / 10);
  const received = channel === "snr" ? snr : 10 * Math.log10((watt * gain) / (share * wattOf(system.noise_dbm_hz))); // (1)
  const accuracy = interpolate(task.axes, task.ratio, [...k, received]);
  const clock = bestClock(system, task, queue, beta);
  const symbols = task.repeats * task.lengths.reduce((sum, length, i) => sum + length * k[i], 0);
  const encode = (queue * task.ue_flops) / (system.local_flops_per_cycle * clock);
  const upload = (queue * symbols) / (share * Math.max(accuracy, system.accuracy_floor)); // (2), (4)
  const remote = (queue * task.server_flops * ues) / (system.remote_flops_per_cycle * system.remote_clock_hz); // (5)
  const latency = encode + upload + remote + system.download_latency_s; // (7)
  const energy = encode * system.local_energy_coefficient * clock ** 3 + watt * upload + latency * system.circuit_power_w; // (8)
  const qoe = accuracy / costOf(system, task, queue, beta, { latency, energy });
  const accurate = accuracy >= system.accuracy_min;
  const inTime = latency <= system.latency_max_s;
  return { share, snr: received, accuracy, encode, upload, remote, latency, energy, qoe, accurate, inTime, earned: accurate && inTime ? qoe : 0 };
}
