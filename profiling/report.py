"""FLOPs of a text codec from every method side by side: measured, checked, tabulated, and as a FLOPs file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from data.artifacts import ToolkitError
from deepsc.config import TextCodecConfig
from profiling import measured, workloads
from profiling.appendix_a import as_printed
from profiling.closed_form import corrected, decoder_flops
from profiling.flops_file import FlopsFile
from profiling.measured import Measurement
from profiling.parts import Decoding, PartFlops
from profiling.slips import Slip, slips

_PART_LABELS = {
    "encoder": "semantic encoder (UE)",
    "jsc_encoder": "JSC encoder (UE)",
    "jsc_decoder": "JSC decoder (server)",
    "decoder": "semantic decoder (server)",
}
_SUM_LABELS = {"local": "local task", "ue": "UE's share", "server": "server's share"}


@dataclass(frozen=True, kw_only=True)
class TextProfile:
    """FLOPs of one sentence through a text codec, decoding greedily with a KV cache unless said otherwise."""

    config: TextCodecConfig
    k: int
    source_length: int
    target_length: int
    as_printed: PartFlops
    """Appendix A, eqs (29) to (33), literally."""
    corrected: PartFlops
    """Closed form; equals both counters' matrix products."""
    flop_counter: Mapping[str, Measurement]
    """torch's FlopCounterMode, by field of `PartFlops`."""
    fvcore: Mapping[str, Measurement]
    """fvcore's FlopCountAnalysis, by field of `PartFlops`."""
    decoder_by_mode: Mapping[Decoding, int]
    """Semantic decoder, FLOPs counted by FlopCounterMode; each equals its closed form."""
    slips: list[Slip]
    """What separates `as_printed` from `corrected`."""

    def flops_file(self, provenance: Mapping[str, Any]) -> FlopsFile:
        """What the optimizer reads: the corrected counts, and all others under `breakdown`."""
        return FlopsFile(
            modality="text",
            model=self.config.model_name,
            k=self.k,
            source_length=self.source_length,
            target_length=self.target_length,
            decoding=str(Decoding.GREEDY_KV_CACHE),
            local_flops=self.corrected.local,
            ue_flops=self.corrected.ue,
            server_flops=self.corrected.server,
            breakdown={
                "jsc_symbols_computed": self.config.k[-1],
                "as_printed": _fields(self.as_printed),
                "corrected": _fields(self.corrected),
                "flop_counter_mode": {part: asdict(count) for part, count in self.flop_counter.items()},
                "fvcore": {part: asdict(count) for part, count in self.fvcore.items()},
                "decoder_by_mode": {str(mode): flops for mode, flops in self.decoder_by_mode.items()},
                "slips": [asdict(slip) for slip in self.slips],
            },
            provenance=provenance,
        )

    def table(self) -> str:
        """Parts by methods in MFLOP, decoding modes, slips in per cent, and what no method counts."""
        products = [_parts(self.flop_counter), _parts(self.fvcore)]
        columns = [_fields(method) for method in (self.as_printed, self.corrected, *products)]
        lines = [
            f"{self.config.model_name['name']} {self.config.preset}: one sentence of {self.source_length} "
            f"source and {self.target_length} target tokens, k = {self.k}, {Decoding.GREEDY_KV_CACHE}",
            f"MFLOP, 1 multiply-add = 2 FLOP; the JSC codec computes all {self.config.k[-1]} symbols it has",
            "",
            _row("", ["as printed", "corrected", "FlopCounterMode", "fvcore"]),
        ]
        for name, label in (_PART_LABELS | _SUM_LABELS).items():
            lines.append(_row(label, [_mflop(column[name]) for column in columns]))
        lines += ["", _row("semantic decoder, by mode", ["", "corrected", "FlopCounterMode"])]
        lengths = {"source_length": self.source_length, "target_length": self.target_length}
        for mode, counted in self.decoder_by_mode.items():
            closed = decoder_flops(self.config, **lengths, decoding=mode)
            lines.append(_row(str(mode), ["", _mflop(closed), _mflop(counted)]))
        lines += ["", "Corrected minus as printed, by cause, and its share of the corrected part"]
        for slip in self.slips:
            share = slip.flops / getattr(self.corrected, slip.part)
            what = f"eq. ({slip.equation})" if slip.equation[0].isdigit() else slip.equation
            label = f"  {_PART_LABELS[slip.part]:26}{what:14}{slip.what:40}"
            lines.append(f"{label}{_mflop(slip.flops):>12}{share:>+10.2%}")
        return "\n".join([*lines, "", *self._residuals()]) + "\n"

    def _residuals(self) -> list[str]:
        total = sum(count.matrix_flops for count in self.flop_counter.values())
        elements = sum(sum(count.not_counted.values()) for count in self.flop_counter.values())
        norm = sum(count.estimated.get("layer_norm", 0) for count in self.fvcore.values())
        operators = sorted({name for count in self.flop_counter.values() for name in count.not_counted})
        calls = sum(sum(count.not_counted.values()) for count in self.fvcore.values())
        return [
            "Not in the table: operators that are no matrix products. They write "
            f"{elements / 1e6:.3f} M elements ({elements / total:.2%} of the FLOPs at one each):",
            "  " + ", ".join(operators),
            f"fvcore counts multiply-adds (doubled above). It adds {norm / 1e6:.3f} M for LayerNorm (5 per "
            f"element, not in the table)\nand names {calls} calls of other operators that it does not count.",
        ]


