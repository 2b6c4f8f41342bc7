"""Shipped versions of prompts stay as they are: runs that go on name them, and candidates too."""

from cultivar_generation.prompts import render, shipped

PINNED = {
    "answer-briefly@1": "c6f44b13e21fb61c",
    "answer@1": "21f33f99a50b49df",
    "answer@2": "064613e25b3c8564",
    "blur@1": "da67fb788d9aae6d",
    "by-label@1": "351d3fd84cc6a8f3",
    "by-label@2": "1f2d369136f056d6",
    "code@1": "63bc020b782f572b",
    "continue-instructions@1": "cda4ac0aa848164a",
    "continue@1": "867dd3cc109eb876",
    "continue@2": "fa482ac0798bbd63",
    "contrast@1": "f9069e0c1945426c",
    "dialogue@1": "d85d17f1718d5d58",
    "documents@1": "08e12927d1391c46",
    "edge-cases@1": "6f67638451b296a5",
    "edge-cases@2": "3baebcfd66305dd2",
    "entities-paraphrase@1": "c4f6c62d380b6821",
    "entities@1": "73848dac65bc38ab",
    "evolve-broader@1": "54a233c07ee4d5f7",
    "evolve-deeper@1": "32069b16ce6ebed0",
    "instructions@1": "4413342645a04f04",
    "pairs@1": "ff7053d584a039c0",
    "paraphrase@1": "4b1fdeb89d6e45d7",
    "paraphrase@2": "c9456c6f280d27a7",
    "preference-pair@1": "e91d7cfa477bbd3c",
    "preference@1": "0c754de302b81017",
    "refine@1": "83676d69b857a0bb",
    "style-answer@1": "c6db60bae1bc34af",
    "style-answer@2": "9c70e3dc100c1a0c",
    "style@1": "16874ec09add2af0",
    "translate@1": "f9534f41bc2b9850",
    "translate@2": "c647c13cec56462a",
}
"""The first 16 hexadecimals of the digest of each shipped version."""


def test_a_shipped_version_is_never_changed_but_a_new_one_written_beside_it() -> None:
    found = {one.versioned_name: one.digest[:16] for versions in shipped().values() for one in versions.values()}
    changed = sorted(name for name, digest in PINNED.items() if found.get(name) != digest)
    assert not changed, f"write the next version, NAME@N.yaml, and put these back as they were: {changed}"
    assert found.keys() == PINNED.keys(), "pin the new version here"


def test_seeds_of_any_language_are_translated_from_it_and_put_back_into_it() -> None:
    newest = shipped()["translate"][max(shipped()["translate"])]
    axes = {"language": "Finnish", "source_language": "German"}
    assert newest.params["axes"]["source_language"] == ["English"]
    assert "from German into Finnish" in newest.render({"text": "Wo ist mein Geld?", "axes": axes})
    back = render(newest.params["check"]["template"], {"draft": "Missä rahani on?", "axes": axes})
    assert "from Finnish into German" in back
