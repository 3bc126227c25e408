"""What a profile says: tables of counts, decoding modes, slips, residuals and latency, and the FLOPs file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from data.settings import named
from deepsc.text.config import TextCodecConfig
from profiling.closed import decoding
from profiling.closed.decoding import Decoding
from profiling.closed.parts import SHARES, belongs, split
from profiling.counted.residuals import FLOP_COUNTER_MODE, FVCORE, Counted
from profiling.flops_file import FlopsFile
from profiling.profile import CodecProfile, ModelProfile
from profiling.tables import Table
from profiling.timed.latency import Latency, Timing
from profiling.units import Flops, Macs

_UNIT = "MFLOP, 1 multiply-add = 2 FLOP"
_BEAMS = 4
"""Width of the search in the table of decoding modes."""


def answer(profile: ModelProfile) -> list[Table]:
    """What one task costs, and where: what most readers want to know of a profile.

    Of a codec one table in MFLOP, as printed against corrected, and with the latency where it was timed. Of
    any other model what each tool prints against the corrected count.
    """
    if not isinstance(profile, CodecProfile):
        shown = [_residuals(profile, title=f"{profile.heading}; {_UNIT}")]
        return shown if profile.latency is None else [*shown, _latency(profile, profile.latency)]
    corrected, printed = split(profile.parts), split(profile.parts, printed=True)
    timed = None if profile.latency is None else _latency(profile, profile.latency)
    speed = {} if timed is None else {row[0]: (row[1], row[3]) for row in timed.rows}
    return [
        Table(
            title=_title(profile),
            columns=("one task", "as printed", "corrected", *(("ms", "c, GFLOP/s") if speed else ())),
            rows=tuple(
                (
                    label,
                    _mflop(getattr(printed, share)),
                    _mflop(getattr(corrected, share)),
                    *speed.get(label, ()),
                )
                for share, label in SHARES.items()
            ),
        )
    ]


def tables(profile: ModelProfile) -> list[Table]:
    """All tables of a profile, counts in MFLOP. 1 multiply-add = 2 FLOPs."""
    shown = []
    if isinstance(profile, CodecProfile):
        shown.append(_parts(profile))
        if isinstance(profile.config, TextCodecConfig):  # the only decoder that generates
            shown.append(_decoding(profile.config, profile.sizes))
        shown.append(_slips(profile))
    shown += [_modules(profile), _residuals(profile), _elements(profile)]
    if profile.latency is not None:
        shown.append(_latency(profile, profile.latency))
    return shown


def notes(profile: ModelProfile) -> list[str]:
    """What the tables do not hold: lines of plain text."""
    lines = []
    if isinstance(profile, CodecProfile):
        lines.append(
            "A JSC codec computes all symbols of its nested code, "
            f"{' and '.join(str(k[-1]) for k in profile.config.uplinks)} a token, whatever k is sent."
        )
    masked = Macs.total(macs for counted in profile.counted for macs in counted.products.masked.values())
    if masked:
        lines.append(
            f"Causal mask counted dense: {masked.flops} of attention are computed and masked; a kernel that "
            "knows the mask spares them."
        )
    if profile.latency is not None:
        lines += _latency_notes(profile.latency)
    return lines


def flops_file(profile: CodecProfile, provenance: Mapping[str, Any]) -> FlopsFile:
    """What the optimizer reads: the corrected counts, and all others under `breakdown`."""
    corrected = split(profile.parts)
    breakdown: dict[str, Any] = {
        "jsc_symbols_computed": [k[-1] for k in profile.config.uplinks],
        "as_printed": {name: getattr(split(profile.parts, printed=True), name).count for name in SHARES},
        "parts": [
            {
                "name": part.name,
                "place": str(part.place),
                "local": part.local,
                "as_printed": None if part.as_printed is None else part.as_printed.count,
                "corrected": part.corrected.count,
                "flop_counter_mode": None if counted.torch is None else counted.torch.total.count,
                "fvcore_macs": None if counted.fvcore is None else counted.fvcore.total.count,
                "modules": {path: macs.flops.count for path, macs in part.modules.items()},
                "elements_not_counted": dict(counted.products.elements),
                "slips": [
                    {"equation": slip.equation, "what": slip.what, "flops": slip.flops.count}
                    for slip in part.slips
                ],
            }
            for part, counted in zip(profile.parts, profile.counted, strict=True)
        ],
    }
    if profile.latency is not None:
        breakdown["latency"] = _latency_fields(profile.latency)
    return FlopsFile(
        modality=profile.modality,
        model=profile.config.model_name,
        decoding=profile.decoding,
        local_flops=corrected.local.count,
        ue_flops=corrected.ue.count,
        server_flops=corrected.server.count,
        breakdown=breakdown,
        provenance=provenance,
        **profile.sizes,
    )


def counts(profile: ModelProfile) -> Table:
    """Every module's count as whole FLOPs, for CSV."""
    places = {}
    if isinstance(profile, CodecProfile):
        places = {part.name: str(part.place) for part in profile.parts}
    return Table(
        title=profile.heading,
        columns=("part", "place", "module", "corrected_flops", "flop_counter_mode_flops", "fvcore_flops"),
        rows=tuple(
            (
                counted.name,
                places.get(counted.name, ""),
                path,
                *(str(count.count) if count else "" for count in row),
            )
            for counted in profile.counted
            for path, row in _module_rows(counted)
        ),
    )


