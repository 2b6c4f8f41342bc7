"""What the tests of review share."""

import pytest
from cultivar.review.v1 import review_pb2_grpc
from cultivar_review.__main__ import build

from tests.conftest import Start
from tests.integration.review.desk import Desk
from tests.seeds import commit_examples, seeds


@pytest.fixture
async def desk(start: Start) -> Desk:
    """A review service and six examples."""
    host = await start(build)
    assert host.parts is not None
    examples = await commit_examples(host.settings.database_url, host.parts.store, seeds(), "kept")
    return Desk(host, review_pb2_grpc.ReviewServiceStub(host.parts.channel), examples)