def profile_text(config: TextCodecConfig, *, k: int, source_length: int, target_length: int) -> TextProfile:
    """Count one sentence through a text codec by every method. Takes seconds; no weights are needed.

    Args:
        config: architecture.
        k: complex symbols per token, one of `config.k`.
        source_length: S, tokens, the end of sentence included.
        target_length: T, tokens the decoder generates, the end of sentence included.

    Raises:
        ToolkitError: if k or a length does not fit the codec, or if a counter and the closed form differ.
    """
    _validate(config, k=k, source_length=source_length, target_length=target_length)
    codec = workloads.meta_codec(config)
    lengths = {"source_length": source_length, "target_length": target_length}
    closed = corrected(config, source_length=source_length, target_length=target_length)
    parts = {
        "encoder": workloads.encoder_workload(codec, source_length=source_length),
        "jsc_encoder": workloads.jsc_encoder_workload(codec, source_length=source_length, k=k),
        "jsc_decoder": workloads.jsc_decoder_workload(codec, source_length=source_length, k=k),
        "decoder": workloads.decoder_workload(codec, **lengths, decoding=Decoding.GREEDY_KV_CACHE),
    }
    flop_counter = {name: measured.count_with_torch(_run(workload)) for name, workload in parts.items()}
    fvcore = {name: measured.count_with_fvcore(workload) for name, workload in parts.items()}
    for name in parts:
        for method, counts in (("FlopCounterMode", flop_counter), ("fvcore", fvcore)):
            _check(name, getattr(closed, name), method, counts[name].matrix_flops)
    decoder_by_mode = {Decoding.GREEDY_KV_CACHE: flop_counter["decoder"].matrix_flops}
    for mode in (Decoding.TEACHER_FORCED, Decoding.GREEDY_NO_CACHE):
        workload = workloads.decoder_workload(codec, **lengths, decoding=mode)
        count = measured.count_with_torch(_run(workload)).matrix_flops
        _check(f"decoder, {mode}", decoder_flops(config, **lengths, decoding=mode), "FlopCounterMode", count)
        decoder_by_mode[mode] = count
    return TextProfile(
        config=config,
        k=k,
        **lengths,
        as_printed=as_printed(config, source_length=source_length, k=k),
        corrected=closed,
        flop_counter=flop_counter,
        fvcore=fvcore,
        decoder_by_mode=decoder_by_mode,
        slips=slips(config, **lengths, k=k),
    )


def _validate(config: TextCodecConfig, *, k: int, source_length: int, target_length: int) -> None:
    if not config.k:
        raise ToolkitError(
            "--checkpoint: the local model has no JSC codec to count; give the codec's checkpoint, "
            "whose FLOPs file holds the local count too"
        )
    if k not in config.k:
        raise ToolkitError(f"--k: {k} given, the codec allows {', '.join(map(str, config.k))}")
    for flag, length in (("--source-length", source_length), ("--target-length", target_length)):
        if not 1 <= length <= config.max_length:
            raise ToolkitError(f"{flag}: {length} given, the codec allows 1 to {config.max_length} tokens")


def _check(part: str, expected: int, method: str, count: int) -> None:
    if count != expected:
        raise ToolkitError(
            f"{part}: the closed form gives {expected} FLOPs, {method} counts {count}; "
            "the model's code and profiling/closed_form.py no longer agree"
        )


def _run(workload: workloads.Workload) -> Callable[[], object]:
    return lambda: workload.module(*workload.inputs)


def _parts(counts: Mapping[str, Measurement]) -> PartFlops:
    return PartFlops(**{name: count.matrix_flops for name, count in counts.items()})


def _fields(parts: PartFlops) -> dict[str, int | None]:
    return {name: getattr(parts, name) for name in (*_PART_LABELS, *_SUM_LABELS)}


def _mflop(flops: int | None) -> str:
    return "not counted" if flops is None else f"{flops / 1e6:.3f}"


def _row(label: str, cells: list[str]) -> str:
    return f"{label:28}" + "".join(f"{cell:>17}" for cell in cells)
