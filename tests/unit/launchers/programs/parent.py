"""Starts a process that leaves its session and its parent behind, says its pid, and waits or ends as told."""

import subprocess
import sys
import threading

from cultivar_launchers.program import emit, read_spec

spec = read_spec()
hidden = "import subprocess,sys;p=subprocess.Popen(['sleep','600'],start_new_session=True,stdout=-3);print(p.pid)"
answer = subprocess.run([sys.executable, "-c", hidden], stdout=subprocess.PIPE, check=True, start_new_session=True)
emit("ready", pid=int(answer.stdout))
if spec.get("waits"):
    threading.Event().wait()
