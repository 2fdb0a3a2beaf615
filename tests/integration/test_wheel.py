"""The wheel, installed where no checkout is, brings everything the package needs."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

REPORT = """
import json, sys, importlib.metadata, importlib.resources
import almenara
from almenara.wire.schemas import schema_folder
package = importlib.resources.files(almenara)
json.dump({
    "package": str(package),
    "version": almenara.__version__,
    "schemas": sorted(entry.name for entry in schema_folder().iterdir()),
    "typed": package.joinpath("py.typed").is_file(),
    "samples": package.joinpath("demo", "samples", "PE.jsonl").is_file(),
    "license": sorted(str(f) for f in importlib.metadata.files("almenara") if f.name == "LICENSE"),
    "command": [e.value for e in importlib.metadata.entry_points(group="console_scripts", name="almenara")],
}, sys.stdout)
"""


def run(*command: str | Path, cwd: Path) -> str:
    return subprocess.run(command, cwd=cwd, check=True, text=True, stdout=subprocess.PIPE).stdout


@pytest.fixture(scope="module")
def clean_python(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the python of an environment that holds the wheel, and our libraries by path alone.

    The libraries come from the environment that runs the tests, by a .pth file: no network, and its
    editable install of almenara does not count there, for .pth files of a folder that was itself
    added by one are not read.
    """
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist", cwd=repository)
    (wheel,) = (folder / "dist").glob("almenara-*.whl")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    python = folder / "env" / "bin" / "python"
    install = ("install", "--quiet", "--no-index", "--no-deps", wheel)
    run(sys.executable, "-m", "pip", "--python", python, *install, cwd=folder)
    purelib = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    (folder / "env" / purelib / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_installed_wheel_brings_schemas_samples_types_and_license(
    clean_python: Path, repository: Path, tmp_path: Path
) -> None:
    report = json.loads(run(clean_python, "-c", REPORT, cwd=tmp_path))
    assert report.pop("package").startswith(str(clean_python.parent.parent))
    assert report == {
        "version": "0.1.0",
        "schemas": sorted(path.name for path in (repository / "schemas").iterdir()),
        "typed": True,
        "samples": True,
        "license": ["almenara-0.1.0.dist-info/licenses/LICENSE"],
        "command": ["almenara.cli.__main__:main"],
    }


def test_importing_the_package_loads_no_kafka_client(tmp_path: Path) -> None:
    loaded = run(sys.executable, "-c", "import sys, almenara; print(*sys.modules)", cwd=tmp_path).split()
    assert "almenara" in loaded
    assert not {"aiokafka", "fastavro", "cryptography", "almenara.client"} & set(loaded)
