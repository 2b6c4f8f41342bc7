"""Gives its whole environment as its result."""

import os

from cultivar_launchers.program import emit

emit("result", environment=dict(os.environ))
