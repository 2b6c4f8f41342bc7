"""Messages of campaigns to and from their own objects."""

from cultivar.campaigns.v1 import campaigns_pb2 as pb
from cultivar.run.v1 import run_pb2
from cultivar_service.artifacts import artifact_name
from cultivar_service.errors import InvalidArgument
from cultivar_service.run_codec import encode_progress, encode_run, encode_time, encode_usage
from cultivar_service.struct_codec import encode_struct

from cultivar_campaigns.config import CampaignConfig
from cultivar_campaigns.report.advice import advise
from cultivar_campaigns.report.facts import Facts
from cultivar_campaigns.report.verdict import verdict_sentence
from cultivar_campaigns.store import Campaign, Gate, Stage

DECISIONS = {pb.GATE_DECISION_GO_ON: "GO_ON", pb.GATE_DECISION_STOP: "STOP"}


def decode_decision(decision: "pb.GateDecision.ValueType") -> str:
    """Returns a decision; raises InvalidArgument where there is none."""
    if decision not in DECISIONS:
        raise InvalidArgument("decision must be GO_ON or STOP", field="decision")
    return DECISIONS[decision]


def encode_campaign(campaign: Campaign) -> pb.Campaign:
    """Returns the resource of a campaign."""
    run = campaign.run
    return pb.Campaign(
        name=campaign.name,
        run=encode_run(run),
        config=encode_struct(run.spec["config"]),
        round=max((stage.round for stage in campaign.stages), default=1),
        stages=[encode_stage(stage) for stage in campaign.stages],
        gates=[encode_gate(gate) for gate in campaign.gates],
        report=artifact_name(run.project, run.result.get("report", "")),
        verdict=run.result.get("verdict", ""),
    )


def encode_checked(config: CampaignConfig) -> pb.Campaign:
    """Returns a campaign that was checked and not made."""
    return pb.Campaign(config=encode_struct(config.model_dump(mode="json")))


def encode_stage(stage: Stage) -> pb.Stage:
    """Returns a stage."""
    return pb.Stage(
        key=stage.key,
        round=stage.round,
        stage=stage.stage,
        source=stage.source,
        arm=stage.arm,
        training_seed=stage.training_seed,
        state=run_pb2.RunState.Value(f"RUN_STATE_{stage.state}"),
        waiting_for=stage.waiting_for,
        child=stage.child,
        attempt=stage.attempt,
        progress=encode_progress(stage.progress),
        usage=encode_usage(stage.usage),
        start_time=encode_time(stage.start_time),
        end_time=encode_time(stage.end_time),
        error=stage.error,
        artifacts=stage.artifacts,
    )


def encode_gate(gate: Gate) -> pb.Gate:
    """Returns a gate."""
    numbers = {name: number for number, name in DECISIONS.items()}
    return pb.Gate(
        gate=gate.gate,
        question=gate.question,
        queue=gate.queue,
        url=gate.url,
        decision=numbers.get(gate.decision, pb.GATE_DECISION_UNSPECIFIED),
        principal=gate.principal,
        open_time=encode_time(gate.open_time),
        resolve_time=encode_time(gate.resolve_time),
    )


def encode_verdict(facts: Facts) -> pb.Verdict:
    """Returns the answer to the goal."""
    arm_fields = ("arm", "value", "low", "high", "by_seed", "examples", "evaluation_runs")
    gain_fields = ("arm", "over", "gain", "low", "high", "level", "covers_seeds", "seen", "margin_met")
    return pb.Verdict(
        sentence=verdict_sentence(facts),
        target_reached=facts.target_reached,
        best_arm=facts.best.arm if facts.measured else "",
        arms=[pb.ArmResult(**{name: getattr(arm, name) for name in arm_fields}) for arm in facts.arms],
        gains=[pb.Gain(**{name: getattr(gain, name) for name in gain_fields}) for gain in facts.gains],
        rows=facts.rows,
        minimum_detectable_gain=facts.minimum_detectable_gain,
        times_scored=facts.times_scored,
        next=advise(facts),
    )
