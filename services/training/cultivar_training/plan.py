"""What a training run is to do, resolved: stored whole with the run, and handed whole to the program."""

from typing import Annotated

from cultivar_records import TaskSpec
from pydantic import BaseModel, ConfigDict, Field

DEFAULT_MODEL = "smollm2-135m-instruct"
BASE_MODELS = (DEFAULT_MODEL,)
"""The models that ship with Cultivar and can be trained; each is in `cultivar_models.weights.SHIPPED`."""
REPOSITORY = r"[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}(@[\w./-]{1,96})?"

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors", "training.json")
"""What an adapter consists of: PEFT's own layout, and how it was trained."""

MOST = 2**53 - 1
"""The largest whole number that canonical JSON holds."""

ModuleName = Annotated[str, Field(pattern=r"^[A-Za-z_]\w{0,63}$")]


class LoraSpec(BaseModel):
    """The shape of an adapter; no target modules means every linear layer but the head."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(16, ge=1, le=256)
    alpha: float = Field(32.0, gt=0, le=1024)
    dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: tuple[ModuleName, ...] = ()


class RunSpec(BaseModel):
    """What a training run is to do, resolved. The defaults suit a few hundred rows on a model of 135 M parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str = Field(description="The digest of the manifest of the rows to train on.")
    validation: str = Field("", description="The digest of the manifest of the validation rows; empty for none.")
    task: TaskSpec
    base_model: str = DEFAULT_MODEL
    lora: LoraSpec = LoraSpec.model_validate({})
    learning_rate: float = Field(1e-3, gt=0, le=1)
    epochs: int = Field(6, ge=1, le=1000)
    batch_size: int = Field(16, ge=1, le=1024)
    max_length: int = Field(512, ge=16, le=8192)
    max_trained_tokens: int = Field(0, ge=0, le=MOST)
    patience: int = Field(2, ge=0, le=1000)
    random_seed: int = Field(0, ge=-MOST, le=MOST)
    workers: int = Field(2, ge=1, le=64)
