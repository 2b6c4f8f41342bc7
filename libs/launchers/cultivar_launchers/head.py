"""Runs the head of a local Ray until SIGTERM: `python -m cultivar_launchers.head SPEC_FILE`.

The spec: `cpus` (logical CPUs), `object_store_bytes`, `folder` (of the session). It does what `ray start --head
--block` does with less: that command also starts a client server on a fixed port, a web server for the dashboard that
stays when the dashboard is off, and takes three times as long. The classes used are not Ray's public interface; the
version of Ray is pinned and an integration test starts this program.
"""

import signal
import threading
from typing import Any

from ray._private.node import Node
from ray._private.parameter import RayParams
from ray._private.utils import write_ray_address

from cultivar_launchers.program import emit, read_spec

_LOOK_SECONDS = 0.5
_LOOPBACK = "127.0.0.1"


class _HeadWithoutDashboard(Node):  # type: ignore[misc]
    def start_api_server(self, *, include_dashboard: bool | None, raise_on_failure: bool) -> None:
        """Starts nothing: the dashboard's server reports usage and shows pages, and neither is wanted."""


def main() -> int:
    """Starts the head, says where it is, and returns 0 after SIGTERM, 1 when a part of Ray died."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.set())
    spec = read_spec()
    # Whatever way this process ends, the kernel ends the processes of the head with it.
    node = _HeadWithoutDashboard(_parameters(spec), head=True, shutdown_at_exit=False, spawn_reaper=True)
    write_ray_address(node.gcs_address, spec["folder"])
    emit("ready", address=node.gcs_address)
    while not stopping.wait(_LOOK_SECONDS):
        if dead := node.dead_processes():
            emit("error", message=f"a process of Ray ended by itself: {', '.join(kind for kind, _ in dead)}")
            break
    # There is nothing to save, and a raylet that is asked politely waits ten seconds for an actor that stays.
    node.kill_all_processes(check_alive=False, allow_graceful=False)
    return 0 if stopping.is_set() else 1


def _parameters(spec: dict[str, Any]) -> RayParams:
    return RayParams(
        node_ip_address=_LOOPBACK,
        gcs_server_port=0,
        num_cpus=spec["cpus"],
        object_store_memory=spec["object_store_bytes"],
        temp_dir=spec["folder"],
        include_dashboard=False,
        dashboard_agent_listen_port=0,
        no_monitor=True,
        include_log_monitor=True,
    )


if __name__ == "__main__":
    raise SystemExit(main())
