"""Configs of the system (Table I), of the episodes and of a run's files. Free of torch: --help is quick."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from typing_extensions import override

from data.settings import Flag, Problem, Range, Settings, named
from optimizer.devices.find import PAPER

if TYPE_CHECKING:
    from torch import Tensor

Level = TypeVar("Level", float, "Tensor")
"""A number of all UEs, or several."""

MODALITIES = ("text", "image", "vqa")
"""Section II-A's Q: T, I and B. The order is the observation's one-hot."""
PREFERENCES = ("fixed", "dynamic", "drawn")
CSI = {"instantaneous": "awgn", "statistical": "rayleigh"}
"""What a UE knows of its channel, and the channel of the only map that may be read with it."""
PATHLOSSES = ("umi", "uma", "indoor")
MOBILITIES = ("still", "waypoint")
ARRIVALS = ("none", "poisson", "bursty")
FADINGS = ("rayleigh", "none")
OFFLOAD_COSTS = ("paper", "split")
OBSERVATIONS = ("printed", "lookups", "history", "bids", "announced")
"""What a UE knows before a step, from section IV's on."""
UES_MAX = 1000
"""Most UEs of an episode."""
BOUND_UES_MAX = 128
"""Most UEs that the certified bound, and the controller that comes with it, are computed for: their time goes
by nearly the square, and with 128 UEs 100 episodes take hours."""


def modality_mix(text: str) -> tuple[str, ...]:
    """Flag type: "text:1,vqa:2", or a number of text UEs."""
    modalities: list[str] = []
    for part in (f"text:{text}" if text.isdigit() else text).split(","):
        modality, _, count = part.partition(":")
        if modality not in MODALITIES or not (count or "1").isdigit() or int(count or "1") < 1:
            raise argparse.ArgumentTypeError(
                f"{text!r} given, such as text:1,image:1,vqa:2 is allowed, or a number of text UEs"
            )
        if len(modalities) + int(count or "1") > UES_MAX:
            raise argparse.ArgumentTypeError(f"{text!r} given, at most {UES_MAX} UEs are allowed")
        modalities += [modality] * int(count or "1")
    return tuple(modalities)


def device_list(text: str) -> tuple[str, ...]:
    """Flag type: "jetson-nano", or "phone,phone,nano.json", one a UE."""
    devices = tuple(part.strip() for part in text.split(","))
    if not all(devices):
        raise argparse.ArgumentTypeError(f"{text!r} given, names or files with a comma between are allowed")
    return devices


Positive = Annotated[float, Range(above=0)]
NotNegative = Annotated[float, Range(0)]
Power = Annotated[float, Range(-100, 100)]  # beyond, powers and SNRs would overflow or come out as 0


