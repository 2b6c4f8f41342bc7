"""Findings of an audit as messages."""

from collections.abc import Mapping, Sequence

from cultivar.audit.v1 import audit_pb2

from cultivar_service.audit import MOST_OFFENDERS, Finding


def encode_report(
    service: str, findings: Sequence[Finding], counts: Mapping[str, int] | None = None
) -> audit_pb2.AuditReport:
    """Returns the report of a service."""
    return audit_pb2.AuditReport(
        service=service,
        findings=[
            audit_pb2.Finding(
                check=finding.check,
                holds=not finding.offenders,
                examined=finding.examined,
                offenders=finding.offenders[:MOST_OFFENDERS],
            )
            for finding in findings
        ],
        counts=counts or {},
    )
