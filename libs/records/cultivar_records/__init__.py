"""Examples and verdicts, their Arrow schemas, files in and out, splits, and how an example is put before a model."""

from cultivar_records.examples import (
    Example,
    Message,
    Origin,
    Provenance,
    Role,
    Score,
    Span,
    canonical_json,
    example_id,
)
from cultivar_records.exports import chat_json, write_chat_jsonl, write_parquet
from cultivar_records.formats import (
    MAX_ROW_BYTES,
    BadRow,
    Format,
    UnreadableFile,
    detect_format,
    file_digest,
    read_rows,
)
from cultivar_records.licences import UNSTATED, disallowed, inherited, licences_of
from cultivar_records.splits import split_by_family
from cultivar_records.tables import (
    EXAMPLE_SCHEMA,
    VERDICT_SCHEMA,
    from_table,
    from_verdict_table,
    holds_examples,
    to_table,
    to_verdict_table,
    with_all_columns,
)
from cultivar_records.tasks import NO_ENTITIES, TaskKind, TaskSpec, answer_text, entities_answer, prompt_text
from cultivar_records.verdicts import Verdict
from cultivar_records.wrong import first_wrong

__all__ = [
    "EXAMPLE_SCHEMA",
    "MAX_ROW_BYTES",
    "NO_ENTITIES",
    "UNSTATED",
    "VERDICT_SCHEMA",
    "BadRow",
    "Example",
    "Format",
    "Message",
    "Origin",
    "Provenance",
    "Role",
    "Score",
    "Span",
    "TaskKind",
    "TaskSpec",
    "UnreadableFile",
    "Verdict",
    "answer_text",
    "canonical_json",
    "chat_json",
    "detect_format",
    "disallowed",
    "entities_answer",
    "example_id",
    "file_digest",
    "first_wrong",
    "from_table",
    "from_verdict_table",
    "holds_examples",
    "inherited",
    "licences_of",
    "prompt_text",
    "read_rows",
    "split_by_family",
    "to_table",
    "to_verdict_table",
    "with_all_columns",
    "write_chat_jsonl",
    "write_parquet",
]