@dataclass(frozen=True, kw_only=True)
class SystemConfig(Settings):
    """Radio, processors and constraints: Table I, and section II where Table I is silent."""

    bandwidth_hz: Annotated[float, Range(1, 1e12), Flag(metavar="HZ")] = 5e6
    """Sum bandwidth BW of eqs. (11f), (12), shared by the UEs that offload. Table I."""
    partial_band: bool = False
    """Whether a UE uses the best part of the band that (12) grants it, as (11f)'s "at most BW" allows,
    instead of all of it. Less band means a higher SNR (1)."""
    noise_dbm_hz: Annotated[float, Range(-250, 0), Flag(metavar="DBM")] = -160.0
    """Noise power spectral density, sigma^2 of eq. (1). Table I."""
    pathloss: Annotated[str, Range(choices=PATHLOSSES)] = "umi"
    """Large-scale gain g, of TR 38.901: umi, street canyon; uma, urban macro; indoor, mixed office. A warning
    names what of the carrier, heights and ring the scenario was not made for."""
    carrier_hz: Positive = 6e9
    """Carrier frequency, for the pathloss. Table I."""
    power_min_dbm: Power = 18.0
    """Smallest transmit power p. Table I."""
    power_max_dbm: Power = 24.0
    """p_max of eq. (11d). Table I."""
    circuit_power_w: NotNegative = 0.1
    """p^c of eq. (8): 20 dBm in Table I."""
    local_flops_per_cycle: Positive = 1024.0
    """n of eq. (3), FLOP per clock cycle of the UE: Table I's "number of processors"."""
    local_clock_min_hz: Positive = 0.64e9
    """Smallest clock f of the UE. Table I."""
    local_clock_max_hz: Positive = 1.28e9
    """f_max of eq. (11e). Table I."""
    local_energy_coefficient: Positive = 4.77e-27
    """alpha^lc of section II-D, W/Hz^3. The paper gives none; this one makes 10 W at 1.28 GHz."""
    remote_flops_per_cycle: Positive = 13824.0
    """n^rc of eq. (5), FLOP per clock cycle of the server. Table I."""
    remote_clock_hz: Positive = 1.41e9
    """f^rc of eqs. (5), (6). Table I."""
    remote_energy_coefficient: Positive = 6.44e-26
    """alpha^rc of eq. (6), W/Hz^3. The paper gives none; this is alpha^lc times the ratio of processors.
    Eq. (8) leaves the server's energy out of the cost, so no QoE depends on it."""
    download_latency_s: NotNegative = 1e-3
    """t^dl of eq. (7), "a small constant"."""
    latency_max_s: Positive = 1.0
    """t_max of eq. (11g). Table I."""
    accuracy_min: Annotated[float, Range(above=0, most=1)] = 0.9
    """epsilon_min of eq. (11b), against the ratio epsilon / epsilon_0. Table I."""
    accuracy_floor: Positive = 1e-3
    """Smallest epsilon eq. (4) divides by. A map may hold 0, for which eq. (4) is infinite; the floor keeps
    the latency finite and, being far below epsilon_min, never turns a failed execution into a success."""
    bandwidth_request_span: Positive = 10.0
    """Requests b-hat more than this below the largest count as this much below it. Without it eq. (12) can
    round a share to 0 Hz, for which eqs. (1) and (4) are infinite."""
    station_height_m: Positive = 10.0
    """h_BS of TR 38.901: 10 m of UMi street canyon. UMa has 25 m, an office's ceiling 3 m."""
    ue_height_m: Positive = 1.5
    """h_UT of TR 38.901."""
    environment_height_m: Positive = 1.0
    """h_E of TR 38.901 Table 7.4.1-1, note 1; indoor reads none."""
    radius_min_m: Annotated[float, Range(1)] = 10.0
    """Inner radius of the ring the UEs are drawn in; the pathloss of streets starts at 10 m."""
    radius_max_m: Positive = 200.0
    """Outer radius of the ring."""

    @override
    def problems(self) -> Iterator[Problem]:
        for name in ("power_{}_dbm", "local_clock_{}_hz", "radius_{}_m"):
            low, high = getattr(self, name.format("min")), getattr(self, name.format("max"))
            if low > high:
                yield Problem(
                    name.format("min"), f"{low} given, at most {name.format('max')} {high} is allowed"
                )
        if self.accuracy_floor >= self.accuracy_min:
            yield Problem(
                "accuracy_min", f"{self.accuracy_min} given, above {self.accuracy_floor} up to 1 is allowed"
            )
        street = self.pathloss != "indoor"
        if street and self.radius_min_m < 10:
            yield Problem(
                "radius_min_m",
                f"{self.radius_min_m} given, at least 10 is allowed with pathloss {self.pathloss}",
            )
        if street and not self.station_height_m > self.environment_height_m < self.ue_height_m:
            yield Problem(
                "environment_height_m",
                f"{self.environment_height_m} given, below station_height_m {self.station_height_m} and "
                f"ue_height_m {self.ue_height_m} is allowed",
            )

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


UE_DEVICE_FIELDS = (
    "local_flops_per_cycle", "local_clock_min_hz", "local_clock_max_hz", "local_energy_coefficient",
    "circuit_power_w", "power_min_dbm", "power_max_dbm",
)  # fmt: skip
"""Of SystemConfig, what a UE's device file says instead."""
SERVER_DEVICE_FIELDS = ("remote_flops_per_cycle", "remote_clock_hz", "remote_energy_coefficient")
"""Of SystemConfig, what a server's device file says instead."""


def dbm_to_watt(dbm: Level) -> Level:
    """Power in W of a level in dBm, a number or a tensor."""
    return 10.0 ** ((dbm - 30.0) / 10.0)


