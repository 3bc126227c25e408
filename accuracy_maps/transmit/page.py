"""`transmit --serve`: a page on this machine, by gradio. Drag SNR, k and fading, and see what arrives."""

from __future__ import annotations

import functools
import html
import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from accuracy_maps.release.card import release_maps
from accuracy_maps.transmit.config import LARGEST_SEED, TransmitConfig
from accuracy_maps.transmit.figures import constellation, curves
from accuracy_maps.transmit.show import load_model
from accuracy_maps.transmit.words import different_words
from data.files.errors import ToolkitError
from data.settings import named
from deepsc.link.channel import channel_names

if TYPE_CHECKING:
    import gradio as gr

    from deepsc.modality import Answer
    from deepsc.transceiver import SeparateCoding, Transceiver

HOST = "127.0.0.1"
"""Loopback: no other machine reaches the page."""
EXAMPLE = "Two dogs run through the snow."
_LEAST_DB, _MOST_DB = -15, 20
"""Of the slider: the shipped image codec fails at the lower end."""
_STYLE = """
.said { font-size: 1.25rem; line-height: 1.6; }
.said dt { font-size: .8rem; opacity: .65; margin-top: .6rem; }
.said dd { margin: 0; }
.said mark { background: none; color: #dc2626; text-decoration: underline; text-decoration-thickness: 2px; }
"""


class Sending:
    """What the page's controls do.

    Args:
        config: of the command.
        model: the codec.
    """

    def __init__(self, config: TransmitConfig, model: Transceiver) -> None:
        self.config, self.model = config, model
        self.maps = release_maps(model.release) if model.release is not None else {}
        # Neither follows from k or SNR, which are dragged.
        self._local = functools.lru_cache(maxsize=1)(self._local_answer)
        self._coded = functools.lru_cache(maxsize=1)(self._separate)

    def __call__(
        self, k: str, snr_db: float, channel: str, seed: float | None, *words: str | None
    ) -> tuple[str, Any, Any]:
        """Send what the user gave.

        Args:
            k: of each transmission, one of `k_choices`.
            snr_db: of all transmissions.
            channel: its name.
            seed: of noise and fading.
            words: a sentence, the file of an image, or the file and a question.

        Returns:
            What arrives as HTML, the constellation, and the maps' curves; figures are None where there is
            nothing to show.
        """
        if not all(words):
            return "", None, None
        item, local = self._item(words), self._local(words)
        ks, number = tuple(map(int, k.split(", "))), int(seed or 0)  # the field may be cleared
        sent = self.model.transmit([item], k=ks, snr_db=snr_db, channel=channel, seed=number)
        rows = [("arrives", _marked(sent.answers[0], local))]
        if local is not None:
            rows.append(("local model, without a channel", _marked(local, local)))
        if self.config.digital:
            coded = self._coded(words, channel)
            arrived = coded.transmit(k=ks[0], snr_db=snr_db, seed=number)
            text = "<em>nothing arrives</em>" if arrived is None else _marked(arrived, local)
            rows.append((f"separate coding, {coded.size} in as many symbols", text))
        entries = "".join(f"<dt>{head}</dt><dd>{text}</dd>" for head, text in rows)
        figure = constellation(sent.sent[0], sent.received[0])
        return f'<dl class="said">{entries}</dl>', figure, curves(self.maps, ks, snr_db, channel)

    def _item(self, words: tuple[str | None, ...]) -> Any:
        return self.model.sender.read([str(word) for word in words])

    def _local_answer(self, words: tuple[str | None, ...]) -> Answer | None:
        if self.model.local_model is None:
            return None
        return self.model.local_answers([self._item(words)])[0]

    def _separate(self, words: tuple[str | None, ...], channel: str) -> SeparateCoding:
        return self.model.separate(
            self._item(words), channel=channel, code=self.config.code, data_dir=self.config.data_dir
        )


