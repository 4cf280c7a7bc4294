"""The command line of the jobs: names of recipes, options that override them, exit codes.

Conventions
-----------
Exit codes: 0 done; 1 the run failed; 2 the input or the configuration is wrong, with one line on
stderr and no traceback.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pkgutil import resolve_name
from typing import Any, get_args

from csn import recipes, storage
from csn.config import CatalogueConfig, ExperimentConfig, from_json
from csn.config.options import Kind, read_options
from csn.errors import (
    CatalogueError,
    ClusterError,
    ConfigError,
    CsnError,
    TrainingError,
    in_a_line,
)
from csn.evaluation.comparison import Comparison
from csn.search_space import Scheduler, Search, Sweep, load_search_space

log = logging.getLogger("csn")

DEFAULT_RECIPE = "demo"
COMPARED_RECIPES = (
    "demo_free_mixing",
    "demo_hashizume2024",
    "demo_hashizume2024_scratch",
    "demo_hashizume2022",
)
COMPARISON_NAME = "systems"
COMPARISON_HELP = f"""
Usage: [RECIPE ...] [--name NAME] [--seeds SEED ...] [any option below, for all recipes]
  --name: the comparison's, and of its folder (default: {COMPARISON_NAME})
  --seeds: seeds of every recipe; they stand for --seed (default: 0)

