"""Named experiments: what ``jobs/train.py NAME`` runs.

Conventions
-----------
A recipe by its plain name has the paper's size. The same recipe as ``demo_<name>`` learns on the
composed corpus with a small network, and as ``tiny_<name>`` on a corpus for tests. Those for
instruments are there as ``large_<name>`` too: the paper's network on more composed tracks, by GPU.
"""

from collections.abc import Callable
from dataclasses import replace

from csn.config import ExperimentConfig
from csn.recipes import concepts, instruments
from csn.recipes.concepts import (
    ribecky2022,
    ribecky2022_mel,
    ribecky2022_mel_258,
    ribecky2022_tags,
    ribecky2022_tags_mel,
)
from csn.recipes.instruments import (
    free_mixing,
    hashizume2022,
    hashizume2022_separated,
    hashizume2024,
    hashizume2024_aux_basic,
    hashizume2024_aux_basic_add,
    hashizume2024_basic,
    hashizume2024_scratch,
    hashizume2024_separated,
    random_subsets,
)

Recipe = Callable[[], ExperimentConfig]


def demo() -> ExperimentConfig:
    """Compose a small corpus and go the whole way on two cores in minutes, by free mixing."""
    base = demo_sized(free_mixing())
    # Eight minutes on two cores, with composing; the whole length is for comparing systems.
    num_epochs = 3 * instruments.DEMO_EPOCHS // 10
    return replace(
        base,
        name="demo",
        triplets=replace(base.triplets, num_plans=num_epochs),
        training=replace(base.training, num_epochs=num_epochs),
    )


def tiny() -> ExperimentConfig:
    """Go the whole way in seconds, by triplets from scratch."""
    return replace(tiny_sized(hashizume2024_scratch()), name="tiny")


OF_INSTRUMENTS: tuple[Recipe, ...] = (
    hashizume2022,
    hashizume2022_separated,
    hashizume2024_separated,
    hashizume2024,
    hashizume2024_scratch,
    hashizume2024_basic,
    hashizume2024_aux_basic,
    hashizume2024_aux_basic_add,
    random_subsets,
    free_mixing,
)
SYSTEMS: tuple[Recipe, ...] = (
    *OF_INSTRUMENTS,
    ribecky2022,
    ribecky2022_mel,
    ribecky2022_mel_258,
    ribecky2022_tags,
    ribecky2022_tags_mel,
)


def demo_sized(config: ExperimentConfig) -> ExperimentConfig:
    """Make a recipe small enough for two cores and minutes, on a corpus composed for it."""
    return (concepts if config.network.of_concepts else instruments).demo_sized(config)


def tiny_sized(config: ExperimentConfig) -> ExperimentConfig:
    """Make a recipe small enough for seconds: for tests, and to try an installation."""
    return (concepts if config.network.of_concepts else instruments).tiny_sized(config)


def _sized(size: Callable[[ExperimentConfig], ExperimentConfig], recipe: Recipe) -> Recipe:
    def sized() -> ExperimentConfig:
        return size(recipe())

    kind = size.__name__.removesuffix("_sized")
    sized.__name__ = f"{kind}_{recipe.__name__}"
    sized.__doc__ = f"As {recipe.__name__}, {kind}: {recipe.__doc__}"
    return sized


ALL: dict[str, Recipe] = {
    recipe.__name__: recipe
    for recipe in (
        demo,
        tiny,
        *SYSTEMS,
        *(_sized(demo_sized, recipe) for recipe in SYSTEMS),
        *(_sized(tiny_sized, recipe) for recipe in SYSTEMS),
        *(_sized(instruments.large_sized, recipe) for recipe in OF_INSTRUMENTS),
    )
}
"""Every recipe by its name, without being built."""
