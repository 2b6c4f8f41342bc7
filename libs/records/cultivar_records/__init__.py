"""Examples and verdicts, their Arrow schemas, and how an example is put before a model."""

from cultivar_records.examples import (
    Example,
    Message,
    Origin,
    Provenance,
    Role,
    Span,
    canonical_json,
    example_id,
)
from cultivar_records.tables import (
    EXAMPLE_SCHEMA,
    VERDICT_SCHEMA,
    from_table,
    from_verdict_table,
    to_table,
    to_verdict_table,
)
from cultivar_records.tasks import NO_ENTITIES, TaskKind, TaskSpec, answer_text, prompt_text
from cultivar_records.verdicts import Verdict

__all__ = [
    "EXAMPLE_SCHEMA",
    "NO_ENTITIES",
    "VERDICT_SCHEMA",
    "Example",
    "Message",
    "Origin",
    "Provenance",
    "Role",
    "Span",
    "TaskKind",
    "TaskSpec",
    "Verdict",
    "answer_text",
    "canonical_json",
    "example_id",
    "from_table",
    "from_verdict_table",
    "prompt_text",
    "to_table",
    "to_verdict_table",
]