Without a recipe: {", ".join(COMPARED_RECIPES)}."""

DEFAULT_SPACE = "tune_spaces/loss.toml"
SWEEP_HELP = f"""
Usage: [RECIPE] [options of the sweep] [any option below, for all trials]
  --space FILE: what is varied (default: {DEFAULT_SPACE})
  --num_samples N: trials (default: the space's; of a grid all of it)
  --search optuna|random|grid (default: the space's)
  --scheduler asha|none: whether to stop trials that fall behind (default: asha)
  --max_concurrent N: trials at a time (default: as many as the cluster holds)
  --final_seeds [SEED ...]: train the best and the recipe from these, or not (default: 0 1 2)
  --name NAME: the sweep's (default: <recipe>-<space>)"""
CATALOGUE_HELP = "\nOf a catalogue, --catalogue_uri FOLDER_OR_MANIFEST --help shows the options."
CONFIG_HELP = (
    "Instead of a recipe, --config FILE takes a configuration as JSON: a sweep's best.json."
)


def main(job: str, description: str, read: Callable[..., Any] | None = None) -> None:
    """Run `job` on what the command line names, and leave with its exit code.

    Parameters
    ----------
    job : str
        ``module:function`` that does the work and returns the address of what it made. It is
        imported when the options are read: Ray, torch and the plots take many seconds, for which
        neither the help nor a mistyped option should wait.
    description : str
        Shown by ``--help``.
    read : callable, optional
        Makes what `job` takes from the arguments and the description; by default `experiment`.
    """
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    # They tell where a key was found, and what was renamed.
    for name in ("botocore", "aiobotocore", "onnx_ir", "onnxscript"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        config = (read or experiment)(sys.argv[1:], description)
        written = resolve_name(job)(config)
    except (CatalogueError, ClusterError, TrainingError) as error:
        _fail(1, error)
    except CsnError as error:
        _fail(2, error)
    else:
        log.info("wrote %s", written)


def _fail(code: int, error: CsnError) -> None:
    sys.stderr.write(f"error: {in_a_line(error)}\n")
    sys.exit(code)


def experiment(arguments: Sequence[str], description: str = "") -> ExperimentConfig:
    """Read ``[RECIPE | --config FILE] [--field value ...]``; without a recipe it is `demo`.

    Raises
    ------
    ConfigError
        Unknown recipe or option, or a value that does not fit.
    """
    label, base, rest = _base(arguments)
    try:
        return _configured(base, rest, description)
    except ConfigError as error:
        raise ConfigError(f"{error} ({label}; see --help)") from error


def embedding(words: Sequence[str], description: str = "") -> ExperimentConfig | CatalogueConfig:
    """Read what `experiment` reads or, with ``--catalogue_uri``, a catalogue's options.

    Raises
    ------
    ConfigError
        Unknown recipe or option, or a value that does not fit.
    """
    if not any(word.partition("=")[0] == "--catalogue_uri" for word in words):
        return experiment(words, description + CATALOGUE_HELP)
    if not words[0].startswith("-"):
        raise ConfigError(
            f"{words[0]} with --catalogue_uri: a catalogue takes no recipe; name its network "
            "by --checkpoint_uri"
        )
    try:
        return read_options(CatalogueConfig, None, words, description)
    except ConfigError as error:
        raise ConfigError(f"{error} (a catalogue; see --catalogue_uri ... --help)") from error


def _base(arguments: Sequence[str]) -> tuple[str, ExperimentConfig, list[str]]:
    """Find what the options override: how to call it, the recipe or file, and the options."""
    rest = list(arguments)
    name = rest.pop(0) if rest and not rest[0].startswith("-") else None
    own, options = _parsed(rest, {"--config": {}})
    if own.config is None:
        name = DEFAULT_RECIPE if name is None else name
        _check_known([name])
        return f"recipe {name}", recipes.ALL[name](), options
    if name is not None:
        raise ConfigError(f"give a recipe ({name}) or --config {own.config}, not both")
    return f"--config {own.config}", _from_file(own.config), options


def _from_file(path: str) -> ExperimentConfig:
    """Read a configuration from a file, or from an object store."""
    try:
        return from_json(storage.read_bytes(path))
    except CsnError as error:
        raise ConfigError(f"--config {path}: {error}") from error


def sweep(arguments: Sequence[str], description: str = "") -> Sweep:
    """Read ``[RECIPE | --config FILE] [--space FILE] [--num_samples N] ... [--field value ...]``.

    Raises
    ------
    ConfigError
        Unknown recipe, option or space, or a value that does not fit, in the space as well.
    """
    label, base, rest = _base(arguments)
    own, options = _parsed(
        rest,
        {
            "--space": {"default": DEFAULT_SPACE},
            "--num_samples": {"type": int},
            "--search": {"choices": get_args(Search)},
            "--scheduler": {"default": "asha", "choices": get_args(Scheduler)},
            "--max_concurrent": {"type": int},
            "--final_seeds": {"type": int, "nargs": "*", "default": [0, 1, 2]},
            "--name": {},
        },
    )
    try:
        config = _configured(base, options, f"{description}\n{SWEEP_HELP}")
        space = load_search_space(own.space).of(config)
        num_samples = space.num_samples if own.num_samples is None else own.num_samples
        search: Search = own.search or space.search
        if search == "grid":
            whole = len(space.grid(config))
            num_samples = whole if own.num_samples is None else min(own.num_samples, whole)
        return Sweep(
            name=f"{config.name}-{space.name}" if own.name is None else own.name,
            recipe=config.name,
            config=config,
            space=space,
            num_samples=num_samples,
            search=search,
            scheduler=own.scheduler,
            max_concurrent=own.max_concurrent,
            final_seeds=tuple(own.final_seeds),
        )
    except ConfigError as error:
        raise ConfigError(f"{error} ({label}; see --help)") from error


def options(kind: type[Kind], arguments: Sequence[str], description: str = "") -> Kind:
    """Read a configuration that no recipe stands for: ``--field value ...`` alone.

    Raises
    ------
    ConfigError
        Unknown or missing option, or a value that does not fit.
    """
    try:
        return read_options(kind, None, arguments, description)
    except ConfigError as error:
        raise ConfigError(f"{error} (see --help)") from error


def comparison(arguments: Sequence[str], description: str = "") -> Comparison:
    """Read ``[RECIPE ...] [--name NAME] [--seeds SEED ...] [--field value ...]``.

    Raises
    ------
    ConfigError
        Everything that is wrong with any recipe: unknown names or options, values that do not fit.
    """
    rest = list(arguments)
    first_option = next((i for i, word in enumerate(rest) if word.startswith("-")), len(rest))
    names = rest[:first_option] or list(COMPARED_RECIPES)
    _check_known(names)
    if {"-h", "--help"} & set(rest):
        _configured(recipes.ALL[names[0]](), ["--help"], f"{description}\n{COMPARISON_HELP}")
    own, options = _comparison_options(rest[first_option:])
    for given in (names, own.seeds):
        if repeated := [str(one) for one in dict.fromkeys(given) if given.count(one) > 1]:
            raise ConfigError(f"{', '.join(repeated)} is named twice; name it once")
    configs: dict[str, ExperimentConfig] = {}
    faults: dict[str, list[str]] = {}
    for name in names:
        for seed in own.seeds:
            # The comparison's name is a folder's, as an experiment's is, and refused as that.
            words = [*options, f"--name={own.name}", f"--seed={seed}"]
            try:
                configs.setdefault(name, _configured(recipes.ALL[name](), words, description))
            except ConfigError as error:
                faults.setdefault(str(error), []).append(name)
    if faults:
        told = (f"{fault} (recipe {', '.join(dict.fromkeys(of))})" for fault, of in faults.items())
        raise ConfigError(f"{'; '.join(told)}; see --help")
    return Comparison(own.name, configs, tuple(own.seeds))


def _comparison_options(words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Split the comparison's own options from those of the experiments, which keep their order."""
    own, options = _parsed(
        words,
        {
            "--name": {"default": COMPARISON_NAME},
            "--seeds": {"type": int, "nargs": "+", "default": [0]},
            "--seed": {"dest": "lone_seed"},
        },
    )
    if own.lone_seed is not None:
        raise ConfigError(f"a comparison takes --seeds {own.lone_seed}, not --seed (see --help)")
    return own, options


def _parsed(
    words: Sequence[str], known: Mapping[str, Mapping[str, Any]]
) -> tuple[argparse.Namespace, list[str]]:
    """Split the options `known`, with argparse's settings of each, from all others."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for option, settings in known.items():
        parser.add_argument(option, **settings)
    try:
        return parser.parse_known_args(list(words))
    except argparse.ArgumentError as error:
        raise ConfigError(f"{error} (see --help)") from error


def _check_known(names: Sequence[str]) -> None:
    if unknown := [repr(name) for name in names if name not in recipes.ALL]:
        known = ", ".join(recipes.ALL)
        raise ConfigError(f"unknown recipe {', '.join(unknown)}; there are {known}")


def _configured(
    base: ExperimentConfig, options: Sequence[str], description: str
) -> ExperimentConfig:
    """Override `base` with `options`; prints the help where that is asked."""
    if {"-h", "--help"} & set(options):
        description = f"{description}\n\n{CONFIG_HELP}"
        known = "\n".join(f"  {n}: {r.__doc__}" for n, r in recipes.ALL.items())
        description = f"{description}\n\nRecipes (the first word; {base.name} is shown):\n{known}"
    return read_options(ExperimentConfig, base, options, description)