def _parts(profile: CodecProfile) -> Table:
    def row(label: str, *flops: Flops | None) -> tuple[str, ...]:
        return (label, *(_mflop(count) for count in flops))

    rows = [
        row(f"{part.name} ({part.place})", part.as_printed, part.corrected, *_measured([counted]))
        for part, counted in zip(profile.parts, profile.counted, strict=True)
    ]
    corrected, printed = split(profile.parts), split(profile.parts, printed=True)
    for share, label in SHARES.items():
        counted = [part for part in profile.counted if part.name in _names(profile, share)]
        rows.append(row(label, getattr(printed, share), getattr(corrected, share), *_measured(counted)))
    return Table(
        title=_title(profile),
        columns=("part", "as printed", "corrected", FLOP_COUNTER_MODE, FVCORE),
        rows=tuple(rows),
    )


def _modules(profile: ModelProfile) -> Table:
    return Table(
        title=f"{profile.heading}: matrix products by module, layers added up, MFLOP",
        columns=("module", "corrected", FLOP_COUNTER_MODE, FVCORE),
        rows=tuple(
            row
            for counted in profile.counted
            for row in (
                *(
                    (path or "(the model itself)", *(_mflop(count) for count in counts))
                    for path, counts in _module_rows(counted)
                ),
                (f"= {counted.name}", _mflop(counted.corrected), *map(_mflop, _measured([counted]))),
            )
        ),
    )


def _module_rows(counted: Counted) -> Iterator[tuple[str, tuple[Flops | None, Flops | None, Flops | None]]]:
    in_torch = None if counted.torch is None else counted.torch.modules
    in_fvcore = None if counted.fvcore is None else counted.fvcore.modules
    for path in dict.fromkeys((*counted.closed, *(in_torch or ()), *(in_fvcore or ()))):
        yield (
            path,
            (
                counted.closed.get(path, Macs(0)).flops,
                None if in_torch is None else in_torch.get(path, Flops(0)),
                None if in_fvcore is None else in_fvcore.get(path, Macs(0)).flops,
            ),
        )


def _decoding(config: TextCodecConfig, sizes: Mapping[str, int]) -> Table:
    lengths = {"source_length": sizes["source_length"], "target_length": sizes["target_length"]}

    def cost(mode: Decoding) -> Flops:
        return Macs.total(decoding.decoder(config, **lengths, decoding=mode, beams=_BEAMS).values()).flops

    one_pass = cost(Decoding.TEACHER_FORCED)
    source, last = lengths["source_length"], lengths["target_length"]
    rows = [
        (str(Decoding.TEACHER_FORCED), one_pass),
        ("  of which behind the causal mask", decoding.masked(config, target_length=last).flops),
        (str(Decoding.GREEDY_NO_CACHE), cost(Decoding.GREEDY_NO_CACHE)),
        (str(Decoding.GREEDY_KV_CACHE), cost(Decoding.GREEDY_KV_CACHE)),
        ("  prefill: keys and values of the source", decoding.prefill(config, source_length=source).flops),
        *(
            (f"  step {position}", decoding.step(config, source_length=source, position=position).flops)
            for position in sorted({1, last})
        ),
        (f"{Decoding.BEAM_KV_CACHE}, {_BEAMS} beams", cost(Decoding.BEAM_KV_CACHE)),
    ]
    return Table(
        title="Semantic decoder by mode, corrected",
        columns=("mode", "MFLOP", "of one pass"),
        rows=tuple((label, _mflop(flops), f"{flops / one_pass:.2f}") for label, flops in rows),
    )


def _slips(profile: CodecProfile) -> Table:
    return Table(
        title="Corrected minus as printed, by cause, and its share of the corrected part",
        columns=("part and cause", "where", "MFLOP", "share"),
        rows=tuple(
            (
                f"{part.name}: {slip.what}",
                f"eq. ({slip.equation})" if slip.equation[0].isdigit() else slip.equation,
                _mflop(slip.flops),
                f"{slip.flops / part.corrected:+.2%}" if part.corrected.count else "-",
            )
            for part in profile.parts
            for slip in part.slips
        ),
    )


