"""Search spaces as data: ``tune_spaces/*.toml``, checked against a configuration.

Conventions
-----------
A space asks one question. Its ``[space]`` names fields as the command line does, each with one of

=================  ==================================================================
``uniform``        ``[low, high]``, any number between them
``loguniform``     ``[low, high]``, so that each factor is as likely as the next
``integer``        ``[low, high]`` or ``[low, high, step]``, both ends allowed
``grid``           numbers in order, one of which is taken
``choice``         values without an order; lists stand for tuples
=================  ==================================================================

and, where needed, ``when = { field = value }`` (or a list of values; ``"none"`` is none): it is
varied only where each of these fields has such a value, be it the configuration's own or one that
was drawn for a field before it. ``metric`` may list several: the first that training reports
counts. ``search`` is how values are found (optuna, random or grid) unless the command line says
otherwise. ``keep_start`` lets all trials begin from what the recipe itself builds on (teachers,
pre-training), although fields that these depend on are varied.
"""

from csn.search_space.reading import load_search_space, read_search_space
from csn.search_space.space import Search, SearchSpace, Varied
from csn.search_space.sweep import Scheduler, Sweep

__all__ = [
    "Scheduler",
    "Search",
    "SearchSpace",
    "Sweep",
    "Varied",
    "load_search_space",
    "read_search_space",
]
