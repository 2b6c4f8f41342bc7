"""The other services, as a campaign sees them: one thin file each, with plain data in and plain data out.

A campaign is a client of all the others, so this room, beside service.py and codec.py, is where stubs are imported. No
rule lives here. Each kind of work has `create`, which the same request id makes once, `get` and `cancel`, and gives a
`Child`.
"""

import grpc

from cultivar_campaigns.peers.child import Child
from cultivar_campaigns.peers.datasets import Artifacts, DatasetVersions, Imports
from cultivar_campaigns.peers.evaluation import Evaluations
from cultivar_campaigns.peers.filtering import FilterRuns
from cultivar_campaigns.peers.generation import GenerationRuns
from cultivar_campaigns.peers.review import Queues
from cultivar_campaigns.peers.training import TrainingRuns


class Peers:
    """All of them, over one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.artifacts = Artifacts(channel)
        self.imports = Imports(channel)
        self.versions = DatasetVersions(channel)
        self.generation = GenerationRuns(channel)
        self.filtering = FilterRuns(channel)
        self.queues = Queues(channel)
        self.training = TrainingRuns(channel)
        self.evaluation = Evaluations(channel)


__all__ = ["Child", "Peers"]
