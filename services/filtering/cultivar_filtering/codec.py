"""Messages of filtering to and from its own objects."""

from collections.abc import Iterable, Sequence

from cultivar.filtering.v1 import filtering_pb2 as pb
from cultivar_records import Verdict
from cultivar_service.artifacts import artifact_digest, artifact_name
from cultivar_service.errors import InvalidArgument
from cultivar_service.example_codec import decode_task, encode_example, encode_task
from cultivar_service.names import resource_name
from cultivar_service.run_codec import encode_run
from cultivar_service.runs import Run
from cultivar_service.struct_codec import decode_struct, encode_struct
from cultivar_service.translate import invalid
from pydantic import ValidationError

from cultivar_filtering.errors import FilterUnknown, RecipeUnknown
from cultivar_filtering.explain import Explanation
from cultivar_filtering.filters import FILTERS
from cultivar_filtering.plan import MOST_FILTERS, RunSpec, guarded
from cultivar_filtering.recipes import DEFAULT, RECIPES, Recipe, Use, digest_uses, resolve


def decode_spec(project: str, spec: pb.FilterSpec) -> RunSpec:
    """Resolves what a run is to do, with every default filled in."""
    held_out = tuple(
        artifact_digest(project, name, f"spec.held_out[{place}]") for place, name in enumerate(spec.held_out)
    )
    recipe, uses = decode_recipe(spec)
    return RunSpec(
        examples=artifact_digest(project, spec.examples, "spec.examples"),
        task=decode_task(spec.task, "spec.task"),
        uses=guarded(uses, held_out),
        recipe=recipe,
        seeds=artifact_digest(project, spec.seeds, "spec.seeds") if spec.seeds else "",
        held_out=held_out,
    )


def decode_recipe(spec: pb.FilterSpec) -> tuple[str, Sequence[Use]]:
    """Returns the name of the shipped recipe, empty for filters of the caller's own, and the filters."""
    if not spec.filters:
        name = spec.recipe or DEFAULT
        if name not in RECIPES:
            raise RecipeUnknown(name, RECIPES, "spec.recipe")
        return name, RECIPES[name].uses
    if spec.recipe:
        raise InvalidArgument("spec.recipe and spec.filters are both given: leave one empty", field="spec.recipe")
    if len(spec.filters) > MOST_FILTERS:
        raise InvalidArgument(
            f"spec.filters has {len(spec.filters)} filters, {MOST_FILTERS} at most", field="spec.filters"
        )
    return "", decode_uses(spec.filters)


def decode_uses(filters: Iterable[pb.FilterUse]) -> list[Use]:
    """Resolves uses of filters through their Configs; each filter may come once, as verdicts are known by its name."""
    uses: list[Use] = []
    for place, use in enumerate(filters):
        field = f"spec.filters[{place}]"
        if use.filter not in FILTERS:
            raise FilterUnknown(use.filter, FILTERS, f"{field}.filter")
        if any(use.filter == earlier.filter for earlier in uses):
            raise InvalidArgument(f"{field}.filter: {use.filter!r} is in the list already", field=f"{field}.filter")
        try:
            uses.append(resolve(use.filter, decode_struct(use.params)))
        except ValidationError as error:
            raise invalid(error, f"{field}.params") from error
    return uses


def encode_uses(uses: Iterable[Use]) -> list[pb.FilterUse]:
    """Returns resolved uses of filters."""
    return [pb.FilterUse(filter=use.filter, params=encode_struct(use.params)) for use in uses]


def encode_spec(project: str, spec: RunSpec) -> pb.FilterSpec:
    """Returns what a run is to do."""
    return pb.FilterSpec(
        examples=artifact_name(project, spec.examples),
        task=encode_task(spec.task),
        filters=encode_uses(spec.uses),
        seeds=artifact_name(project, spec.seeds),
        held_out=[artifact_name(project, digest) for digest in spec.held_out],
    )


def encode_filter_run(run: Run) -> pb.FilterRun:
    """Returns the resource of a run."""
    spec = RunSpec.model_validate(run.spec)
    artifacts = {
        kind: artifact_name(run.project, run.result.get(kind, ""))
        for kind in ("kept", "rejected", "failed", "verdicts")
    }
    return pb.FilterRun(
        name=resource_name(run.project, "filterRuns", run.id),
        run=encode_run(run),
        spec=encode_spec(run.project, spec),
        recipe=spec.recipe,
        recipe_digest=digest_uses(spec.uses),
        **artifacts,
    )


def encode_filter(name: str) -> pb.Filter:
    """Returns a filter with its sentence, schema and reasons."""
    found = FILTERS[name]
    return pb.Filter(
        filter=name,
        description=found.description,
        params_schema=encode_struct(found.Config.model_json_schema()),
        reasons=found.reasons,
    )


def encode_recipe(recipe: Recipe) -> pb.Recipe:
    """Returns a recipe with its filters."""
    return pb.Recipe(
        recipe=recipe.name,
        description=recipe.description,
        filters=encode_uses(recipe.uses),
        digest=digest_uses(recipe.uses),
    )


def encode_explanation(explanation: Explanation) -> pb.ExplainResponse:
    """Returns why an example was kept or rejected."""
    return pb.ExplainResponse(
        outcome=pb.Outcome.Value(f"OUTCOME_{explanation.outcome.name}"),
        verdicts=[encode_verdict(verdict) for verdict in explanation.verdicts],
        example=encode_example(explanation.example),
    )


def encode_verdict(verdict: Verdict) -> pb.Verdict:
    """Returns what one filter said."""
    return pb.Verdict(filter=verdict.filter, keep=verdict.keep, reason=verdict.reason, score=verdict.score)
