"""Says what it got: a log line, `steps` progress events, its result."""

from cultivar_launchers.program import attempt, emit, read_spec

spec = read_spec()
print("a line of the log")
for step in range(int(spec.get("steps", 3))):
    emit("progress", done=step + 1)
emit("result", attempt=attempt(), echo=spec.get("echo"))
