"""A checkpoint gives back what was saved, and nothing that is damaged, or of another plan, is taken."""

from pathlib import Path

import pytest
import torch
from cultivar_training.program.checkpoints import Checkpoints, Standing, restore
from cultivar_training.program.spec import CHECKPOINT, attempt_folder

PLAN = "p" * 64


def trained(seed: int, steps: int = 3) -> tuple[dict[str, torch.Tensor], torch.optim.Optimizer]:
    """Weights after some steps, and their optimizer."""
    generator = torch.Generator().manual_seed(seed)
    parameters = {name: torch.nn.Parameter(torch.randn(4, 3, generator=generator)) for name in ("a.lora_A", "a.lora_B")}
    optimizer = torch.optim.AdamW(parameters.values(), lr=0.1)
    for _ in range(steps):
        step(parameters, optimizer)
    return parameters, optimizer  # type: ignore[return-value]


def step(parameters: dict[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
    """One step on a loss of the weights alone."""
    optimizer.zero_grad()
    sum((value**3).sum() for value in parameters.values()).backward()  # type: ignore[union-attr]
    optimizer.step()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for attempt in (1, 2, 3):
        attempt_folder(tmp_path, attempt).mkdir()
    return tmp_path


def test_training_that_goes_on_from_a_checkpoint_does_what_it_would_have_done(folder: Path) -> None:
    parameters, optimizer = trained(1)
    Checkpoints(folder, 1).save(Standing(PLAN, step=3), parameters, {}, optimizer)
    found = Checkpoints(folder, 2).find(PLAN)
    assert found is not None
    again, other = trained(2, steps=0)
    assert restore(found[1], found[0].step, again, other) == {}
    step(parameters, optimizer)  # type: ignore[arg-type]
    step(again, other)  # type: ignore[arg-type]
    for name in parameters:
        assert torch.equal(parameters[name], again[name])


def test_the_best_adapter_and_the_standing_come_back(folder: Path) -> None:
    parameters, optimizer = trained(1)
    best = {name: torch.full_like(value, 2.0) for name, value in parameters.items()}
    standing = Standing(PLAN, step=9, tokens=77, best_loss=0.5, epochs_without_gain=1, losses=[{"loss": 0.25}])
    Checkpoints(folder, 1).save(standing, parameters, best, optimizer)
    found = Checkpoints(folder, 2).find(PLAN)
    assert found is not None and found[0] == standing
    again, other = trained(2, steps=0)
    assert all(torch.equal(value, best[name]) for name, value in restore(found[1], 9, again, other).items())


def test_the_checkpoint_that_got_furthest_is_taken_whichever_attempt_left_it(folder: Path) -> None:
    parameters, optimizer = trained(1)
    Checkpoints(folder, 1).save(Standing(PLAN, step=9), parameters, {}, optimizer)
    Checkpoints(folder, 2).save(Standing(PLAN, step=4), parameters, {}, optimizer)
    found = Checkpoints(folder, 3).find(PLAN)
    assert found is not None and found[0].step == 9


def test_a_checkpoint_of_another_plan_or_of_this_attempt_or_a_damaged_one_is_passed_over(folder: Path) -> None:
    parameters, optimizer = trained(1)
    checkpoints = Checkpoints(folder, 2)
    Checkpoints(folder, 1).save(Standing("q" * 64, step=9), parameters, {}, optimizer)
    checkpoints.save(Standing(PLAN, step=5), parameters, {}, optimizer)
    assert checkpoints.find(PLAN) is None
    whole = (attempt_folder(folder, 2) / CHECKPOINT).read_bytes()
    (attempt_folder(folder, 2) / CHECKPOINT).write_bytes(whole[: len(whole) // 2])
    assert Checkpoints(folder, 3).find(PLAN) is None
