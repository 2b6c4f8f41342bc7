"""Defaults are filled in when a run is made, and a spec comes back as it was stored."""

from pathlib import Path

from cultivar.training.v1 import training_pb2 as pb
from cultivar_models.weights import SHIPPED
from cultivar_service.settings import Settings
from cultivar_training.codec import decode_spec, encode_spec
from cultivar_training.plan import BASE_MODELS
from cultivar_training.settings import TrainingSettings

from tests.seeds import TASK

DATASET = "projects/p/artifacts/" + "a" * 64


def test_what_is_left_out_takes_its_default_and_comes_back_filled_in() -> None:
    spec = decode_spec("p", pb.TrainingSpec(dataset=DATASET, task=TASK), workers=2)
    assert (spec.lora.rank, spec.lora.alpha, spec.learning_rate, spec.patience, spec.workers) == (16, 32, 1e-3, 2, 2)
    message = encode_spec("p", spec)
    assert message.base_model == "smollm2-135m-instruct"
    assert decode_spec("p", message, workers=9) == spec


def test_alpha_follows_the_rank_and_patience_can_be_nothing() -> None:
    message = pb.TrainingSpec(dataset=DATASET, task=TASK, lora=pb.Lora(rank=4), patience=0, workers=1)
    spec = decode_spec("p", message, workers=2)
    assert (spec.lora.alpha, spec.patience, spec.workers) == (8, 0, 1)


def test_a_repository_can_be_a_base_model() -> None:
    message = pb.TrainingSpec(dataset=DATASET, task=TASK, base_model="owner/some-model@main")
    assert decode_spec("p", message, workers=1).base_model == "owner/some-model@main"


def test_each_shipped_base_model_can_be_found() -> None:
    assert set(BASE_MODELS) <= set(SHIPPED)


def test_the_cores_are_shared_out_among_workers_unless_the_settings_say_otherwise() -> None:
    assert TrainingSettings(training_threads=3).threads(2) == 3
    assert TrainingSettings(training_threads=0).threads(1000) == 1


def test_settings_of_the_process_stay_and_the_folder_lies_beside_the_token(tmp_path: Path) -> None:
    settings = TrainingSettings.extending(Settings(token_file=tmp_path / "token", run_slots=9))
    assert settings.run_slots == 9
    assert settings.folder == tmp_path / "training"
