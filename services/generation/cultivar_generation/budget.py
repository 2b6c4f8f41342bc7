"""What a run may spend, and what it has spent of it."""

from cultivar_models import TokenUsage
from pydantic import BaseModel, ConfigDict, Field

from cultivar_generation.teacher import TeacherSpec


class Budget(BaseModel):
    """What a run may spend; 0 is no bound."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: int = Field(0, ge=0)
    cost: float = Field(0.0, ge=0, allow_inf_nan=False)


class BudgetSpent(Exception):
    """The run has spent what it may: a call is not made."""


class Purse:
    """What a run has spent; calls that are under way when the budget ends are still paid for."""

    def __init__(self, budget: Budget, teacher: TeacherSpec, spent: TokenUsage) -> None:
        self._budget = budget
        self._teacher = teacher
        self._spent = TokenUsage()
        self.stopped = ""
        self.pay(spent)

    def pay(self, usage: TokenUsage) -> None:
        """Adds what a call cost."""
        self._spent += usage
        budget, tokens = self._budget, self._spent.prompt_tokens + self._spent.completion_tokens
        cost = self._teacher.cost(self._spent)
        if budget.tokens and tokens >= budget.tokens:
            self.stopped = f"{tokens} tokens are spent of {budget.tokens}: raise budget.tokens and run it again"
        elif budget.cost and cost >= budget.cost:
            self.stopped = f"{cost:g} is spent of {budget.cost:g}: raise budget.cost and run it again"

    def guard(self) -> None:
        """Raises BudgetSpent when nothing is left."""
        if self.stopped:
            raise BudgetSpent
