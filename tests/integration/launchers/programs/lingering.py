"""Leaves an actor in Ray that stays when the program has ended."""

import os

import ray
from cultivar_launchers.program import emit, ray_options


class Stays:
    """Does nothing but be there."""

    def pid(self) -> int:
        return os.getpid()


ray.init(**ray_options())
actor = ray.remote(Stays).options(name="stays", lifetime="detached", num_cpus=0).remote()
emit("result", pid=ray.get(actor.pid.remote()))
