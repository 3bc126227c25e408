"""Configs of the system (Table I), of the episodes and of a run's files. Free of torch: --help is quick."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from data.files.errors import flag_of, raise_config_errors

MODALITIES = ("text", "image", "vqa")
"""Section II-A's Q: T, I and B. The order is the observation's one-hot."""
PREFERENCES = ("fixed", "dynamic", "drawn")
CSI = {"instantaneous": "awgn", "statistical": "rayleigh"}
"""What a UE knows of its channel, and the channel of the only map that may be read with it."""
OFFLOAD_COSTS = ("paper", "split")
UES_MAX = 1000
"""Most UEs of an episode."""
BOUND_UES_MAX = 128
"""Most UEs that the certified bound, and the controller that comes with it, are computed for: their time goes
by nearly the square, and with 128 UEs 100 episodes take hours."""
PLAYS_MAX = 2**21
"""Most plays of a step for MAPPO's baselines, copies * UEs^2: 128 UEs in 128 copies, some 40 CPU s a training
episode."""


def config_errors(config: Any, *, above_zero: tuple[str, ...] = (), flags: tuple[str, ...] = ()) -> list[str]:
    """Errors every config has in common: floats that are not finite, values that must be above 0.

    Args:
        config: a dataclass instance.
        above_zero: fields that must be above 0.
        flags: fields a flag of `optimize` sets; an error about them names the flag.

    Returns:
        One line per error.
    """
    errors = []
    for name in (field.name for field in fields(config)):
        value = getattr(config, name)
        if isinstance(value, float) and not math.isfinite(value):
            errors.append(f"{label(name, flags)} {value} given, a finite number is allowed")
        elif name in above_zero and value <= 0:
            errors.append(f"{label(name, flags)} {value} given, a number above 0 is allowed")
    return errors


def seed_errors(seed: int) -> list[str]:
    """What is wrong with a run's --seed, one line or none: torch takes 64 bits."""
    return [] if 0 <= seed < 2**63 else [f"--seed {seed} given, 0 to 2^63 - 1 is allowed"]


def learning_rate_errors(learning_rate: float) -> list[str]:
    """What is wrong with Adam's learning rate, one line or none: a weight moves about that far at once."""
    return [] if learning_rate <= 1 else [f"learning_rate {learning_rate} given, above 0 up to 1 is allowed"]


def bound_errors(ues: int) -> list[str]:
    """What is wrong with a bound for so many UEs, one line or none."""
    if ues <= BOUND_UES_MAX:
        return []
    return [f"--ues with {ues} UEs given, the certified bound is for at most {BOUND_UES_MAX}"]


def plays_errors(copies: int, ues: int) -> list[str]:
    """What is wrong with a training of MAPPO of so many UEs, one line or none: for the baselines each step is
    played once more for every UE, on all UEs."""
    plays = copies * ues**2
    if plays <= PLAYS_MAX:
        return []
    return [
        f"--ues with {ues} UEs given, at most {math.isqrt(PLAYS_MAX // copies)} are allowed of MAPPO with "
        f"{copies} copies: a training episode costs by the square of the UEs, here about "
        f"{plays * 20 * 1e-6:,.0f} CPU s; leave mappo out of --learners, or give fewer UEs or copies"
    ]


def label(name: str, flags: tuple[str, ...]) -> str:
    """A field's flag where it has one, else its own name."""
    return flag_of(name) if name in flags else name


