"""What workers tell reaches the driver, once, in order, and whole lines alone."""

import time
from pathlib import Path
from typing import Any

from cultivar_training.program.events import EventFile, Follower


def test_events_reach_the_follower_in_order_and_once(tmp_path: Path) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    follower = Follower(tmp_path / "events", lambda kind, **fields: told.append((kind, fields)))
    follower.start()
    events = EventFile(tmp_path / "events")
    for step in range(20):
        events.tell("progress", step=step, stage="lädt")
        time.sleep(0.01)
    with (tmp_path / "events").open("a") as file:
        file.write('{"event":"half')
    follower.stop()
    assert [fields["step"] for _, fields in told] == list(range(20))
    assert follower.told == {"progress": {"step": 19, "stage": "lädt"}}


def test_a_quiet_file_is_never_made(tmp_path: Path) -> None:
    EventFile(tmp_path / "events", quiet=True).tell("progress")
    follower = Follower(tmp_path / "events", lambda kind, **fields: None)
    follower.start()
    follower.stop()
    assert not (tmp_path / "events").exists()
    assert follower.told == {}
