"""Work on the shards of a catalogue, by tasks on the cluster."""

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
import ray.data

from csn.search.shards import Shard

ROWS_PER_TASK = 100_000
PLACE = "shard"
"""Column that names a shard by its place."""
Work = Callable[[int, Shard], tuple[pa.Table, int]]


def in_tasks(shards: Sequence[Shard], function: Work) -> Iterator[tuple[pa.Table, int]]:
    """Give what `function` makes of each shard and its place: a table, and a number."""
    tasks: list[list[int]] = [[]]
    num_rows = 0
    for place, shard in enumerate(shards):
        if num_rows >= ROWS_PER_TASK:
            tasks.append([])
            num_rows = 0
        tasks[-1].append(place)
        num_rows += shard.num_rows
    run: Callable[..., pa.Table] = _in_task
    dataset = ray.data.from_arrow([pa.table({PLACE: places}) for places in tasks]).map_batches(
        run,
        batch_size=None,
        batch_format="pyarrow",
        fn_kwargs={"shards": list(shards), "function": function},
        num_cpus=1,
    )
    # Tables travel as bytes: those of different shards may differ in what they carry along.
    for row in dataset.iter_rows():
        yield pa.ipc.open_stream(row["table"]).read_all(), row["number"]


def _in_task(
    block: pa.Table,
    *,
    shards: Sequence[Shard],
    function: Work,
) -> pa.Table:
    tables, numbers = [], []
    for place in block[PLACE].to_pylist():
        table, number = function(place, shards[place])
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        tables.append(sink.getvalue().to_pybytes())
        numbers.append(number)
    return pa.table({"table": pa.array(tables, pa.large_binary()), "number": numbers})