@dataclass(frozen=True, kw_only=True)
class SystemConfig:
    """Radio, processors and constraints: Table I, and section II where Table I is silent.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    bandwidth_hz: float = 5e6
    """BW of eqs. (11f), (12): shared by the UEs that offload. Table I. Flag --bandwidth-hz."""
    noise_dbm_hz: float = -160.0
    """sigma^2 of eq. (1), noise power spectral density. Table I. Flag --noise-dbm-hz."""
    carrier_hz: float = 6e9
    """Carrier frequency, for the pathloss. Table I."""
    power_min_dbm: float = 18.0
    """Smallest transmit power p. Table I."""
    power_max_dbm: float = 24.0
    """p_max of eq. (11d). Table I."""
    circuit_power_w: float = 0.1
    """p^c of eq. (8): 20 dBm in Table I."""
    local_flops_per_cycle: float = 1024.0
    """n of eq. (3), FLOP per clock cycle of the UE: Table I's "number of processors"."""
    local_clock_min_hz: float = 0.64e9
    """Smallest clock f of the UE. Table I."""
    local_clock_max_hz: float = 1.28e9
    """f_max of eq. (11e). Table I."""
    local_energy_coefficient: float = 4.77e-27
    """alpha^lc of section II-D, W/Hz^3. The paper gives none; this one makes 10 W at 1.28 GHz."""
    remote_flops_per_cycle: float = 13824.0
    """n^rc of eq. (5), FLOP per clock cycle of the server. Table I."""
    remote_clock_hz: float = 1.41e9
    """f^rc of eqs. (5), (6). Table I."""
    remote_energy_coefficient: float = 6.44e-26
    """alpha^rc of eq. (6), W/Hz^3. The paper gives none; this is alpha^lc times the ratio of processors.
    Eq. (8) leaves the server's energy out of the cost, so no QoE depends on it."""
    download_latency_s: float = 1e-3
    """t^dl of eq. (7), "a small constant"."""
    latency_max_s: float = 1.0
    """t_max of eq. (11g). Table I."""
    accuracy_min: float = 0.9
    """epsilon_min of eq. (11b), against the ratio epsilon / epsilon_0. Table I."""
    accuracy_floor: float = 1e-3
    """Smallest epsilon eq. (4) divides by. A map may hold 0, for which eq. (4) is infinite; the floor keeps
    the latency finite and, being far below epsilon_min, never turns a failed execution into a success."""
    bandwidth_request_span: float = 10.0
    """Requests b-hat more than this below the largest count as this much below it. Without it eq. (12) can
    round a share to 0 Hz, for which eqs. (1) and (4) are infinite."""
    station_height_m: float = 10.0
    """h_BS of TR 38.901 UMi street canyon."""
    ue_height_m: float = 1.5
    """h_UT of TR 38.901."""
    environment_height_m: float = 1.0
    """h_E of TR 38.901 Table 7.4.1-1, note 1."""
    radius_min_m: float = 10.0
    """Inner radius of the ring the UEs are drawn in; the pathloss model starts at 10 m."""
    radius_max_m: float = 200.0
    """Outer radius of the ring."""

    def __post_init__(self) -> None:
        flags = ("bandwidth_hz", "noise_dbm_hz")
        ranges = {  # beyond, powers and SNRs would overflow or come out as 0
            "bandwidth_hz": (1.0, 1e12, "Hz"),
            "noise_dbm_hz": (-250.0, 0.0, "dBm/Hz"),
            "power_min_dbm": (-100.0, 100.0, "dBm"),
            "power_max_dbm": (-100.0, 100.0, "dBm"),
        }
        may_be_zero = ("circuit_power_w", "download_latency_s")
        positive = tuple(field.name for field in fields(self) if field.name not in (*ranges, *may_be_zero))
        errors = config_errors(self, above_zero=positive, flags=flags)
        for name, (least, most, unit) in ranges.items():
            value = getattr(self, name)
            if math.isfinite(value) and not least <= value <= most:
                errors.append(f"{label(name, flags)} {value} given, {least:g} to {most:g} {unit} is allowed")
        for name in may_be_zero:
            if getattr(self, name) < 0:
                errors.append(f"{name} {getattr(self, name)} given, at least 0 is allowed")
        for name in ("power_{}_dbm", "local_clock_{}_hz", "radius_{}_m"):
            low, high = getattr(self, name.format("min")), getattr(self, name.format("max"))
            if low > high:
                errors.append(
                    f"{name.format('min')} {low} given, at most {name.format('max')} {high} is allowed"
                )
        if not self.accuracy_floor < self.accuracy_min <= 1:
            errors.append(
                f"accuracy_min {self.accuracy_min} given, above {self.accuracy_floor} up to 1 is allowed"
            )
        if self.radius_min_m < 10:
            errors.append(f"radius_min_m {self.radius_min_m} given, at least 10 (TR 38.901 UMi) is allowed")
        if not self.station_height_m > self.environment_height_m < self.ue_height_m:
            errors.append(
                f"environment_height_m {self.environment_height_m} given, below station_height_m "
                f"{self.station_height_m} and ue_height_m {self.ue_height_m} is allowed"
            )
        raise_config_errors(errors)

    @property
    def remote_capacity_flops(self) -> float:
        """c^rc of eq. (5) in FLOP/s, shared by the UEs that offload."""
        return self.remote_flops_per_cycle * self.remote_clock_hz

    @property
    def noise_w_hz(self) -> float:
        """sigma^2 of eq. (1) in W/Hz."""
        return dbm_to_watt(self.noise_dbm_hz)

    @property
    def power_min_w(self) -> float:
        """Smallest transmit power in W."""
        return dbm_to_watt(self.power_min_dbm)

    @property
    def power_max_w(self) -> float:
        """Largest transmit power in W."""
        return dbm_to_watt(self.power_max_dbm)