def _residuals(
    profile: ModelProfile,
    *,
    title: str = "From what each tool prints to the corrected count, all parts together",
) -> Table:
    causes: dict[tuple[str, str], Flops] = {}
    for counted in profile.counted:
        for residual in counted.residuals():
            key = residual.tool, residual.cause
            causes[key] = causes.get(key, Flops(0)) + residual.flops
    corrected = Flops.total(counted.corrected for counted in profile.counted)
    rows = []
    for tool in (FLOP_COUNTER_MODE, FVCORE):
        to_add = {cause: flops for (name, cause), flops in causes.items() if name == tool}
        if dict(zip((FLOP_COUNTER_MODE, FVCORE), _measured([*profile.counted]), strict=True))[tool] is None:
            rows.append((f"{tool} prints nothing: it cannot run the model", "", ""))
            continue
        printed = corrected - Flops.total(to_add.values())
        rows.append((f"{tool} prints", _mflop(printed), _share(printed, corrected)))
        rows += [
            (f"  {cause}", _mflop(flops), _share(flops, corrected, signed=True))
            for cause, flops in to_add.items()
        ]
    rows.append(("corrected", _mflop(corrected), _share(corrected, corrected)))
    return Table(
        title=title,
        columns=("residual", "MFLOP", "share"),
        rows=tuple(rows),
    )


def _elements(profile: ModelProfile) -> Table:
    elements: Counter[str] = Counter()
    for counted in profile.counted:
        elements.update(counted.products.elements)
    uncounted = sum(sum(counted.products.uncounted.values()) for counted in profile.counted)
    rows = [(cause, f"{count / 1e6:.3f}") for cause, count in elements.most_common()]
    if uncounted:
        rows.append((f"unknown operators: {uncounted} calls", "not counted"))
    return Table(
        title="Not in any count: operators that are no matrix products, elements they write",
        columns=("operators", "million elements"),
        rows=tuple(rows),
    )


def _latency(profile: ModelProfile, latency: Latency) -> Table:
    config = latency.config
    theoretical = config.theoretical_flops_per_s

    def row(label: str, timings: list[Timing], interval: str = "") -> tuple[str, ...]:
        seconds = sum(timing.median_s for timing in timings)
        rate = Flops.total(timing.flops for timing in timings).count / seconds
        energies = [timing.energy_j for timing in timings if timing.energy_j is not None]
        return (
            label,
            f"{1e3 * seconds:.3f}",
            interval,
            f"{rate / 1e9:.3f}",
            f"{rate / theoretical:.2%}",
            f"{1e3 * sum(energies):.3f}" if len(energies) == len(timings) else "no meter",
        )

    rows = [
        row(timing.part, [timing], f"{1e3 * timing.low_s:.3f} to {1e3 * timing.high_s:.3f}")
        for timing in latency.timings
    ]
    if isinstance(profile, CodecProfile):
        for share, label in SHARES.items():
            names = _names(profile, share)
            rows.append(row(label, [timing for timing in latency.timings if timing.part in names]))
    return Table(
        title=f"Latency and effective c of eq. (3) on {latency.device}: {latency.threads} threads, "
        f"{config.dtype}, batch {config.batch}; n f = {theoretical / 1e9:.2f} GFLOP/s",
        columns=("part", "median ms", "quartiles ms", "c, GFLOP/s", "of n f", "energy mJ"),
        rows=tuple(rows),
    )


def _latency_notes(latency: Latency) -> list[str]:
    config = latency.config
    lines = [
        f"n f: {config.flops_per_cycle:g} FLOP a cycle at {config.clock_hz / 1e9:g} GHz "
        f"({named('flops_per_cycle')}, {named('clock_hz')}; the defaults are Table I's UE, not this device)."
    ]
    if latency.meter is None:
        lines.append("Energy: this machine offers no meter (NVML, RAPL) that may be read, so none is given.")
    else:
        lines.append(f"Energy: {latency.meter}, idle draw included.")
    lines.append(f"alpha of E = alpha t f^3: {latency.alpha.alpha:.3g} W/Hz^3, {latency.alpha.source}.")
    return lines


def _latency_fields(latency: Latency) -> dict[str, Any]:
    return {
        "config": asdict(latency.config),
        "device": latency.device,
        "threads": latency.threads,
        "meter": latency.meter,
        "alpha": asdict(latency.alpha),
        "parts": [
            asdict(timing) | {"flops": timing.flops.count, "flops_per_s": timing.flops_per_s}
            for timing in latency.timings
        ],
    }


def _measured(counted: list[Counted]) -> tuple[Flops | None, Flops | None]:
    in_torch = [part.torch.total for part in counted if part.torch is not None]
    in_fvcore = [part.fvcore.total.flops for part in counted if part.fvcore is not None]
    return (
        Flops.total(in_torch) if len(in_torch) == len(counted) else None,
        Flops.total(in_fvcore) if len(in_fvcore) == len(counted) else None,
    )


def _names(profile: CodecProfile, share: str) -> set[str]:
    return {part.name for part in profile.parts if belongs(part, share)}


def _title(profile: CodecProfile) -> str:
    name = profile.config.model_name
    return f"{name['name']} {name['preset']}: {profile.heading}, {profile.decoding}; {_UNIT}"


def _share(flops: Flops, total: Flops, *, signed: bool = False) -> str:
    if not total:  # a model without products
        return "–"
    return f"{flops / total:{'+' if signed else ''}.2%}"


def _mflop(flops: Flops | None) -> str:
    return "not counted" if flops is None else f"{flops.count / 1e6:.3f}"
