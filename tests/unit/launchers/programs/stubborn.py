"""Says that it is ready, waits for ever, and does not listen to SIGTERM."""

import signal
import threading

from cultivar_launchers.program import emit

signal.signal(signal.SIGTERM, signal.SIG_IGN)
emit("ready")
threading.Event().wait()