def dbm_to_watt(dbm: float) -> float:
    """Power in W of a level in dBm."""
    return 10.0 ** ((dbm - 30.0) / 10.0)


@dataclass(frozen=True, kw_only=True)
class EpisodeConfig:
    """Who is served, for how long, and what it is worth: sections III and IV-A.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    mix: tuple[str, ...] = ("text", "image", "vqa", "vqa")
    """The I UEs' modalities. Section V-A: one text, one image, two VQA. Flag --ues."""
    queue_tasks: int = 10
    """d at the start, tasks a UE has to do. Section V-A: 10 paragraphs."""
    sentences_per_task: int = 10
    """Sentences in one text task, a paragraph. Section V-A."""
    steps: int = 20
    """T of eq. (14), steps after which an episode ends in any case."""
    preference: str = "fixed"
    """"fixed": beta of eq. (9) is `beta`. "dynamic": beta^d of eq. (28). "drawn": one beta for all UEs,
    uniform in 0 to 1, each episode; it trains one policy for the whole energy-latency front. Flag
    --preference."""
    beta: float = 0.5
    """beta^f of section V-A, weight of energy against latency in eq. (9). Flag --beta."""
    csi: str = "instantaneous"
    """What a UE knows of its channel, g |h|^2 or g alone, and so which map is read. Flag --csi."""
    offload_cost: str = "paper"
    """"paper": eqs. (3)-(8) as printed, the server runs all of l and the UE's encoder is free. "split": the
    UE pays for its encoder in time and energy at its clock, the server runs its own share only. Flag
    --offload-cost."""
    announce: bool = True
    """Whether, before a step, each UE announces what it would gain by offloading alone and hears the largest
    of the others'. Section IV's UEs do not. Flag --section-iv turns it off."""
    battery_queues: float = 5000.0
    """B_max of eq. (28), in units of the energy that emptying the queue at f_max takes: D (D + 1) / 2 times
    E_0 of one task, since a step is charged for all that wait. A phone's 15 Wh are some 5000 queues of the
    text task."""
    battery_start_min: float = 0.1
    """Each episode a UE's battery starts at a share of B_max drawn uniformly from this to 1, so that beta^d
    spans 0.5 to 0.95 among the UEs."""
    idle_drain: float = 0.0
    """Share of B_max that the UE's other work drains over T steps. Above 0, beta^d rises with every step
    waited and the sum of QoE is largest for a policy that lets tasks fail until the battery is low."""
    success_bonus: float = 1.5
    """xi_S of eq. (14), in units of the mean over UEs of the largest QoE that one step can earn them. A step
    saved must be worth what a step earns, or waiting for a better channel pays more than finishing: QoE is
    judged by the step. The best controllers earn 1.5 of these units in a step. At the beta of reset."""
    failure_scale: float = 1.0
    """xi_F of eq. (14), in units of (largest QoE one step can earn the UE) / E_0 of one task. At 1, one task
    left undone costs as much as the best step earns. At the beta of reset."""
    penalty_max: float = 1.0
    """Largest punishment of eq. (13). Its t_max - t_i has no lower end as epsilon goes to 0."""

    def __post_init__(self) -> None:
        flags = ("preference", "beta", "csi", "offload_cost")
        positive = (
            "queue_tasks",
            "sentences_per_task",
            "steps",
            "battery_queues",
            "penalty_max",
        )
        errors = config_errors(self, above_zero=positive, flags=flags)
        for name in ("idle_drain", "success_bonus", "failure_scale"):
            if getattr(self, name) < 0:
                errors.append(f"{name} {getattr(self, name)} given, at least 0 is allowed")
        if not self.mix or not set(self.mix) <= set(MODALITIES):
            errors.append(
                f"--ues {','.join(self.mix)!r} given, one or more of {', '.join(MODALITIES)} is allowed"
            )
        elif len(self.mix) > UES_MAX:
            errors.append(f"--ues with {len(self.mix)} UEs given, at most {UES_MAX} are allowed")
        if not 0 < self.battery_start_min <= 1:
            errors.append(f"battery_start_min {self.battery_start_min} given, above 0 up to 1 is allowed")
        if self.steps < self.queue_tasks:
            errors.append(f"steps {self.steps} given, at least queue_tasks {self.queue_tasks} is allowed")
        if not 0 <= self.beta <= 1:
            errors.append(f"--beta {self.beta} given, 0 to 1 is allowed")
        choices: tuple[tuple[str, tuple[str, ...]], ...] = (
            ("preference", PREFERENCES),
            ("csi", tuple(CSI)),
            ("offload_cost", OFFLOAD_COSTS),
        )
        for name, allowed in choices:
            if getattr(self, name) not in allowed:
                errors.append(
                    f"{label(name, flags)} {getattr(self, name)!r} given, {' or '.join(allowed)} is allowed"
                )
        raise_config_errors(errors)

    def repeats(self, modality: str) -> int:
        """Sentences, images or questions in one task."""
        return self.sentences_per_task if modality == "text" else 1

    @property
    def ues(self) -> int:
        """I, number of UEs. Table I."""
        return len(self.mix)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Files a run reads; what is None is looked for among the shipped reference files.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    text_map: Path | None = None
    """f^T of section III. Flag --text-map."""
    text_flops: Path | None = None
    """l^T and S^T. Flag --text-flops, or --flops."""
    image_map: Path | None = None
    """f^I of section III. Flag --image-map."""
    image_flops: Path | None = None
    """l^I and S^I. Flag --image-flops."""
    vqa_map: Path | None = None
    """f^B of section III, read where both transmissions have the same SNR. Flag --vqa-map."""
    vqa_flops: Path | None = None
    """l^B and S^I. Flag --vqa-flops."""
    k_text: int = 16
    """k^T of eq. (2), complex channel symbols per token. Table I. Flag --k-text, or --k."""
    k_image: int = 32
    """k^I. Table I. Flag --k-image."""
    joint_k: bool = False
    """k is an action: every k of the maps that `k_text` and `k_image` do not exceed, for VQA every pair. Flag
    --joint-k."""

    def __post_init__(self) -> None:
        raise_config_errors(
            config_errors(self, above_zero=("k_text", "k_image"), flags=("k_text", "k_image"))
        )

    def named(self) -> tuple[str, ...]:
        """Modalities of which a file is given."""
        return tuple(
            modality
            for modality in MODALITIES
            if any(getattr(self, f"{modality}_{kind}") is not None for kind in ("map", "flops"))
        )