@dataclass(frozen=True, kw_only=True)
class EpisodeConfig(Settings):
    """Who is served, for how long, and what it is worth: sections III and IV-A."""

    mix: Annotated[
        tuple[str, ...],
        Range(choices=MODALITIES),
        Flag("--ues", metavar="MIX", type=modality_mix),
    ] = ("text", "image", "text", "image")
    """UEs by modality. The default's maps are of real data. Where files are given, four UEs of their
    modalities in turn."""
    queue_tasks: Annotated[int, Range(1)] = 10
    """d at the start, tasks a UE has to do. Section V-A: 10 paragraphs."""
    arrivals: Annotated[str, Range(choices=ARRIVALS)] = "none"
    """none: every queue is full at the start, and the episode ends with the last task. poisson, bursty: tasks
    arrive before each step, the first included, and the episode lasts T steps; queue_tasks is the most that
    wait, and what arrives beyond it is lost."""
    arrival_rate: Positive = 0.5
    """Tasks a UE is given in a step, in the mean, with arrivals."""
    burst_steps: Annotated[float, Range(1)] = 5.0
    """Mean length of a burst with bursty arrivals, in steps. Bursts take a quarter of the time."""
    sentences_per_task: Annotated[int, Range(1)] = 10
    """Sentences in one text task, a paragraph. Section V-A."""
    steps: Annotated[int, Range(1)] = 20
    """T of eq. (14), steps after which an episode ends in any case."""
    preference: Annotated[str, Range(choices=PREFERENCES)] = "fixed"
    """Weight of energy against latency: beta, from the battery (28), or one for all UEs, drawn from 0 to 1
    each episode, which trains one policy for the whole front."""
    beta: Annotated[float, Range(0, 1)] = 0.5
    """The fixed weight beta^f of section V-A, 0 to 1."""
    csi: Annotated[str, Range(choices=tuple(CSI))] = "instantaneous"
    """A UE knows g|h|^2 (reads AWGN maps) or only g (reads Rayleigh maps)."""
    fading: Annotated[str, Range(choices=FADINGS)] = "rayleigh"
    """|h|^2 of eq. (1). none: it is 1, for gains of a file that hold the fading already."""
    ue_speed_m_s: Annotated[float | None, Range(0)] = None
    """Speed v by which h changes from step to step, with Clarke's correlation J_0(2 pi v f_c step_s / c) at
    the carrier f_c; 0: h stays as it is for an episode. None: h is new in each step."""
    step_s: Positive = 1.0
    """Time from one step to the next, read with a speed alone. The default is Table I's t_max."""
    mobility: Annotated[str, Range(choices=MOBILITIES)] = "still"
    """still: a UE stays in its place for an episode. waypoint: it walks at ue_speed_m_s to random places of
    the ring, and g changes on the way."""
    csi_error: Annotated[float, Range(0, 1)] = 0.0
    """Variance sigma_e^2 of the error of a UE's estimate of h. Policies see g |h-hat|^2 with
    h-hat = sqrt(1 - sigma_e^2) h + sigma_e e, e ~ CN(0, 1); the channel is g |h|^2."""
    other_cells: Annotated[int, Range(0, 18)] = 0
    """Cells around ours, sqrt(3) radius_max_m apart: 6 are one ring, 18 two. In each one UE at a time sends
    at p_max on the whole band. The station measures their interference and tells its UEs."""
    offload_cost: Annotated[str, Range(choices=OFFLOAD_COSTS)] = "paper"
    """paper: eqs. (3)-(8) as printed, the server runs the whole task and the UE's encoder is free; split: the
    UE pays for its encoder in time and energy at its clock, the server runs its own share only."""
    observation: Annotated[str, Range(choices=OBSERVATIONS)] = "announced"
    """What a UE knows before a step. printed: section IV's o_i, its place, battery and last latency; lookups:
    also its channel, queue, beta and what its own map lets it earn. Beside these, history: its grants so far;
    bids: what (12) would grant it if all asked by their gain; announced: the largest gain of the others, who
    announce it."""
    battery_queues: Positive = 5000.0
    """B_max of eq. (28), in units of the energy that emptying the queue at f_max takes: D (D + 1) / 2 times
    E_0 of one task, since a step is charged for all that wait. A phone's 15 Wh are some 5000 queues of the
    text task."""
    battery_start_min: Annotated[float, Range(above=0, most=1)] = 0.1
    """Each episode a UE's battery starts at a share of B_max drawn uniformly from this to 1, so that beta^d
    spans 0.5 to 0.95 among the UEs."""
    idle_drain: NotNegative = 0.0
    """Share of B_max that the UE's other work drains over T steps. Above 0, beta^d rises with every step
    waited and the sum of QoE is largest for a policy that lets tasks fail until the battery is low."""
    success_bonus: NotNegative = 1.5
    """xi_S of eq. (14), in units of the mean over UEs of the largest QoE that one step can earn them. A step
    saved must be worth what a step earns, or waiting for a better channel pays more than finishing: QoE is
    judged by the step. The best controllers earn 1.5 of these units in a step. At the beta of reset."""
    failure_scale: NotNegative = 1.0
    """xi_F of eq. (14), in units of (largest QoE one step can earn the UE) / E_0 of one task. At 1, one task
    left undone costs as much as the best step earns. At the beta of reset."""
    penalty_max: Positive = 1.0
    """Largest punishment of eq. (13). Its t_max - t_i has no lower end as epsilon goes to 0."""

    @override
    def problems(self) -> Iterator[Problem]:
        if not self.mix:
            yield Problem("mix", f"no UE given, one or more of {', '.join(MODALITIES)} is allowed")
        if len(self.mix) > UES_MAX:
            yield Problem("mix", f"{len(self.mix)} UEs given, at most {UES_MAX} are allowed")
        if self.fading == "none" and self.csi == "statistical":
            yield Problem(
                "fading",
                "none given with csi statistical, whose maps are the mean over fading; rayleigh is allowed",
            )
        drawn = (self.csi, self.fading) == ("instantaneous", "rayleigh")
        walks = self.mobility == "waypoint"
        if walks and not self.ue_speed_m_s:
            yield Problem(
                "ue_speed_m_s", f"{self.ue_speed_m_s} given with mobility waypoint, above 0 is allowed"
            )
        speed = None if walks else self.ue_speed_m_s
        for name, value in (("ue_speed_m_s", speed), ("csi_error", self.csi_error or None)):
            if value is not None and not drawn:
                yield Problem(
                    name,
                    f"{value} given with csi {self.csi}, fading {self.fading}: no h is drawn; "
                    "csi instantaneous with fading rayleigh is allowed",
                )
        if self.steps < self.queue_tasks and not self.tasks_arrive:
            yield Problem("steps", f"{self.steps} given, at least queue_tasks {self.queue_tasks} is allowed")

    @property
    def tasks_arrive(self) -> bool:
        """Whether tasks arrive while an episode runs."""
        return self.arrivals != "none"

    def repeats(self, modality: str) -> int:
        """Sentences, images or questions in one task."""
        return self.sentences_per_task if modality == "text" else 1

    @property
    def ues(self) -> int:
        """I, number of UEs. Table I."""
        return len(self.mix)


