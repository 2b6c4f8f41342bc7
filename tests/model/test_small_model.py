"""What the teachers make of the real model is what transformers and peft make of it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from cultivar_artifacts import Alias, File, Manifest, open_store, save_alias
from cultivar_generation.teachers.errors import BadRequest
from cultivar_generation.teachers.requests import ChatRequest, CompletionRequest, EmbeddingRequest

TEXT_MODEL = "smollm2-135m-instruct"
EMBEDDING_MODEL = "all-minilm-l6-v2"
QUESTIONS = [
    "What is the capital of France?",
    "Name three colours.",
    "Write one sentence about the sea.",
    "What is two plus two? Answer with the number only.",
    "Translate into German: good morning",
]


def chat(question: str, model: str = TEXT_MODEL, **fields: Any) -> ChatRequest:
    fields = {"temperature": 0, "max_tokens": 24, **fields}
    return ChatRequest(model=model, messages=[{"role": "user", "content": question}], **fields)


def said_by(model: Any, tokenizer: Any, question: str, count: int = 24) -> str:
    import torch

    messages = [{"role": "user", "content": question}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.inference_mode():
        tokens = model.generate(**prompt, max_new_tokens=count, do_sample=False)
    return str(tokenizer.decode(tokens[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True))


def text_of(answer: dict[str, Any]) -> str:
    return str(answer["choices"][0]["message"]["content"])


def test_the_shipped_weights_know_the_capital_of_france(running: Any) -> None:
    assert "Paris" in text_of(running.wait(running.backend.chat(chat(QUESTIONS[0]))))


def test_greedy_answers_in_one_batch_are_those_of_transformers_alone(running: Any, model: Any, tokenizer: Any) -> None:
    async def ask() -> list[dict[str, Any]]:
        return list(await asyncio.gather(*[running.backend.chat(chat(question)) for question in QUESTIONS]))

    for question, answer in zip(QUESTIONS, running.wait(ask()), strict=True):
        assert text_of(answer) == said_by(model, tokenizer, question)


def test_a_seed_repeats_an_answer_in_other_company(running: Any) -> None:
    async def ask(company: int) -> str:
        others = [running.backend.chat(chat(question, temperature=1.0)) for question in QUESTIONS[:company]]
        seeded = running.backend.chat(chat("Tell me a story.", temperature=0.9, top_p=0.95, seed=17))
        return text_of((await asyncio.gather(*others, seeded))[-1])

    assert running.wait(ask(0)) == running.wait(ask(5)) == running.wait(ask(2))


def test_scores_are_the_models_log_probabilities(running: Any, model: Any, tokenizer: Any) -> None:
    import torch

    prompts = [
        f"Message: {text}\nIntent: {label}" for text in ("I lost my card", "hi") for label in ("lost", "greeting")
    ]
    request = CompletionRequest(model=TEXT_MODEL, prompt=prompts, echo=True, max_tokens=0, logprobs=1)
    answer = running.wait(running.backend.complete(request))
    for prompt, choice in zip(prompts, answer["choices"], strict=True):
        tokens = tokenizer(prompt, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            expected = model(tokens).logits[0, :-1].float().log_softmax(-1).gather(-1, tokens[0, 1:, None])[:, 0]
        assert choice["logprobs"]["token_logprobs"][1:] == pytest.approx(expected.tolist(), abs=0.02)
        assert "".join(choice["logprobs"]["tokens"]) == prompt == choice["text"]


def test_embeddings_are_those_of_sentence_transformers(running: Any) -> None:
    from cultivar_models.weights import find_weights
    from sentence_transformers import SentenceTransformer

    texts = ["a cat", "the stock market fell by three percent on Monday", "x", "Grüße aus Köln " * 100]
    request = EmbeddingRequest(model=EMBEDDING_MODEL, input=texts)
    answer = running.wait(running.backend.embed(request))
    expected = SentenceTransformer(str(find_weights(EMBEDDING_MODEL)), device="cpu").encode(texts)
    for entry, vector in zip(answer["data"], expected, strict=True):
        assert entry["embedding"] == pytest.approx(vector.tolist(), abs=1e-4)


def train(model: Any, folder: Path, seed: int) -> None:
    """Saves an adapter that changes what the model says, as training saves one."""
    from copy import deepcopy

    import torch
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    torch.manual_seed(seed)
    adapted = get_peft_model(deepcopy(model), config)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data = torch.randn(parameter.shape, dtype=parameter.dtype) * 0.04
    adapted.save_pretrained(str(folder))


async def put_adapter(store_folder: Path, folder: Path, project: str = "support") -> str:
    store = open_store(store_folder)
    files = []
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        blob = await store.put(project, folder / name)
        files.append(File(name=name, sha256=blob.sha256, size=blob.size))
    manifest = Manifest(project=project, kind="adapter", files=tuple(files))
    await store.put_document(project, manifest.digest, manifest.to_json())
    return f"{TEXT_MODEL}:{project}/{manifest.digest}"


def test_adapters_answer_as_peft_does_beside_the_base_model(
    running: Any, model: Any, tokenizer: Any, store_folder: Path, tmp_path: Path
) -> None:
    from copy import deepcopy

    from peft import PeftModel

    names, expected = [], []
    for seed in range(3):
        train(model, tmp_path / str(seed), seed)
        names.append(running.wait(put_adapter(store_folder, tmp_path / str(seed))))
        adapted = PeftModel.from_pretrained(deepcopy(model), str(tmp_path / str(seed)))
        expected.append([said_by(adapted, tokenizer, question) for question in QUESTIONS[:2]])
    base = [said_by(model, tokenizer, question) for question in QUESTIONS[:2]]

    async def ask(models: list[str]) -> list[list[str]]:
        requests = [chat(question, model=name) for name in models for question in QUESTIONS[:2]]
        texts = [text_of(answer) for answer in await asyncio.gather(*map(running.backend.chat, requests))]
        return [texts[place : place + 2] for place in range(0, len(texts), 2)]

    # Two are kept at once: the third takes the place of the first, which then comes back.
    assert running.wait(ask([TEXT_MODEL, names[0], names[1]])) == [base, expected[0], expected[1]]
    assert running.wait(ask([names[2], TEXT_MODEL])) == [expected[2], base]
    assert running.wait(ask([names[0], TEXT_MODEL])) == [expected[0], base]
    assert base not in expected
    assert len({tuple(texts) for texts in expected}) == 3


def test_an_alias_is_answered_by_the_adapter_that_it_names_as_soon_as_it_is_moved(
    running: Any, model: Any, store_folder: Path, tmp_path: Path
) -> None:
    names = []
    for seed in (11, 12, 13):
        train(model, tmp_path / str(seed), seed)
        names.append(running.wait(put_adapter(store_folder, tmp_path / str(seed))))

    async def ask(name: str) -> tuple[str, str]:
        answer = await running.backend.chat(chat(QUESTIONS[0], model=name))
        return answer["model"], text_of(answer)

    async def promoted(adapter: str, revision: int) -> tuple[str, str]:
        digest = adapter.rpartition("/")[2]
        alias = Alias(project="support", alias="champion", adapter=digest, base_model=TEXT_MODEL, revision=revision)
        await save_alias(open_store(store_folder), alias)
        async with asyncio.timeout(10):
            while (found := await ask("support/champion"))[0] != adapter:
                await asyncio.sleep(0.1)
        return found

    # Of three adapters two are kept loaded, so that the alias comes back to one that had to leave.
    for revision, adapter in enumerate([*names, names[0]], 1):
        assert running.wait(promoted(adapter, revision)) == running.wait(ask(adapter))
    assert len(running.loaded.backend.models) == 4


def test_an_adapter_for_another_model_is_refused_and_the_base_goes_on(
    running: Any, store_folder: Path, tmp_path: Path
) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=4
    )
    train(LlamaForCausalLM(config), tmp_path, 0)
    name = running.wait(put_adapter(store_folder, tmp_path))
    with pytest.raises(BadRequest, match="has shape"):
        running.wait(running.backend.chat(chat(QUESTIONS[0], model=name)))
    assert "Paris" in text_of(running.wait(running.backend.chat(chat(QUESTIONS[0]))))


def test_unpacked_weights_are_safetensors_and_found_again(folder: Path) -> None:
    from cultivar_models.weights import find_weights

    assert find_weights(TEXT_MODEL) == folder
    assert (folder / "model.safetensors").stat().st_size > 200_000_000
    assert not list(folder.glob("*.bin"))


def test_a_gguf_file_becomes_the_same_weights_wherever_it_lies(folder: Path, tmp_path: Path) -> None:
    from cultivar_models.weights import SHIPPED, find_weights
    from safetensors.torch import load_file

    # A configuration beside it is not the file's, and is not read.
    (tmp_path / "config.json").write_text('{"auto_map": {"AutoModel": "code.Model"}}')
    file = tmp_path / "mine.gguf"
    file.symlink_to(SHIPPED[TEXT_MODEL].path())
    made = find_weights(str(file), tmp_path / "cache")
    expected = load_file(folder / "model.safetensors")
    found = load_file(made / "model.safetensors")
    assert found.keys() == expected.keys()
    assert all(bool((found[name] == expected[name]).all()) for name in expected)
