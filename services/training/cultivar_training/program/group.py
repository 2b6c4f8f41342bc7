"""Ray Train with what a run of some minutes needs, and nothing that costs it more than it gives.

Against `TorchTrainer` on local Ray this saves seconds of each run: torch is imported by the workers alone, not by the
driver and the controller before them; and there is no cleaner of placement groups, which asks a dashboard that local
Ray does not have, and waits twelve seconds for its answer. What is changed is not Ray's public interface; the version
of Ray is pinned, and a test with the real model runs this.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_QUIET = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.25",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
}
for _name, _value in _QUIET.items():
    os.environ.setdefault(_name, _value)

import ray.train  # noqa: E402
from ray.train import BackendConfig, FailureConfig, RunConfig, ScalingConfig  # noqa: E402
from ray.train.backend import Backend  # noqa: E402
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback  # noqa: E402
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer  # noqa: E402

from cultivar_training.program.errors import Refused  # noqa: E402


@dataclass
class GlooConfig(BackendConfig):  # type: ignore[misc]
    """Tells each worker where the others are; the worker opens the process group when it has imported torch."""

    @property
    def backend_cls(self) -> type[Backend]:
        """The class that sets the workers up."""
        return _GlooBackend


class _GlooBackend(Backend):  # type: ignore[misc]
    def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Chooses where workers meet."""
        address, port = worker_group.execute_single(0, _meeting_place)
        worker_group.execute(_set_environment, address, port)


def _meeting_place() -> tuple[str, int]:
    from ray.train._internal.utils import get_address_and_port

    address, port = get_address_and_port()
    return str(address), int(port)


def _set_environment(address: str, port: int) -> None:
    context = ray.train.get_context()
    os.environ |= {
        "MASTER_ADDR": address,
        "MASTER_PORT": str(port),
        "RANK": str(context.get_world_rank()),
        "WORLD_SIZE": str(context.get_world_size()),
        "LOCAL_RANK": str(context.get_local_rank()),
        "LOCAL_WORLD_SIZE": str(context.get_local_world_size()),
        "NODE_RANK": str(context.get_node_rank()),
    }


class WorkerGroup(DataParallelTrainer):  # type: ignore[misc]
    """Runs a function on workers, without the cleaner of placement groups: what a driver started ends with it."""

    def _create_default_callbacks(self) -> list[Any]:
        callbacks = super()._create_default_callbacks()
        return [callback for callback in callbacks if not isinstance(callback, PlacementGroupCleanerCallback)]


def run_workers(loop: Callable[[dict[str, Any]], None], config: dict[str, Any], workers: int, folder: Path) -> None:
    """Runs a function on each of some workers to its end, on GPUs where Ray has them; raises what Ray Train raises."""
    gpus = int(ray.cluster_resources().get("GPU", 0))
    if 0 < gpus < workers:
        raise Refused(f"the run asks for {workers} workers and Ray has {gpus} GPUs: ask for no more workers than GPUs")
    WorkerGroup(
        loop,
        train_loop_config=config,
        backend_config=_torch_config() if gpus else GlooConfig(),
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus > 0, resources_per_worker={"CPU": 1}),
        run_config=RunConfig(name="ray", storage_path=str(folder), failure_config=FailureConfig(max_failures=0)),
    ).fit()


def _torch_config() -> BackendConfig:
    """Returns Ray's own way to bring GPUs and torch together; its imports weigh little beside those of CUDA."""
    from ray.train.torch import TorchConfig

    return TorchConfig()