OF_0_1 = {
    SystemConfig: frozenset((
        "bandwidth_hz", "noise_dbm_hz", "carrier_hz", "circuit_power_w", "local_flops_per_cycle",
        "local_clock_min_hz", "local_clock_max_hz", "local_energy_coefficient", "remote_flops_per_cycle",
        "remote_clock_hz", "remote_energy_coefficient", "download_latency_s", "latency_max_s", "accuracy_min",
        "accuracy_floor", "bandwidth_request_span", "station_height_m", "ue_height_m", "power_min_dbm",
        "environment_height_m", "power_max_dbm", "radius_min_m", "radius_max_m",
    )),
    EpisodeConfig: frozenset((
        "mix", "queue_tasks", "sentences_per_task", "steps", "preference", "beta", "csi", "offload_cost",
        "observation", "battery_queues", "battery_start_min", "idle_drain", "success_bonus", "failure_scale",
        "penalty_max",
    )),
}  # fmt: skip
"""Fields that files of release 0.1 have. All others count there as at their defaults, the paper's world."""


def sends(mix: tuple[str, ...], what: str) -> bool:
    """Whether any UE sends what k^T ("text") or k^I ("image") is of; one with questions sends both."""
    return what in mix or "vqa" in mix


def defaults_since_0_1(kind: type[SystemConfig | EpisodeConfig]) -> dict[str, Any]:
    """Defaults of the fields that release 0.1 did not have."""
    return {name: value for name, value in asdict(kind()).items() if name not in OF_0_1[kind]}


