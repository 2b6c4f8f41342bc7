"""Messages of review to and from its own objects."""

from collections.abc import Sequence
from typing import Any, get_args

import sqlalchemy as sa
from cultivar.review.v1 import review_pb2 as pb
from cultivar_records import Example
from cultivar_service.artifacts import artifact_digest, artifact_name
from cultivar_service.errors import InvalidArgument
from cultivar_service.example_codec import decode_task, encode_example, encode_task
from cultivar_service.names import project_of, split_name
from cultivar_service.run_codec import encode_time
from cultivar_service.translate import invalid
from pydantic import ValidationError

from cultivar_review.findings import Finding, Findings
from cultivar_review.queues import Counts, Criterion, Queue, QueueSpec
from cultivar_review.report import Report, Share
from cultivar_review.reviews import Decision, Kind, Review, Reviewed

QUEUES, TASKS = "queues", "tasks"
MOST_SEAT = 128
MOST_REQUEST_ID = 128


def queue_name(name: str, field: str = "name") -> str:
    """Returns the name of a queue; raises InvalidArgument for another form."""
    split_name(name, QUEUES, field)
    return name


def queue_of_task(name: str) -> str:
    """Returns the name of the queue that a task's name holds; raises InvalidArgument for another form."""
    project_of(name)
    parts = name.split("/")
    if len(parts) != 6 or parts[2] != QUEUES or parts[4] != TASKS or not parts[3] or not parts[5]:
        raise InvalidArgument(
            f"name must be projects/PROJECT/{QUEUES}/QUEUE/{TASKS}/TASK, got {name[:120]!r}", field="name"
        )
    return "/".join(parts[:4])


def short(text: str, most: int, field: str) -> str:
    """Returns an id that a caller chose; raises InvalidArgument where it is too long or holds U+0000."""
    if len(text) > most or "\x00" in text:
        raise InvalidArgument(f"{field} must be up to {most} characters without U+0000", field=field)
    return text


def decode_spec(project: str, spec: pb.QueueSpec) -> QueueSpec:
    """Resolves what a queue asks, with every default filled in; raises InvalidArgument with the field's path."""
    given: dict[str, Any] = {
        "examples": artifact_digest(project, spec.examples, "spec.examples"),
        "task": decode_task(spec.task, "spec.task"),
        "guidelines": spec.guidelines,
        "tags": tuple(spec.tags),
        "sample_size": spec.sample_size,
        "random_seed": spec.random_seed,
        "seeds": artifact_digest(project, spec.seeds, "spec.seeds") if spec.seeds else "",
    }
    if spec.lease_seconds:
        given["lease_seconds"] = spec.lease_seconds
    if spec.rubric:
        given["rubric"] = tuple(
            {"criterion": asked.criterion, "question": asked.question, "anchors": tuple(asked.anchors)}
            for asked in spec.rubric
        )
    try:
        return QueueSpec.model_validate(given)
    except ValidationError as error:
        raise invalid(error, "spec") from error


def encode_spec(project: str, spec: QueueSpec) -> pb.QueueSpec:
    """Returns what a queue asks."""
    return pb.QueueSpec(
        examples=artifact_name(project, spec.examples),
        task=encode_task(spec.task),
        guidelines=spec.guidelines,
        rubric=[encode_criterion(criterion) for criterion in spec.rubric],
        tags=spec.tags,
        sample_size=spec.sample_size,
        random_seed=spec.random_seed,
        lease_seconds=spec.lease_seconds,
        seeds=artifact_name(project, spec.seeds),
    )


def encode_criterion(criterion: Criterion) -> pb.Criterion:
    """Returns one criterion of a rubric."""
    return pb.Criterion(criterion=criterion.criterion, question=criterion.question, anchors=criterion.anchors)


def encode_counts(counts: Counts) -> pb.QueueCounts:
    """Returns how far a queue is."""
    return pb.QueueCounts(**counts.__dict__)


def encode_queue(queue: Queue, counts: Counts) -> pb.Queue:
    """Returns the resource of a queue."""
    return pb.Queue(
        name=queue.name,
        spec=encode_spec(queue.project, queue.spec),
        state=pb.QueueState.Value(f"QUEUE_STATE_{queue.state}"),
        counts=encode_counts(counts),
        create_time=encode_time(queue.create_time),
        close_time=encode_time(queue.close_time),
        principal=queue.principal,
        accepted=artifact_name(queue.project, queue.accepted),
        declined=artifact_name(queue.project, queue.declined),
        unreviewed=artifact_name(queue.project, queue.unreviewed),
        reviews=artifact_name(queue.project, queue.reviews),
    )


