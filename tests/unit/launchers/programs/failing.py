"""Reports an error and ends with exit code 3."""

from cultivar_launchers.program import emit

emit("progress", done=1)
emit("error", message="the rows ran out")
raise SystemExit(3)
