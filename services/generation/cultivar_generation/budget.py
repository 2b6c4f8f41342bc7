"""What a run may spend, and what it has spent of it."""

from typing import Any

from cultivar_models import TokenUsage
from cultivar_service.errors import FailedPrecondition
from cultivar_service.runs import SUCCEEDED, Run
from pydantic import BaseModel, ConfigDict, Field


class Budget(BaseModel):
    """What a run may spend; 0 is no bound."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: int = Field(0, ge=0)
    cost: float = Field(0.0, ge=0, allow_inf_nan=False)


class BudgetSpent(Exception):
    """The run has spent what it may: a call is not made."""


class Purse:
    """What a run has spent; calls that are under way when the budget ends are still paid for."""

    def __init__(self, budget: Budget, tokens: int, cost: float) -> None:
        self._budget = budget
        self._tokens = tokens
        self._cost = cost
        self.stopped = ""
        self.pay(TokenUsage(), 0.0)

    def pay(self, usage: TokenUsage, cost: float) -> None:
        """Adds what a call cost, in tokens and by the prices of its teacher."""
        self._tokens += usage.prompt_tokens + usage.completion_tokens
        self._cost += cost
        budget, tokens, cost = self._budget, self._tokens, self._cost
        if budget.tokens and tokens >= budget.tokens:
            self.stopped = f"{tokens} tokens are spent of {budget.tokens}: retry the run with more"
        elif budget.cost and cost >= budget.cost:
            self.stopped = f"{cost:g} is spent of {budget.cost:g}: retry the run with more"

    def guard(self) -> None:
        """Raises BudgetSpent when nothing is left."""
        if self.stopped:
            raise BudgetSpent


def retried_spec(run: Run, budget: Budget | None) -> dict[str, Any]:
    """Returns the spec with which a run goes on; raises FailedPrecondition where nothing is left, to do or to spend.

    A call that failed is left to do.

    budget: what it may spend in all from now on; None for what it might before.
    """
    failed = run.progress.get("counts", {}).get("failed", 0)
    if run.state == SUCCEEDED and not run.result.get("stopped") and not failed:
        raise FailedPrecondition(f"generation run {run.id} made all its calls: create another run for more")
    allowed = budget or Budget.model_validate(run.spec["budget"])
    spent = {name: float(run.usage.get(name, 0)) for name in ("prompt_tokens", "completion_tokens", "cost")}
    tokens = spent["prompt_tokens"] + spent["completion_tokens"]
    if (allowed.tokens and tokens >= allowed.tokens) or (allowed.cost and spent["cost"] >= allowed.cost):
        raise FailedPrecondition(
            f"generation run {run.id} has spent {tokens:.0f} tokens at a cost of {spent['cost']:g}, all that it may: "
            "give a larger budget"
        )
    return {**run.spec, "budget": allowed.model_dump(mode="json")}
