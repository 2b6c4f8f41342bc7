"""Lanes share one bound, and each comes to its turn."""

import gc

from cultivar_generation.teachers.allowance import Allowance
from hypothesis import given
from hypothesis import strategies as st


class Lane:
    """Wants pieces of some sizes, one after the other, and holds each for some steps."""

    def __init__(self, allowance: Allowance, sizes: list[int], steps: int = 1) -> None:
        self.turn = 0
        self.sizes = sizes
        self.under_way: list[list[int]] = []
        self._steps = steps
        self._allowance = allowance
        allowance.join(self)

    @property
    def held(self) -> int:
        return sum(size for size, _ in self.under_way)

    def step(self) -> None:
        for piece in self.under_way:
            piece[1] -= 1
        self.under_way = [piece for piece in self.under_way if piece[1] > 0]
        while self.sizes and self._allowance.allows(self, self.held + self.sizes[0], not self.under_way):
            self.under_way.append([self.sizes.pop(0), self._steps])


@given(
    wanted=st.lists(st.lists(st.integers(1, 30), max_size=8), min_size=1, max_size=4),
    steps=st.lists(st.integers(1, 4), min_size=4, max_size=4),
)
def test_all_get_what_they_want_and_the_bound_is_passed_by_one_large_piece_alone(
    wanted: list[list[int]], steps: list[int]
) -> None:
    allowance = Allowance(20)
    lanes = [Lane(allowance, sizes, each) for sizes, each in zip(wanted, steps, strict=False)]
    for _ in range(4 * sum(map(len, wanted)) + 4):
        for lane in lanes:
            lane.step()
            pieces = sum(len(lane.under_way) for lane in lanes)
            assert sum(lane.held for lane in lanes) <= 20 or pieces == 1
    assert not any(lane.sizes for lane in lanes)


def test_a_wide_piece_has_its_turn_though_narrow_ones_never_run_out() -> None:
    allowance = Allowance(20)
    narrow, wide = Lane(allowance, [5] * 100, 2), Lane(allowance, [18])
    for _ in range(8):
        narrow.step()
        wide.step()
    assert not wide.sizes
    assert narrow.sizes


def test_a_lane_that_is_gone_holds_nothing() -> None:
    allowance = Allowance(20)
    gone, other = Lane(allowance, [20]), Lane(allowance, [20])
    gone.step()
    other.step()
    assert other.sizes
    del gone
    gc.collect()
    other.step()
    assert not other.sizes
