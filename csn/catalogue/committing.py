"""How one run makes its work count, while others may do the same.

Conventions
-----------
A run plans against some number of commits. What others commit after that about a track has
precedence: rows that this run has of it are committed as dead, and its other words are left out.
So every track has one living version, whoever comes first, and work done twice does no harm.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from csn.catalogue.commit_log import Commit, CommitLog
from csn.catalogue.entries import ADD, DEAD, ENTRY_SCHEMA, Shard


class Committer:
    """The hand of one run on a log.

    Parameters
    ----------
    log : CommitLog
        The log to write to.
    version : int
        Number of the commit against which the run has planned.
    run_id : str
        Tells the run's own commits from those of others.
    """

    def __init__(self, log: CommitLog, version: int, run_id: str) -> None:
        self._log = log
        self.version = version
        self._run_id = run_id
        self.taken: set[str] = set()
        """Tracks about which others have said something since."""
        self._moved: set[str] = set()
        self.num_commits = 0

    def refresh(self) -> None:
        """Take in what others have committed."""
        for commit in self._log.commits(self.version):
            self.version += 1
            if commit.run_id != self._run_id:
                # Joining files moves rows and changes none: nobody's work is in vain for it.
                tracks = self._moved if commit.removed else self.taken
                tracks.update(commit.entries["track_id"].to_pylist())

    def commit(self, entries: pa.Table, shards: Sequence[Shard] = ()) -> pa.Table:
        """Make `entries` and `shards` count; gives the entries of tracks that others did not take.

        Shards of which no track is left are not named in the log: their files are orphans.
        """
        while True:
            left, kept = self._left(entries, shards)
            if not len(left):
                break
            if self._try(left, kept, ()):
                break
        return left.filter(pc.not_equal(left["action"], DEAD))

    def join(self, entries: pa.Table, shard: Shard, removed: Sequence[str]) -> bool:
        """Put `shard` in the place of those `removed`, unless others have touched its tracks."""
        tracks = set(entries["track_id"].to_pylist())
        while not tracks & (self.taken | self._moved):
            if self._try(entries, [shard], removed):
                return True
        return False

    def _try(self, entries: pa.Table, shards: Sequence[Shard], removed: Sequence[str]) -> bool:
        commit = Commit(self._run_id, entries, tuple(shards), tuple(removed))
        if self._log.append(self.version + 1, commit):
            self.version += 1
            self.num_commits += 1
            return True
        self.refresh()
        return False

    def _left(self, entries: pa.Table, shards: Sequence[Shard]) -> tuple[pa.Table, list[Shard]]:
        if not self.taken:
            return entries, list(shards)
        taken = pc.is_in(entries["track_id"], pa.array(sorted(self.taken), pa.string()))
        is_add = pc.equal(entries["action"], ADD)
        alive = entries.filter(pc.and_(is_add, pc.invert(taken)))
        kept = set(pc.unique(alive["shard"]).to_pylist())
        words = pc.if_else(pc.and_(taken, is_add), DEAD, entries["action"])
        place = entries.schema.get_field_index("action")
        marked = entries.set_column(place, ENTRY_SCHEMA.field("action"), words)
        of_kept = pc.is_in(marked["shard"], pa.array(sorted(kept), pa.string()))
        left = marked.filter(
            pc.or_(of_kept, pc.and_(pc.is_null(marked["shard"]), pc.invert(taken)))
        )
        return left, [shard for shard in shards if shard.shard_id in kept]
