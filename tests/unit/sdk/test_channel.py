"""How a client finds its services, and what its service config asks for."""

from typing import Any

import pytest
from cultivar.channel import CALL_SECONDS, SERVICE_CONFIG, STREAM_SECONDS, Routes, is_loopback
from cultivar.connection import Connection, addresses_of
from cultivar.errors import NotConnected
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.generation.v1 import generation_pb2_grpc
from cultivar.review.v1 import review_pb2_grpc


class Channel:
    """Notes what was asked of it, and sends nothing."""

    opened: list["Channel"]

    def __init__(self, address: str, *given: Any, **named: Any) -> None:
        self.address = address
        self.sent: list[bytes] = []
        self.closed = False
        Channel.opened.append(self)

    def unary_unary(self, method: str, serialize: Any, *given: Any, **named: Any) -> Any:
        """Returns a call that keeps what would be sent."""
        return lambda request: self.sent.append(serialize(request))

    def unary_stream(self, method: str, **named: Any) -> Any:
        """Returns nothing: no test streams."""

    stream_unary = unary_stream

    def close(self) -> None:
        """Notes that it was closed."""
        self.closed = True


@pytest.fixture(autouse=True)
def no_channels() -> None:
    Channel.opened = []


def routes(address: str) -> Any:
    return Routes(Connection(address, "token"), Channel)


def test_one_address_is_that_of_all_services_over_one_channel() -> None:
    channel = routes("127.0.0.1:7345")
    generation_pb2_grpc.GenerationServiceStub(channel)
    review_pb2_grpc.ReviewServiceStub(channel)
    assert [one.address for one in Channel.opened] == ["127.0.0.1:7345"]


def test_the_name_of_a_service_stands_where_the_address_says_so() -> None:
    channel = routes("dns:///{service}.cultivar:7345")
    generation_pb2_grpc.GenerationServiceStub(channel)
    review_pb2_grpc.ReviewServiceStub(channel)
    assert [one.address for one in Channel.opened] == [
        "dns:///generation.cultivar:7345",
        "dns:///review.cultivar:7345",
    ]


def test_each_service_may_have_addresses_of_its_own() -> None:
    channel = routes("generation=ipv4:127.0.0.1:1,127.0.0.1:2 127.0.0.1:3")
    generation_pb2_grpc.GenerationServiceStub(channel)
    review_pb2_grpc.ReviewServiceStub(channel)
    assert [one.address for one in Channel.opened] == ["ipv4:127.0.0.1:1,127.0.0.1:2", "127.0.0.1:3"]
    channel.close()
    assert all(one.closed for one in Channel.opened)


def test_a_service_without_an_address_is_named() -> None:
    with pytest.raises(NotConnected, match="the service review has no address: add review=HOST:PORT"):
        review_pb2_grpc.ReviewServiceStub(routes("generation=127.0.0.1:1"))


def test_no_address_is_none() -> None:
    assert addresses_of("") == {}


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "localhost:1", "dns:///localhost:1", "ipv4:127.0.0.1:1,127.0.0.1:2"]
)
def test_an_address_of_this_machine_is_one(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["10.0.0.1:1", "dns:///review:1", "ipv4:127.0.0.1:1,10.0.0.1:2"])
def test_an_address_elsewhere_is_none_of_this_machine(address: str) -> None:
    assert not is_loopback(address)


def test_a_ca_that_cannot_be_read_is_named() -> None:
    channel = Routes(Connection("review:1", "token", tls_ca="/nowhere.pem"), Channel)
    with pytest.raises(NotConnected, match=r"/nowhere.pem cannot be read.*CULTIVAR_TLS_CA"):
        channel.of("review")


def test_a_request_without_an_id_is_sent_with_a_new_one_each_time() -> None:
    stub = generation_pb2_grpc.GenerationServiceStub(routes("127.0.0.1:1"))
    request = pb.CreatePromptRequest(parent="projects/default", prompt_id="mine")
    stub.CreatePrompt(request)
    stub.CreatePrompt(request)
    first, second = (pb.CreatePromptRequest.FromString(sent) for sent in Channel.opened[0].sent)
    assert first.request_id and second.request_id and first.request_id != second.request_id
    assert first.prompt_id == "mine"
    assert request.request_id == ""


def test_the_id_of_a_caller_is_kept() -> None:
    stub = generation_pb2_grpc.GenerationServiceStub(routes("127.0.0.1:1"))
    stub.CreatePrompt(pb.CreatePromptRequest(request_id="mine"))
    assert pb.CreatePromptRequest.FromString(Channel.opened[0].sent[0]).request_id == "mine"


def test_every_call_has_a_deadline_and_is_repeated_only_where_it_did_not_arrive() -> None:
    configs: Any = SERVICE_CONFIG["methodConfig"]
    assert [config["timeout"] for config in configs] == [f"{CALL_SECONDS}s", "600s", f"{STREAM_SECONDS}s"]
    assert configs[0]["name"] == [{}]
    streams = {name["method"] for name in configs[2]["name"]}
    assert {"WatchCampaign", "UploadFile", "DownloadArtifact"} <= streams and "GetCampaign" not in streams
    assert all(config["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"] for config in configs)
