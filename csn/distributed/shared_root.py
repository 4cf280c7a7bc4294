"""Whether the nodes of a cluster all write the same root.

Conventions
-----------
Asked before any work, of the nodes that are there: one that comes later fails by its first write.
A single machine has nothing to share, and is not asked.
"""

import uuid
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from csn import storage
from csn.errors import StorageError


def check_shared(root: str) -> None:
    """Refuse a root that some node cannot write, or that is another folder there.

    Raises
    ------
    StorageError
        The first node's fault.
    """
    here = ray.get_runtime_context().get_node_id()
    others = [
        node
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("CPU") and node["NodeID"] != here
    ]
    if not others:
        return
    uri = storage.absolute(root)
    mark = storage.join(uri, f".{uuid.uuid4().hex}.partial")
    storage.write_bytes(mark, b"")
    look: Any = ray.remote(num_cpus=0)(_look)
    try:
        for node in others:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            if fault := ray.get(look.options(scheduling_strategy=there).remote(uri, mark)):
                raise StorageError(f"node {node['NodeManagerAddress']} cannot use it: {fault}")
    finally:
        storage.remove(mark)


def _look(root: str, mark: str) -> str:
    """Say what keeps this node from the root; the node that asks has written `mark` there."""
    try:
        if not storage.exists(mark):
            return (
                f"{root} is another folder there, on one machine alone; give --root on object "
                "storage (s3://...) or on a disk that all nodes mount"
            )
        storage.check_writable(root)
    except StorageError as error:
        return str(error)
    return ""
