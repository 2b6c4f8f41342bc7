"""Laws of the wire: an rpc states its least role and names a project; the committed stubs are those of the protos."""

import filecmp
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import cultivar
import pytest
from cultivar.auth.v1 import auth_pb2
from google.protobuf.descriptor import MethodDescriptor

ROOT = Path(__file__).parents[2]
SDK = ROOT / "libs" / "sdk"


def methods() -> list[MethodDescriptor]:
    """Every rpc of every service."""
    found = []
    for module in pkgutil.walk_packages(cultivar.__path__, "cultivar."):
        if module.name.endswith("_pb2"):
            descriptor = importlib.import_module(module.name).DESCRIPTOR
            found += [method for service in descriptor.services_by_name.values() for method in service.methods]
    return found


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.full_name)
def test_an_rpc_states_its_least_role_and_names_a_project(method: MethodDescriptor) -> None:
    assert method.GetOptions().Extensions[auth_pb2.least_role] != auth_pb2.ROLE_UNSPECIFIED
    fields = method.input_type.fields_by_name
    assert "name" in fields or "parent" in fields


def test_one_rpc_alone_may_be_called_without_a_token() -> None:
    least = {method.full_name: method.GetOptions().Extensions[auth_pb2.least_role] for method in methods()}
    assert [name for name, role in least.items() if role < auth_pb2.ROLE_NONE] == [
        "cultivar.identity.v1.IdentityService.GetSignIn"
    ]


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.full_name)
def test_a_creating_rpc_can_be_repeated(method: MethodDescriptor) -> None:
    assert not method.name.startswith("Create") or "request_id" in method.input_type.fields_by_name


def test_the_committed_stubs_are_those_of_the_protos_which_pass_the_lint(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(ROOT / "protos" / "make.py"), str(tmp_path)], check=True)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*_pb2*.py*"))
    committed = sorted(path.relative_to(SDK) for path in SDK.rglob("*_pb2*.py*") if "__pycache__" not in path.parts)
    assert made == committed
    assert [path for path in made if not filecmp.cmp(tmp_path / path, SDK / path, shallow=False)] == []