def k_choices(model: Transceiver) -> list[str]:
    """Each trained k; of several transmissions as many of each as the shortest list has."""
    return [", ".join(map(str, ks)) for ks in zip(*model.ks, strict=False)]


def build_page(config: TransmitConfig, model: Transceiver) -> gr.Blocks:
    """The page, not yet served.

    Raises:
        ToolkitError: if gradio is missing.
    """
    gr = _gradio()
    send = Sending(config, model)

    def answer(*values: Any) -> tuple[Any, ...]:
        try:
            said, symbols, measured = send(*values)
        except ToolkitError as error:
            raise gr.Error(str(error)) from error
        return said, symbols, gr.Plot(value=measured, visible=measured is not None)

    with gr.Blocks(title="transmit", analytics_enabled=False) as page:
        gr.Markdown(f"## {html.escape(config.codec_name)} over a noisy channel")
        with gr.Row():
            with gr.Column():
                words = _inputs(gr, config, model)
                choices = k_choices(model)
                k = gr.Radio(choices, value=choices[0], label="k, complex symbols per token")
                snr_db = gr.Slider(
                    _LEAST_DB, _MOST_DB, value=0, step=0.5, label="SNR, dB (E_s/N_0)", elem_id="snr"
                )
                kind = model.channel_of(config.channel).kind
                channel = gr.Radio(
                    list(channel_names()), value=kind, label="channel; with fading, one gain each time"
                )
                seed = gr.Number(
                    config.seed,
                    label="seed of noise and fading",
                    precision=0,
                    minimum=0,
                    maximum=LARGEST_SEED,
                )
            with gr.Column():
                said = gr.HTML(elem_id="said")
                with gr.Row():
                    symbols = gr.Plot(show_label=False, format="png", elem_id="symbols")
                    measured = gr.Plot(show_label=False, format="png", elem_id="measured")
        controls = [k, snr_db, channel, seed, *words]
        gr.on(
            [page.load, *(control.change for control in controls)],
            answer,
            inputs=controls,
            outputs=[said, symbols, measured],
            trigger_mode="always_last",
            show_progress="hidden",
            api_name=False,
        )
    return page


def _inputs(gr: Any, config: TransmitConfig, model: Transceiver) -> list[Any]:
    """What the user gives: a sentence, an image, or an image and a question."""
    kind, items = model.modality.name, list(config.items)
    if kind == "text":
        return [gr.Textbox(items[0] if items else EXAMPLE, label="sentence", lines=2, elem_id="sentence")]
    image = gr.Image(items[0] if items else None, label="image", type="filepath")
    if kind == "image":
        return [image]
    return [image, gr.Textbox(items[1] if items[1:] else "", label="question", elem_id="question")]


def serve(config: TransmitConfig) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        ToolkitError: if gradio is missing, or the port is taken.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)  # gradio looks whether its own page is there
    page = build_page(config, load_model(config))
    try:
        page.launch(
            server_name=HOST, server_port=config.port, share=False, quiet=True, prevent_thread_lock=True,
            ssr_mode=False, footer_links=[], css=_STYLE,
        )  # fmt: skip
    except OSError as error:
        raise ToolkitError(
            f"{named('port')}: {config.port} given, the page cannot be served there; give another"
        ) from error
    print(f"http://{HOST}:{config.port} shows the page, on this machine alone; Ctrl-C ends it", flush=True)
    try:
        threading.Event().wait()
    finally:
        page.close()


def _gradio() -> Any:
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    try:
        import gradio
    except ImportError as error:
        raise ToolkitError(
            f"{named('serve')}: given, which needs gradio: pip install 'deepsc-toolkit[demo]'"
        ) from error
    return gradio


def _marked(answer: Answer, local: Answer | None) -> str:
    """An answer as HTML, its words that differ from the local model's marked."""
    words = different_words(answer.text, answer.text if local is None else local.text)
    text = " ".join(
        f"<mark>{html.escape(word)}</mark>" if differs else html.escape(word) for word, differs in words
    )
    return text if answer.probability is None else f"{text} ({answer.probability:.2f})"
