"""One-time codes."""

from cultivar_console.sessions import CODE_SECONDS, Codes


def test_a_code_is_used_once_and_within_the_hour() -> None:
    now = [1000.0]
    kept = Codes(lambda: now[0])
    code, late = kept.new("ada"), kept.new("ada")
    assert kept.use(code) == "ada"
    assert kept.use(code) is None
    now[0] += CODE_SECONDS
    assert kept.use(late) is None
    assert kept.use("") is None
