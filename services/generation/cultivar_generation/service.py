"""The generation servicer."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc
from cultivar.audit.v1 import audit_pb2
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.generation.v1 import generation_pb2_grpc as pb_grpc
from cultivar_artifacts import ArtifactStore
from cultivar_service.audit import audit_runs
from cultivar_service.audit_codec import encode_report
from cultivar_service.database import Database
from cultivar_service.engine import Engine
from cultivar_service.example_codec import decode_task
from cultivar_service.idempotency import first_answer, once
from cultivar_service.names import check_id, project_of, split_name
from cultivar_service.paging import page_size
from cultivar_service.parts import Models
from cultivar_service.principal import current_principal
from cultivar_service.runs import Runs
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_generation import codec, outcomes, store, yields
from cultivar_generation.amending import amend
from cultivar_generation.budget import retried_spec
from cultivar_generation.credentials import check_credentials
from cultivar_generation.freezing import freeze
from cultivar_generation.learning import Learner
from cultivar_generation.own_models import own_model
from cultivar_generation.plan import RunSpec
from cultivar_generation.preview import Previewer
from cultivar_generation.probing import probe
from cultivar_generation.sifting import Sifting
from cultivar_generation.strategies import STRATEGIES

Context = grpc.aio.ServicerContext[Any, Any]


class GenerationServicer(pb_grpc.GenerationServiceServicer):
    """Decodes a request, calls, and encodes the answer."""

    def __init__(
        self,
        database: Database,
        artifacts: ArtifactStore,
        runs: Runs,
        engine: Engine,
        previewer: Previewer,
        models: Models,
        sifting: Sifting,
        allowed_credentials: str,
    ) -> None:
        self._database = database
        self._artifacts = artifacts
        self._runs = runs
        self._engine = engine
        self._previewer = previewer
        self._models = models
        self._sifting = sifting
        self._allowed_credentials = allowed_credentials
        self._learner = Learner(database, artifacts)

    async def CreateGenerationRun(self, request: pb.CreateGenerationRunRequest, context: Context) -> pb.GenerationRun:
        """Creates a generation run."""
        project = project_of(request.parent, "parent")
        # Before it is resolved: a prompt may have a new version since, and a teacher be registered anew.
        run = await self._runs.find(project, request.request_id, request)
        if run is None:
            spec = (await self._resolve(project, request.spec)).model_dump(mode="json")
            principal, once_only = current_principal.get(), request.request_id
            run = await self._runs.create(principal, project, once_only, spec, sent=request, but=("frozen",))
        self._engine.nudge()
        return codec.encode_generation_run(run)

    async def _resolve(self, project: str, spec: pb.GenerationSpec) -> RunSpec:
        kind = decode_task(spec.task, "spec.task").kind
        names = [codec.prompt_of_use(use, place, kind) for place, use in enumerate(spec.strategies)]
        async with self._database.begin() as connection:
            prompts = {place: await store.get_prompt(connection, project, name) for place, name in enumerate(names)}
            resolved = codec.decode_spec(project, spec, prompts)
            teachers = {name: await store.get_teacher(connection, project, name) for name in resolved.weights}
        resolved = resolved.model_copy(
            update={"frozen": {name: freeze(teacher) for name, (teacher, _) in teachers.items()}}
        )
        await self._previewer.check(project, resolved)
        await self._sifting.check(project, resolved)
        return resolved

    async def GetGenerationRun(self, request: pb.GetGenerationRunRequest, context: Context) -> pb.GenerationRun:
        """Returns a generation run."""
        return codec.encode_generation_run(await self._runs.get(*split_name(request.name, self._runs.collection)))

    async def ListGenerationRuns(
        self, request: pb.ListGenerationRunsRequest, context: Context
    ) -> pb.ListGenerationRunsResponse:
        """Lists the generation runs of a project."""
        project = project_of(request.parent, "parent")
        page = await self._runs.list(project, page_size(request.page_size), request.page_token)
        runs = [codec.encode_generation_run(run, whole=False) for run in page.items]
        return pb.ListGenerationRunsResponse(generation_runs=runs, next_page_token=page.next_page_token)

    async def WatchGenerationRun(
        self, request: pb.WatchGenerationRunRequest, context: Context
    ) -> AsyncIterator[pb.GenerationRun]:
        """Streams a generation run until it ends."""
        async for run in self._runs.watch(*split_name(request.name, self._runs.collection)):
            yield codec.encode_generation_run(run)

    async def CancelGenerationRun(self, request: pb.CancelGenerationRunRequest, context: Context) -> pb.GenerationRun:
        """Cancels a generation run."""
        name = split_name(request.name, self._runs.collection)
        return codec.encode_generation_run(await self._runs.cancel(current_principal.get(), *name))

    async def RetryGenerationRun(self, request: pb.RetryGenerationRunRequest, context: Context) -> pb.GenerationRun:
        """Lets a generation run go on."""
        name = split_name(request.name, self._runs.collection)
        budget = codec.decode_budget(request.budget) if request.HasField("budget") else None

        async def effect(connection: AsyncConnection) -> pb.GenerationRun:
            principal, amended = current_principal.get(), partial(retried_spec, budget=budget)
            return codec.encode_generation_run(await self._runs.retry(connection, principal, *name, amended))

        retried = await once(self._database, request, pb.GenerationRun, effect)
        self._engine.nudge()
        return retried

    async def Preview(self, request: pb.PreviewRequest, context: Context) -> pb.PreviewResponse:
        """Makes a few candidates and stores nothing."""
        project = project_of(request.parent, "parent")
        spec = await self._resolve(project, request.spec)
        return codec.encode_preview(project, *await self._previewer.preview(project, spec, request.calls))

    async def ListStrategies(self, request: pb.ListStrategiesRequest, context: Context) -> pb.ListStrategiesResponse:
        """Lists the strategies."""
        return pb.ListStrategiesResponse(strategies=[codec.encode_strategy(name) for name in sorted(STRATEGIES)])

    async def CreatePrompt(self, request: pb.CreatePromptRequest, context: Context) -> pb.Prompt:
        """Creates a version of a prompt."""
        project = project_of(request.parent, "parent")
        prompt = codec.decode_prompt(project, check_id(request.prompt_id, "prompt_id"), request.prompt)

        async def effect(connection: AsyncConnection) -> pb.Prompt:
            made = await store.add_prompt(connection, current_principal.get(), project, prompt)
            return codec.encode_prompt(project, made)

        return await once(self._database, request, pb.Prompt, effect)

    async def GetPrompt(self, request: pb.GetPromptRequest, context: Context) -> pb.Prompt:
        """Returns a version of a prompt."""
        project, name = split_name(request.name, "prompts")
        async with self._database.begin() as connection:
            return codec.encode_prompt(project, await store.get_prompt(connection, project, name))

    async def ListPrompts(self, request: pb.ListPromptsRequest, context: Context) -> pb.ListPromptsResponse:
        """Lists the prompts of a project."""
        project = project_of(request.parent, "parent")
        async with self._database.begin() as connection:
            prompts = await store.list_prompts(connection, project)
        return pb.ListPromptsResponse(prompts=[codec.encode_prompt(project, prompt) for prompt in prompts])

    async def DiffPrompts(self, request: pb.DiffPromptsRequest, context: Context) -> pb.PromptDiff:
        """Says how two versions of prompts differ."""
        project, *names = codec.decode_diff(request)
        async with self._database.begin() as connection:
            prompts = [await store.get_prompt(connection, project, name) for name in names]
        return codec.encode_diff(project, *prompts)

    async def GetPromptReport(self, request: pb.GetPromptReportRequest, context: Context) -> pb.PromptReport:
        """Says what each version of a prompt gave, run by run."""
        project, name = split_name(request.name, "prompts")
        async with self._database.begin() as connection:
            prompt = await store.get_prompt(connection, project, name)
            found = await yields.list_yields(connection, project, prompt.name)
            said = await outcomes.list_outcomes(connection, project, prompt.name)
            numbers = sorted({one.version for one in found} | {one.version for one in said}, reverse=True)
            names = [f"{prompt.name}@{number}" for number in numbers]
            versions = [await store.get_prompt(connection, project, one) for one in names]
        return codec.encode_prompt_report(project, prompt.name, found, said, versions)

    async def RecordPromptOutcomes(
        self, request: pb.RecordPromptOutcomesRequest, context: Context
    ) -> pb.RecordPromptOutcomesResponse:
        """Takes down what filters or reviewers said of candidates."""
        project = project_of(request.parent, "parent")
        found = await self._learner.learn(current_principal.get(), project, request.artifact)
        return pb.RecordPromptOutcomesResponse(outcomes=[codec.encode_outcome(project, one) for one in found])

    async def AmendPrompt(self, request: pb.AmendPromptRequest, context: Context) -> pb.PromptDiff:
        """Makes the next version of a prompt out of one and a finding."""
        project, name = split_name(request.name, "prompts")

        async def effect(connection: AsyncConnection) -> pb.PromptDiff:
            before = await store.get_prompt(connection, project, name)
            amended = amend(before, request.finding, request.instruction)
            if request.validate_only:
                made = await store.numbered(connection, project, amended)
            else:
                made = await store.add_prompt(connection, current_principal.get(), project, amended)
            return codec.encode_diff(project, before, made)

        return await once(self._database, request, pb.PromptDiff, effect)

    async def RegisterTeacher(self, request: pb.RegisterTeacherRequest, context: Context) -> pb.Teacher:
        """Registers a teacher."""
        project = project_of(request.parent, "parent")
        # Before it is probed, which costs.
        if (first := await first_answer(self._database, request, pb.Teacher)) is not None:
            return first
        teacher_id = check_id(request.teacher_id, "teacher_id")
        spec = await own_model(self._artifacts, project, codec.decode_teacher(request.teacher))
        check_credentials(spec.credentials, project, self._allowed_credentials)
        if not request.skip_probe:
            spec = spec.model_copy(update={"probe": await probe(spec, self._models)})

        async def effect(connection: AsyncConnection) -> pb.Teacher:
            await store.put_teacher(connection, current_principal.get(), project, teacher_id, spec)
            return codec.encode_teacher(project, teacher_id, *await store.get_teacher(connection, project, teacher_id))

        return await once(self._database, request, pb.Teacher, effect)

    async def GetTeacher(self, request: pb.GetTeacherRequest, context: Context) -> pb.Teacher:
        """Returns a teacher."""
        project, teacher_id = split_name(request.name, "teachers")
        async with self._database.begin() as connection:
            return codec.encode_teacher(project, teacher_id, *await store.get_teacher(connection, project, teacher_id))

    async def ListTeachers(self, request: pb.ListTeachersRequest, context: Context) -> pb.ListTeachersResponse:
        """Lists the teachers of a project."""
        project = project_of(request.parent, "parent")
        async with self._database.begin() as connection:
            teachers = await store.list_teachers(connection, project)
        return pb.ListTeachersResponse(teachers=[codec.encode_teacher(project, *teacher) for teacher in teachers])

    async def Audit(self, request: audit_pb2.AuditRequest, context: Context) -> audit_pb2.AuditReport:
        """Checks what the service holds of a project."""
        project = project_of(request.parent, "parent")
        return encode_report("generation", await audit_runs(self._database, project))
