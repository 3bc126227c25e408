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

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