@dataclass(frozen=True, kw_only=True)
class Inputs(Settings):
    """Files a run reads; where one is None it is that of its modality's default codec (docs/model-zoo.md).

    A codec that ships, by its name, or the folder of a release stands for its map and its FLOPs file. Given
    as one of the two it is taken for the other as well.
    """

    text_map: Annotated[Path | None, Flag(metavar="FILE")] = None
    """Accuracy map of the text codec, f^T of section III, or the name of a codec that ships (that of the
    default codec)."""
    text_flops: Annotated[Path | None, Flag("--text-flops", "--flops", metavar="FILE")] = None
    """FLOPs file of the text codec, l^T and S^T, or such a name (that of the default codec)."""
    image_map: Annotated[Path | None, Flag(metavar="FILE")] = None
    """Accuracy map of the image codec, f^I of section III, or the name of a codec that ships (that of the
    default codec)."""
    image_flops: Annotated[Path | None, Flag(metavar="FILE")] = None
    """FLOPs file of the image codec, l^I and S^I, or such a name (that of the default codec)."""
    vqa_map: Annotated[Path | None, Flag(metavar="FILE")] = None
    """Accuracy map of the vqa codec, f^B of section III, read where both
    transmissions have the same SNR, or the name of a codec that ships (that of the default codec)."""
    vqa_flops: Annotated[Path | None, Flag(metavar="FILE")] = None
    """FLOPs file of the vqa codec, l^B and S^I, or such a name (that of the default codec)."""
    k_text: Annotated[int, Range(1), Flag("--k-text", "--k", metavar="K")] = 16
    """k^T of eq. (2), complex channel symbols per token. Table I."""
    k_image: Annotated[int, Range(1), Flag(metavar="K")] = 32
    """k^I. Table I."""
    joint_k: bool = False
    """UEs also choose k, among those of the maps up to k_text, k_image; for VQA every pair."""
    ue_device: Annotated[tuple[str, ...], Flag(metavar="LIST", type=device_list)] = (PAPER,)
    """What the UEs compute and send with: the name of a shipped device (docs/devices.md lists them) or a
    device file, one for all UEs, or one a UE in their order. paper: the system's own numbers, Table I."""
    server_device: Annotated[str, Flag(metavar="DEVICE")] = PAPER
    """The same of the server."""
    gains: Annotated[Path | None, Flag(metavar="FILE")] = None
    """File of channel gains or of the ways of UEs (docs/file-formats.md), .csv or .npy, of ray tracing or a
    measurement: each episode every UE draws one of its places. None: the pathloss model's."""


def device_problems(inputs: Inputs, system: SystemConfig, episode: EpisodeConfig) -> Iterator[Problem]:
    """What is wrong with a run's devices and gains; fields as in a config that has the three as parts."""
    if inputs.gains is not None and episode.mobility != "still":
        yield Problem(
            "episode.mobility",
            f"{episode.mobility} given, {named('gains')} says where UEs are; still is allowed",
        )
    given, ues = inputs.ue_device, episode.ues
    if len(given) not in (1, ues):
        yield Problem(
            "inputs.ue_device", f"{len(given)} devices given, one, or one for each of {ues} UEs, is allowed"
        )
    usual = SystemConfig()
    for name, devices, fields in (
        ("ue_device", given, UE_DEVICE_FIELDS),
        ("server_device", (inputs.server_device,), SERVER_DEVICE_FIELDS),
    ):
        for field in fields if PAPER not in devices else ():
            if (value := getattr(system, field)) != getattr(usual, field):
                yield Problem(
                    f"system.{field}",
                    f"{value} given, {named(name)} {','.join(devices)} says it; leave one out",
                )
