"""Says that it is ready, and waits for ever."""

import threading

from cultivar_launchers.program import emit

emit("ready")
threading.Event().wait()