def encode_task_row(row: sa.RowMapping) -> pb.ReviewTask:
    """Returns a leased task."""
    return pb.ReviewTask(
        name=row["name"],
        example=encode_example(Example.model_validate(row["example"])),
        seeds=[encode_example(Example.model_validate(seed)) for seed in row["seeds"]],
        lease=encode_lease(row),
    )


def encode_lease(row: sa.RowMapping) -> pb.Lease:
    """Returns the lease of a task."""
    return pb.Lease(token=row["lease_token"], expire_time=encode_time(row["lease_until"]))


def decode_review(review: pb.Review) -> Review:
    """Reads a review; raises InvalidArgument with the path of what is wrong."""
    texts = ("edited_text", "edited_answer", "label", "comment", "program")
    given: dict[str, Any] = {
        "decision": decode_choice(pb.Decision.Name(review.decision), "DECISION_", Decision, "review.decision"),
        "kind": decode_choice(
            pb.ReviewerKind.Name(review.reviewer_kind), "REVIEWER_KIND_", Kind, "review.reviewer_kind"
        ),
        "scores": dict(review.scores),
        "tags": tuple(review.tags),
        **{name: getattr(review, name) for name in texts},
    }
    try:
        return Review.model_validate(given)
    except ValidationError as error:
        raise invalid(error, "review") from error


def decode_choice(name: str, prefix: str, choices: Any, field: str) -> str:
    """Returns the plain word of an enum's value; raises InvalidArgument where it was not set."""
    word = name.removeprefix(prefix).lower()
    if word not in get_args(choices):
        known = ", ".join(choice.upper() for choice in get_args(choices))
        raise InvalidArgument(f"{field} must be set: {known}", field=field)
    return word


def encode_review(reviewed: Reviewed) -> pb.Review:
    """Returns a review with its task, reviewer and time."""
    said = reviewed.review
    return pb.Review(
        task=reviewed.task,
        scores=said.scores,
        decision=pb.Decision.Value(f"DECISION_{said.decision.upper()}"),
        edited_text=said.edited_text,
        edited_answer=said.edited_answer,
        label=said.label,
        tags=said.tags,
        comment=said.comment,
        reviewer_kind=encode_kind(said.kind),
        program=said.program,
        reviewer=reviewed.reviewer,
        submit_time=encode_time(reviewed.submit_time),
        seconds=reviewed.seconds,
    )


def encode_kind(kind: str) -> "pb.ReviewerKind.ValueType":
    """Returns the kind of a reviewer."""
    return pb.ReviewerKind.Value(f"REVIEWER_KIND_{kind.upper()}")


def encode_share(share: Share) -> pb.Share:
    """Returns a share with its interval."""
    return pb.Share(
        key=share.key,
        reviewed=share.reviewed,
        accepted=share.accepted,
        rate=share.rate,
        low=share.low,
        high=share.high,
    )


def encode_report(queue: Queue, counts: Counts, report: Report) -> pb.QueueReport:
    """Returns what the reviews of a queue say."""
    return pb.QueueReport(
        queue=queue.name,
        counts=encode_counts(counts),
        acceptance=encode_share(report.acceptance),
        by_label=[encode_share(share) for share in report.by_label],
        by_strategy=[encode_share(share) for share in report.by_strategy],
        by_prompt=[encode_share(share) for share in report.by_prompt],
        scores=[encode_scores(criterion, given) for criterion, given in report.scores.items()],
        tags=report.tags,
        reviewers=[
            pb.ReviewerSummary(
                reviewer=one.reviewer,
                kind=encode_kind(one.kind),
                program=one.program,
                reviewed=one.reviewed,
                accepted=one.accepted,
                median_seconds=one.median_seconds,
            )
            for one in report.reviewers
        ],
        median_seconds=report.median_seconds,
    )


def encode_findings(findings: Findings) -> pb.ListFindingsResponse:
    """Returns what the reviews of a queue show."""
    return pb.ListFindingsResponse(
        findings=[encode_finding(finding) for finding in findings.found],
        reviewed=findings.reviewed,
        compared=findings.compared,
        too_few=findings.too_few,
    )


def encode_finding(finding: Finding) -> pb.Finding:
    """Returns one finding."""
    fields = ("dimension", "key", "reviewed", "declined", "others_reviewed", "others_declined", "difference", "low")
    more = ("high", "few", "tasks", "sentence")
    given = {name: getattr(finding, name) for name in (*fields, *more)}
    return pb.Finding(**given, by_prompt=[encode_share(share) for share in finding.by_prompt])


def encode_scores(criterion: str, given: Sequence[int]) -> pb.ScoreSummary:
    """Returns how often each score of a criterion was given."""
    total = sum(score * number for score, number in enumerate(given, start=1))
    return pb.ScoreSummary(criterion=criterion, counts=given, mean=total / sum(given) if sum(given) else 0.0)
