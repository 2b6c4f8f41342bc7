import pytest
from cultivar_generation.teachers.prompt_tree import ROOT, PromptTree
from hypothesis import given
from hypothesis import strategies as st

prompt_lists = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8), min_size=1, max_size=10)
budgets = st.integers(1, 12)
read_before = st.lists(st.integers(0, 2), max_size=9)


def ancestors_and_self(tree: PromptTree, node: int) -> set[int]:
    found = set()
    while node != ROOT:
        found.add(node)
        node = tree.parents[node]
    return found


@given(prompt_lists)
def test_every_prompt_is_the_path_to_its_end(prompts: list[list[int]]) -> None:
    tree = PromptTree(prompts)
    assert [[tree.tokens[node] for node in tree.path(end)] for end in tree.ends] == prompts


@given(prompt_lists)
def test_every_distinct_beginning_is_one_node(prompts: list[list[int]]) -> None:
    beginnings = {tuple(prompt[:length]) for prompt in prompts for length in range(1, len(prompt) + 1)}
    assert len(PromptTree(prompts)) == len(beginnings)


@given(prompt_lists, budgets, read_before)
def test_the_runs_cover_every_node_once_within_the_budget(
    prompts: list[list[int]], budget: int, before: list[int]
) -> None:
    tree = PromptTree(prompts, before)
    runs = list(tree.runs(budget))
    assert [node for run in runs for node in range(run.first, run.last)] == list(range(tree.known, len(tree)))
    assert all(len(run) <= budget for run in runs)


@given(prompt_lists, budgets, read_before)
def test_a_node_sees_its_ancestors_and_itself_and_nothing_else(
    prompts: list[list[int]], budget: int, before: list[int]
) -> None:
    tree = PromptTree(prompts, before)
    for run in tree.runs(budget):
        keys = [*run.trunk, *range(run.first, run.last)]
        visible = tree.visible(run)
        for row, node in enumerate(range(run.first, run.last)):
            assert {key for key, seen in zip(keys, visible[row], strict=True) if seen} == ancestors_and_self(tree, node)


@given(prompt_lists, budgets, read_before)
def test_places_find_the_keys_of_a_path_and_of_the_next_trunk(
    prompts: list[list[int]], budget: int, before: list[int]
) -> None:
    tree = PromptTree(prompts, before)
    runs = list(tree.runs(budget))
    for run, following in zip(runs, [*runs[1:], None], strict=True):
        keys = [*run.trunk, *range(run.first, run.last)]
        path = tree.path(run.last - 1)
        assert [keys[place] for place in tree.places(run, path)] == path
        if following is not None:
            assert [keys[place] for place in tree.places(run, following.trunk)] == list(following.trunk)


@given(prompt_lists, read_before)
def test_what_is_known_is_the_longest_beginning_in_which_no_prompt_ends(
    prompts: list[list[int]], before: list[int]
) -> None:
    tree = PromptTree(prompts, before)
    assert tree.tokens[: tree.known] == before[: tree.known]
    assert tree.parents[: tree.known] == list(range(-1, tree.known - 1))
    assert all(end >= tree.known for end in tree.ends)
    starts = {tuple(prompt[: tree.known + 1]) for prompt in prompts}
    longer = tuple(before[: tree.known + 1])
    ends_there = any(len(prompt) == tree.known + 1 for prompt in prompts)
    assert len(longer) <= tree.known or longer not in starts or ends_there


@given(prompt_lists, read_before)
def test_what_was_read_before_changes_no_path(prompts: list[list[int]], before: list[int]) -> None:
    tree = PromptTree(prompts, before)
    assert [[tree.tokens[node] for node in tree.path(end)] for end in tree.ends] == prompts
    assert len(tree) == len(PromptTree(prompts))


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="no tokens"):
        PromptTree([[1], []])
