"""A whole small campaign: files, configuration, and the calls that tests make."""

import hashlib
import json
from collections import Counter
from typing import Any

from cultivar.campaigns.v1 import campaigns_pb2 as pb
from cultivar.campaigns.v1 import campaigns_pb2_grpc
from cultivar.datasets.v1 import datasets_pb2, datasets_pb2_grpc
from cultivar.generation.v1 import generation_pb2, generation_pb2_grpc
from cultivar_artifacts import ArtifactStore, load_manifest, read_shards
from cultivar_models.fake import FakeTeacher
from cultivar_records import Example, from_table
from cultivar_service.struct_codec import encode_struct

PARENT = "projects/default"
LABELS = ("refund", "delivery", "password")
OPENINGS = {
    "seeds": ["hello there", "good morning team", "a question please"],
    "validation": ["quick one from Leeds", "my husband asks", "second letter today"],
    "held_out": ["writing from the train", "sorry to bother again", "urgent matter", "kind regards in advance"],
    "stand_in": ["as a long standing buyer", "from our office kitchen", "on behalf of grandma"],
}
WISHES = {
    "refund": ["I want money back for the {}", "please return what I paid for the {}", "the {} goes back, pay me"],
    "delivery": ["where is the parcel with the {}", "when will the {} arrive", "the {} has not come to my door"],
    "password": ["I cannot sign in to see the {}", "reset my login, the {} is in my basket", "locked out over a {}"],
}
THINGS = {
    "seeds": ["lamp", "kettle"],
    "validation": ["bread bin", "hallway rug"],
    "held_out": ["oak stool", "garden bench", "copper pan"],
    "stand_in": ["linen sheet", "bath mat"],
}


def rows(source: str) -> bytes:
    """Rows of one file, as JSONL."""
    made = [
        {"text": f"{opening}, {wish.format(thing)}", "label": label}
        for label, wishes in WISHES.items()
        for wish in wishes
        for thing in THINGS[source]
        for opening in OPENINGS[source]
    ]
    return "".join(json.dumps(row) + "\n" for row in made).encode()


async def upload(channel: Any, data: bytes) -> str:
    """Uploads bytes and returns the name of the file."""
    stub: Any = datasets_pb2_grpc.DatasetsServiceStub(channel)
    digest = hashlib.sha256(data).hexdigest()

    async def pieces() -> Any:
        yield datasets_pb2.UploadFileRequest(
            parent=PARENT, sha256=digest, size=len(data), file_name="rows.jsonl", chunk=data
        )

    return str((await stub.UploadFile(pieces())).name)


async def upload_all(channel: Any) -> dict[str, str]:
    """Uploads the four files."""
    return {source: await upload(channel, rows(source)) for source in OPENINGS}


async def register(channel: Any, teacher: FakeTeacher) -> None:
    """Registers the fake teacher."""
    stub: Any = generation_pb2_grpc.GenerationServiceStub(channel)
    fake = generation_pb2.Teacher(url=teacher.url, model="fake-teacher", concurrency=8)
    await stub.RegisterTeacher(
        generation_pb2.RegisterTeacherRequest(parent=PARENT, teacher_id="fake", teacher=fake, skip_probe=True)
    )


def config(files: dict[str, str], **changed: Any) -> dict[str, Any]:
    """A campaign file as data."""
    given: dict[str, Any] = {
        "name": "small",
        "goal": {"metric": "accuracy", "target": 0.8, "margin": 0.02},
        "task": {"instruction": "Sort the message by what the customer wants."},
        "data": files,
        "teacher": "fake",
        "generate": [{"strategy": "expand", "count": 40}, {"strategy": "rewrite", "count": 20}],
        "review": {"by": "stand-in", "similarity": 0.0},
        "train": {"seeds": [1, 2], "epochs": 1},
    }
    return {**given, **changed}


def instructions(files: dict[str, str], **changed: Any) -> dict[str, Any]:
    """A campaign file that writes instructions, answers those that are new, and ends with its dataset."""
    given: dict[str, Any] = {
        "name": "pairs",
        "task": {"kind": "instruction"},
        "data": {"seeds": files["tasks"]},
        "teacher": "fake",
        "generate": [{"strategy": "expand", "prompt": "continue-instructions", "count": 60}],
        "filter": {"recipe": "instructions"},
        "answer": {"prompt": "answer-briefly"},
        "review": {"by": "nobody"},
        "train": False,
    }
    return {**given, **changed}


def tasks(*verbs: str) -> bytes:
    """Instructions with their answers, in the form of Self-Instruct; others with other verbs."""
    made = [
        {"instruction": f"{verb} {thing}.", "instances": [{"input": "", "output": f"Here is {thing}: {verb.lower()}."}]}
        for verb in verbs or ("Describe", "Draw a plan of", "Explain the use of", "Write a rhyme on")
        for thing in ("a wooden bridge", "the night sky", "a small bakery", "an old harbour")
    ]
    return "".join(json.dumps(row) + "\n" for row in made).encode()


async def create(channel: Any, data: dict[str, Any], **fields: Any) -> pb.Campaign:
    """Creates a campaign."""
    stub: Any = campaigns_pb2_grpc.CampaignsServiceStub(channel)
    request = pb.CreateCampaignRequest(parent=PARENT, config=encode_struct(data), **fields)
    return await stub.CreateCampaign(request)


async def finish(channel: Any, campaign: pb.Campaign) -> pb.Campaign:
    """Follows a campaign to its end."""
    stub: Any = campaigns_pb2_grpc.CampaignsServiceStub(channel)
    async for change in stub.WatchCampaign(pb.WatchCampaignRequest(name=campaign.name)):
        campaign = change
    return campaign


def stage(campaign: pb.Campaign, key: str) -> pb.Stage:
    """Returns a stage of a campaign."""
    return next(each for each in campaign.stages if each.key == key)


async def no_example_twice(store: ArtifactStore, campaign: pb.Campaign) -> None:
    """Asserts that candidates are kept or rejected once each, and those that were answered once more."""
    planned = {each.key for each in campaign.stages}
    for made, judged in (("generate", "filter"), ("answer", "filter/answers")):
        if made not in planned:
            continue
        candidates = await ids(store, campaign, made, "candidates")
        assert Counter(candidates).most_common(1)[0][1] == 1
        kept, rejected = [await ids(store, campaign, judged, kind) for kind in ("kept", "rejected")]
        assert sorted(kept + rejected) == sorted(candidates)


async def ids(store: ArtifactStore, campaign: pb.Campaign, key: str, kind: str) -> list[str]:
    """Returns the ids of the examples of a stage's artifact."""
    return [example.id for example in await examples(store, campaign, key, kind)]


async def examples(store: ArtifactStore, campaign: pb.Campaign, key: str, kind: str) -> list[Example]:
    """Returns the examples of a stage's artifact."""
    manifest = await load_manifest(store, "default", stage(campaign, key).artifacts[kind].split("/")[-1])
    return [one async for table in read_shards(store, manifest) for one in from_table(table)]
