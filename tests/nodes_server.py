"""A cluster of several nodes, held by a process of its own: Ray's `Cluster` is one per process.

    python tests/nodes_server.py TEMP_DIR DASHBOARD_PORT OBJECT_STORE_BYTES

It writes the cluster's address, then answers each line that it reads: ``add CPUS`` with the number
of the new node's raylet process, ``lose PID`` with that number when the node is gone without any
grace. Answers begin with ``=``; the rest is Ray's own.
"""

import sys

from ray.cluster_utils import Cluster


def answer(text: object) -> None:
    """Write a line that the reader waits for."""
    sys.stdout.write(f"= {text}\n")
    sys.stdout.flush()


def serve(temp_dir: str, dashboard_port: str, object_store_bytes: str) -> None:
    """Start a head that does no work, and do what is read until nothing more comes."""
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "include_dashboard": True,  # without it, Train does not clean up
            "dashboard_port": int(dashboard_port),
            "object_store_memory": int(object_store_bytes),
            "temp_dir": temp_dir,
        },
    )
    answer(cluster.address)
    nodes = {}
    for line in sys.stdin:
        verb, number = line.split()
        if verb == "add":
            node = cluster.add_node(num_cpus=int(number))
            (raylet,) = node.all_processes["raylet"]
            nodes[raylet.process.pid] = node
            answer(raylet.process.pid)
        else:
            cluster.remove_node(nodes.pop(int(number)), allow_graceful=False)
            answer(number)


if __name__ == "__main__":
    serve(*sys.argv[1:])
