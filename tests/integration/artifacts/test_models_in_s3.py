"""A model under a prefix of a real S3 store: fetched once, checked, and never run or unpickled."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cultivar_artifacts import S3Settings
from cultivar_generation.teachers import origins
from cultivar_generation.teachers.origins import find_model
from cultivar_models.weights import WeightsUnavailable, WeightsUnsafe
from minio import Minio
from safetensors.numpy import load_file, save

BUCKET = "models"
WEIGHTS = save({"w": np.arange(6, dtype=np.float32)})
MODEL: dict[str, bytes] = {"config.json": b"{}", "model.safetensors": WEIGHTS, "tokenizer.json": b"{}"}


class Bucket:
    """A bucket under test and the folder that models are kept in."""

    def __init__(self, settings: S3Settings, cache: Path) -> None:
        keys = {"access_key": settings.access_key, "secret_key": settings.secret_key}
        self._client = Minio(settings.endpoint, secure=False, region=settings.region, **keys)
        self._settings = settings
        self.cache = cache
        if not self._client.bucket_exists(BUCKET):
            self._client.make_bucket(BUCKET)

    def put(self, prefix: str, files: dict[str, bytes]) -> str:
        """Puts files under a prefix and returns its address."""
        for name, content in files.items():
            self._client.put_object(BUCKET, f"{prefix}/{name}", io.BytesIO(content), len(content))
        return f"s3://{BUCKET}/{prefix}"

    def find(self, address: str) -> Path:
        """Finds the model at an address."""
        return find_model(address, self.cache, lambda: self._settings)

    def left(self) -> list[str]:
        """What lies in the folder of models."""
        return [path.name for path in (self.cache / "weights").glob("*")] if self.cache.is_dir() else []


@pytest.fixture
def bucket(s3_settings: S3Settings, tmp_path: Path) -> Bucket:
    return Bucket(s3_settings, tmp_path / "cache")


def test_a_model_is_fetched_once_and_anew_when_it_changed(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    address = bucket.put("fetched/small", {**MODEL, "pytorch_model.bin": b"a pickle", "code/run.py": b"print()"})
    folder = bucket.find(address)
    assert sorted(path.name for path in folder.iterdir()) == sorted(MODEL)
    assert load_file(folder / "model.safetensors")["w"].tolist() == [0, 1, 2, 3, 4, 5]

    def never(*_: Any) -> None:
        raise AssertionError("it was fetched again")

    with monkeypatch.context() as watched:
        watched.setattr(origins.PlainFiles, "fetch", never)
        assert bucket.find(address) == folder
    bucket.put("fetched/small", {"config.json": json.dumps({"changed": True}).encode()})
    assert json.loads((bucket.find(address) / "config.json").read_bytes()) == {"changed": True}


@pytest.mark.parametrize(
    ("name", "files", "error", "words"),
    [
        ("empty", {}, WeightsUnavailable, "nothing lies under"),
        ("pickled", {"config.json": b"{}", "pytorch_model.bin": b"a pickle"}, WeightsUnavailable, "never read"),
        ("bare", {"model.safetensors": WEIGHTS}, WeightsUnavailable, "config.json"),
        ("code", {**MODEL, "config.json": b'{"auto_map": {"AutoModel": "code.Model"}}'}, WeightsUnsafe, "auto_map"),
        ("cut", {**MODEL, "model.safetensors": WEIGHTS[:-1]}, WeightsUnavailable, "damaged"),
    ],
)
def test_what_cannot_be_used_is_named_by_its_address_and_not_kept(
    bucket: Bucket, name: str, files: dict[str, bytes], error: type[Exception], words: str
) -> None:
    address = bucket.put(f"refused/{name}", files)
    with pytest.raises(error, match=words) as refused:
        bucket.find(address)
    assert address in str(refused.value)
    assert str(bucket.cache) not in str(refused.value)
    assert bucket.left() == []


@pytest.mark.parametrize("address", ["s3://no-such-bucket-here/model", "s3://models", "s3://"])
def test_an_address_that_leads_nowhere_says_what_to_correct(bucket: Bucket, address: str) -> None:
    with pytest.raises(WeightsUnavailable, match=r"create it|use s3://bucket/prefix"):
        bucket.find(address)


def test_without_an_endpoint_the_settings_to_give_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="CULTIVAR_S3_"):
        find_model("s3://models/small", tmp_path, lambda: None)
