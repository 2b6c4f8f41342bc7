"""`cultivar up` whose training runs a script: `python -m tests.faults.scripted_up`."""

import typer
from cultivar_standalone.commands import up
from cultivar_standalone.mounts import BUILDS

from tests.integration.campaigns.scripted import scripted

if __name__ == "__main__":
    BUILDS["training"] = scripted()
    typer.run(up)
