"""The fake launcher says in every place that it is one."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from cultivar_launchers import Program
from cultivar_training.fake_program import MODULE, fake_launcher
from cultivar_training.plan import ADAPTER_FILES
from safetensors.numpy import load_file


async def test_it_trains_nothing_and_says_so(tmp_path: Path) -> None:
    shard = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"id": ["a", "b", "c"]}), shard)
    launcher = fake_launcher()
    spec = {"folder": str(tmp_path), "dataset": [str(shard)]}
    job = await launcher.start(Program(name="projects/default/trainingRuns/one", module=MODULE, spec=spec))
    outcome = await job.wait()
    assert outcome.exit_code == 0, outcome.log_tail
    assert "nothing is trained" in outcome.log_tail[0]
    assert outcome.result is not None
    assert outcome.result["measures"]["fake"] == 1.0
    assert outcome.result["trained"] == 3
    folder = Path(outcome.result["folder"])
    assert sorted(path.name for path in folder.iterdir()) == sorted(ADAPTER_FILES)
    assert "nothing is trained" in json.loads((folder / "training.json").read_text())["fake"]
    assert load_file(folder / "adapter_model.safetensors") == {}
