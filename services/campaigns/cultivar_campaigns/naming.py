"""What a campaign file names in other services, checked before anything is made."""

import asyncio
from collections.abc import Iterator, Mapping

from cultivar_service.errors import InvalidArgument

from cultivar_campaigns.config import UNTRAINED, CampaignConfig
from cultivar_campaigns.errors import DataUnusable, NameUnknown
from cultivar_campaigns.peers import Peers
from cultivar_campaigns.peers.training import TrainingOrder


async def check_names(peers: Peers, parent: str, config: CampaignConfig) -> None:
    """Raises NameUnknown for a strategy, parameter, prompt, teacher, filter, recipe or selector that does not exist."""
    strategies, teachers, prompts, filters, recipes, selectors = await asyncio.gather(
        peers.generation.strategies(parent),
        peers.generation.teachers(parent),
        peers.generation.prompts(parent),
        peers.filtering.filters(parent),
        peers.filtering.recipes(parent),
        peers.artifacts.selectors(parent),
    )
    for place, use in enumerate(config.generate):
        check_use("strategy", f"generate[{place}].strategy", use.strategy, use.params, strategies)
        if use.prompt:
            check("prompt", f"generate[{place}].prompt", use.prompt.partition("@")[0], prompts)
    for name in config.teachers or (config.teacher,):
        check("teacher", f"teachers.{name}" if config.teachers else "teacher", name, teachers)
    chosen = {"filter": config.filter}
    if config.answer is not None:
        check_use("strategy", "answer.strategy", "answer", config.answer.params, strategies)
        if config.answer.prompt:
            check("prompt", "answer.prompt", config.answer.prompt.partition("@")[0], prompts)
        chosen["answer.filter"] = config.answer.filter
    for path, filtering in chosen.items():
        if filtering.recipe:
            check("recipe", f"{path}.recipe", filtering.recipe, recipes)
        for place, filter_ in enumerate(filtering.filters):
            check_use("filter", f"{path}.filters[{place}].filter", filter_.filter, filter_.params, filters)
    if config.select.selector:
        check_use("selector", "select.selector", config.select.selector, config.select.params, selectors)


def check_use(what: str, field: str, name: str, params: Mapping[str, object], known: Mapping[str, list[str]]) -> None:
    """Raises NameUnknown for a plug-in, or one of its parameters, that does not exist."""
    check(what, field, name, known)
    for key in params:
        check(f"parameter of {name}", f"{field.rpartition('.')[0]}.params.{key}", key, known[name])


def check(what: str, field: str, name: str, known: Mapping[str, object] | list[str]) -> None:
    """Raises NameUnknown where a name is not known."""
    if name not in known:
        raise NameUnknown(what, name, known, field)


async def check_training(peers: Peers, parent: str, config: CampaignConfig) -> None:
    """Raises InvalidArgument for a base model or hyperparameter that training would refuse, hours later."""
    train = config.train
    if train is None or set(config.arms) <= set(UNTRAINED):
        return
    task = config.task.spec(config.task.labels)
    try:
        await peers.training.check(parent, TrainingOrder("", "", task, 0, train.hyperparameters, train.lora.given))
    except InvalidArgument as error:
        raise InvalidArgument(f"train: {error}", reason=error.reason, field="config.train") from error


async def check_files(peers: Peers, parent: str, config: CampaignConfig) -> None:
    """Raises DataUnusable where two of the files are one, and NotFound for a file or artifact that is not there."""
    seen: dict[str, str] = {}
    for source, name in named_files(config):
        file = config.files[source]
        same = seen.setdefault(f"{name}/{file.model_dump() if file is not None else ''}", source)
        if same != source:
            raise DataUnusable(f"data.{source} is the same file as data.{same}: bring other examples for each")
        if not name.startswith(f"{parent}/"):
            raise DataUnusable(f"data.{source} must be the name of a file or artifact of {parent}, got {name[:120]!r}")
        await (peers.artifacts.rows(name) if "/artifacts/" in name else peers.artifacts.check_file(name))


def named_files(config: CampaignConfig) -> Iterator[tuple[str, str]]:
    """Yields each file of the configuration with what it is."""
    return ((source, file.file) for source, file in config.files.items() if file is not None)
