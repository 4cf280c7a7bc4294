"""Search in an embedded catalogue: requests, shards of files, ranking. No Ray, no network."""
