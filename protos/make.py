"""Makes the stubs under libs/sdk from the protos beside this file, after a lint: `python protos/make.py [FOLDER]`."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

PROTOS = Path(__file__).parent
STUBS = PROTOS.parent / "libs" / "sdk"
PROGRAMS = Path(sys.executable).parent
"""Where buf and the plug-ins of the compiler are: beside this interpreter."""


def sources() -> list[str]:
    """Returns every proto, as a path relative to this folder."""
    return sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))


def includes() -> list[str]:
    """Returns the include flags: ours, then those that come inside wheels."""
    compiler, google = (Path(find_spec(name).origin or "") for name in ("grpc_tools.protoc", "google.rpc.status_pb2"))  # type: ignore[union-attr]
    return [f"-I{PROTOS}", f"-I{compiler.parent / '_proto'}", f"-I{google.parents[2]}"]


def protoc(*flags: str) -> None:
    """Runs the compiler that grpcio-tools carries; raises CalledProcessError where it refuses."""
    command = [sys.executable, "-m", "grpc_tools.protoc", *includes(), *flags, *sources()]
    subprocess.run(command, check=True, env={**os.environ, "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"})


def lint() -> None:
    """Lints an image that protoc wrote, so that protos of others need no copy here."""
    with TemporaryDirectory() as folder:
        image = Path(folder) / "image.binpb"
        protoc(f"--descriptor_set_out={image}", "--include_imports", "--include_source_info")
        rules = (PROTOS / "buf.yaml").read_text()
        # The image carries Google's protos too, whose comments are not ours to write.
        paths = [flag for source in sources() for flag in ("--path", source)]
        subprocess.run([str(PROGRAMS / "buf"), "lint", str(image), "--config", rules, *paths], check=True)


def make(folder: Path) -> None:
    """Writes the modules and their type stubs into a folder."""
    protoc(*(f"--{kind}_out={folder}" for kind in ("python", "grpc_python")))
    protoc(*(f"--{kind}_out=quiet:{folder}" for kind in ("mypy", "mypy_grpc")))
    for path in folder.rglob("v1"):
        (path / "__init__.py").touch()
        (path.parent / "__init__.py").touch()


if __name__ == "__main__":
    lint()
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else STUBS)
