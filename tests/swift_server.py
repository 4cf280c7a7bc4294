"""One OpenStack Swift, whole, in one process: a real object store that speaks S3.

    python tests/swift_server.py FOLDER

Account, container, object and proxy server share a process, as in Swift's own functional tests.
They listen on ports that the system gives, keep everything below FOLDER, write the S3 endpoint
into ``FOLDER/endpoint`` when they are ready, and end with the process that started them. Only
`object_store` runs this: Swift replaces parts of the standard library by eventlet's.
"""

import os
import sys
from pathlib import Path

import eventlet
from object_store import ACCESS_KEY, SECRET_KEY

SWIFT = """\
[swift-hash]
swift_hash_path_suffix = tests
[storage-policy:0]
name = only
default = yes
"""

STORE = """\
[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
log_level = WARNING
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
conn_timeout = 30
node_timeout = 60
"""

PROXY = """\
[DEFAULT]
swift_dir = {folder}
log_level = WARNING
[pipeline:main]
pipeline = catch_errors listing_formats bulk s3api tempauth slo dlo copy proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
# There is one disk: it must not be given up because a loaded machine answers late.
conn_timeout = 30
node_timeout = 60
error_suppression_limit = 1000000
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
# Short pages, so that every longer listing of a test goes over several.
max_bucket_listing = 50
[filter:tempauth]
use = egg:swift#tempauth
user_{access_key} = {secret_key} .admin
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:copy]
use = egg:swift#copy
"""


def serve(folder: Path) -> None:
    """Serve S3 until the parent process ends."""
    (folder / "swift.conf").write_text(SWIFT)
    # Swift reads this file while it is imported, and looks in /etc unless it is told first.
    from swift.common import utils

    utils.set_swift_dir(str(folder))
    from swift.common import storage_policy, wsgi
    from swift.common.ring import RingBuilder
    from swift.common.utils import logs

    storage_policy.reload_storage_policies()
    utils.monkey_patch()
    os.fsync = os.fdatasync = lambda fd: None  # nothing here outlives the tests

    logs.get_swift_logger.console_handler4logger = {}  # log to stderr; there may be no syslog

    sockets = {}
    for kind in ("account", "container", "object", "proxy"):
        sockets[kind] = eventlet.listen(("127.0.0.1", 0))
        text = PROXY if kind == "proxy" else STORE
        (folder / f"{kind}-server.conf").write_text(
            text.format(
                kind=kind,
                folder=folder,
                access_key=ACCESS_KEY.replace(":", "_"),
                secret_key=SECRET_KEY,
            )
        )
        if kind == "proxy":
            continue
        device = {"id": 0, "region": 1, "zone": 1, "weight": 1, "device": "disk"}
        address = {"ip": "127.0.0.1", "port": sockets[kind].getsockname()[1]}
        ring = RingBuilder(part_power=4, replicas=1, min_part_hours=0)
        ring.add_dev(device | address)
        ring.rebalance(seed=0)
        ring.get_ring().save(str(folder / f"{kind}.ring.gz"))
    (folder / "devices" / "disk").mkdir(parents=True)

    for kind, socket in sockets.items():
        app = wsgi.loadapp(str(folder / f"{kind}-server.conf"), global_conf={"log_name": kind})
        eventlet.spawn(
            eventlet.wsgi.server,
            socket,
            app,
            log=utils.NullLogger(),
            protocol=wsgi.SwiftHttpProtocol,
            capitalize_response_headers=False,  # S3 clients look for ETag, not Etag
        )

    partial = folder / "endpoint.partial"
    partial.write_text(f"http://127.0.0.1:{sockets['proxy'].getsockname()[1]}")
    partial.rename(folder / "endpoint")
    parent = os.getppid()
    while os.getppid() == parent:
        eventlet.sleep(0.5)


if __name__ == "__main__":
    serve(Path(sys.argv[1]).absolute())
