"""Settings from one place: a field of a dataclass makes the check, the flag, its help and the YAML key.

    class TrainConfig(Settings):  # under @dataclass(frozen=True, kw_only=True), its docstrings are the help
        epochs: Annotated[int, Range(1)] = 6; "Passes over the data."
    add_flags(parser, TrainConfig); config = from_args(TrainConfig, parser.parse_args())

The last line gives `--epochs EPOCHS  Passes over the data (default: 6)`, and a config of flags, over the file
of `--config`, over defaults. `TrainConfig(epochs=0)` raises one SettingsError that lists all that is wrong:
"epochs: 0 given, at least 1 is allowed". Within `run_command` it says "--epochs", and of a value in a file
"FILE: epochs".

- In a config: `Settings`, `Range`, `Flag`; its method `problems` yields a `Problem` for a broken rule across
  fields. A setting that is a config itself is a part: its flags are added with `at="its_name"`.
- In a command: `Parser` (with --version), `add_config_flags` (--config, --print-config), `add_flags`,
  `early` for what decides on the other flags, `from_args`; all of it inside `run_command`.
- In any other error: `named("init_from")`.
- For values of other origin: `Layer`, `layers_of`, `merge`, `build`, `read_layer`, `as_yaml`.

All are loaded when they are first asked for: a config loads no argparse, a command no yaml before --config.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from data.settings.fields import Flag, Layer, Range, Settings
    from data.settings.files import as_yaml, read_layer
    from data.settings.flags import Parser, add_config_flags, add_flags, early, run_command
    from data.settings.layers import build, from_args, layers_of, merge
    from data.settings.problems import Problem, SettingsError, named

__all__ = [
    "Flag", "Layer", "Parser", "Problem", "Range", "Settings", "SettingsError", "add_config_flags",
    "add_flags", "as_yaml", "build", "early", "from_args", "layers_of", "merge", "named", "read_layer",
    "run_command",
]  # fmt: skip

if not TYPE_CHECKING:  # else mypy would believe in any name

    def __getattr__(name: str) -> object:
        if name in __all__:
            for room in ("problems", "fields", "flags", "layers", "files"):
                module = importlib.import_module(f"{__name__}.{room}")
                if name in vars(module) and vars(module)[name].__module__ == module.__name__:
                    return vars(module)[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
