"""`python -m cultivar_standalone` is `cultivar up`."""

import typer

from cultivar_standalone.commands import up

if __name__ == "__main__":
    typer.run(up)
