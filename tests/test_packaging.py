"""The wheel, and where profiles are found from a wheel, a checkout and another folder."""

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from wheel_smoke import FIRST, run

import qvit_qiskit
from qvit_qiskit.execution import registry
from qvit_qiskit.shipped import PACKED
from qvit_qiskit.zoo import model_names

ROOT = Path(__file__).resolve().parent.parent
LISTING = (
    "import json\n"
    "import qvit_qiskit\n"
    "from qvit_qiskit.execution import registry\n"
    "files = {found.name: str(found.path) for found in registry.available()}\n"
    "profiles = [found.load() for found in registry.available()]\n"
    "print(json.dumps({'package': qvit_qiskit.__file__, 'files': files}))\n"
)


def python(*arguments, **environment):
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | environment, timeout=300
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("the tests run from an installed copy: nothing to build")
    folder = tmp_path_factory.mktemp("wheel")
    python("-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    target = tmp_path_factory.mktemp("installed")
    quiet = ("--quiet", "--disable-pip-version-check", "--no-compile")
    python("-m", "pip", "install", "--no-deps", "--no-index", *quiet, "--target", target, wheel)
    return target


def test_the_wheel_holds_the_package_and_copies_of_its_data(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        top = {PurePosixPath(name).parts[0] for name in names}
        dist_info = f"qvit_qiskit-{qvit_qiskit.__version__}.dist-info"
        assert top == {"qvit_qiskit", dist_info}
        for kind, name in PACKED.items():
            packed = f"qvit_qiskit/packaged/{name}/"
            copies = {n.removeprefix(packed): archive.read(n) for n in names if packed in n}
            originals = {p.name: p.read_bytes() for p in (ROOT / kind).iterdir()}
            assert copies == originals
            assert originals
        files = [p for p in (ROOT / "qvit_qiskit").rglob("*.*") if p.parent.name != "__pycache__"]
        rest = {name for name in names if "packaged" not in name and dist_info not in name}
        assert rest == {str(path.relative_to(ROOT)) for path in files}
        assert "qvit_qiskit/py.typed" in rest
        models = {f"qvit_qiskit/zoo/models/{name}.safetensors" for name in model_names()}
        assert models <= rest
        assert len(models) == 30
        assert f"{dist_info}/licenses/LICENSE" in names
        commands = archive.read(f"{dist_info}/entry_points.txt").decode()
        assert "qvit = qvit_qiskit.cli:main" in commands


def test_a_wheel_brings_its_profiles(installed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = json.loads(python("-c", LISTING, PYTHONPATH=str(installed)))
    package = installed / "qvit_qiskit"
    assert Path(found["package"]) == package / "__init__.py"
    assert {Path(f).parent for f in found["files"].values()} == {package / "packaged" / "backends"}
    assert found["files"].keys() == {path.stem for path in (ROOT / "backends").glob("*.toml")}


def test_the_command_of_a_wheel_shows_the_packaged_profile(installed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "from qvit_qiskit.cli import main; main()"
    arguments = ("backends", "--json")
    rows = json.loads(python("-c", code, *arguments, PYTHONPATH=str(installed)))
    files = {row["name"]: Path(row["file"]) for row in rows}
    shipped = installed / "qvit_qiskit" / "packaged" / "backends" / "aer-exact.toml"
    assert files["aer-exact"] == shipped


def test_a_wheel_brings_its_specs_and_models(installed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = (
        "from pathlib import Path\n"
        "from qvit_qiskit.runs.job import read_written\n"
        "from qvit_qiskit.shipped import named_spec\n"
        "path = named_spec('jobs', Path('first-run'))\n"
        "print(path, read_written(path).checkpoint.path, named_spec('docs/studies', Path('tiny')))"
    )
    files = python("-c", code, PYTHONPATH=str(installed)).split()
    package = installed / "qvit_qiskit"
    assert [Path(file) for file in files] == [
        package / "packaged" / "jobs" / "first-run.toml",
        package / "zoo" / "models" / "qvit-breastmnist-0.safetensors",
        package / "packaged" / "studies" / "tiny.toml",
    ]


@pytest.mark.check
@pytest.mark.usefixtures("data_root")
def test_a_wheel_alone_runs_the_first_commands(installed, tmp_path):
    """`wheel_smoke.py` does more of it, in environments of their own (`make test-all`)."""
    runs = list(run(installed / "bin" / "qvit", tmp_path, FIRST, str(installed)))
    assert runs == [True] * len(FIRST)
    report = tmp_path / "work" / "report" / "report.html"
    assert "loss of AUC" in report.read_text()


def test_version_and_dependencies_agree_with_the_project_file(wheel):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == qvit_qiskit.__version__
    with zipfile.ZipFile(wheel) as archive:
        info = f"qvit_qiskit-{project['version']}.dist-info/METADATA"
        metadata = archive.read(info).decode()
    for dependency in project["dependencies"]:
        assert f"\nRequires-Dist: {dependency.split('>')[0]}" in metadata
    assert "Requires-Dist: torchvision" not in metadata


# --- where profiles are found ----------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QVIT_BACKENDS", raising=False)
    return tmp_path


def profile(folder, name="aer-exact", shots=3):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(f'kind = "aer"\nshots = {shots}')
    return path


def test_a_checkouts_profiles_are_found_from_any_folder(elsewhere):
    shipped = ROOT / "backends" / "aer-exact.toml"
    assert registry.find("aer-exact").path == shipped
    assert registry.folders() == [ROOT / "backends"]


def test_the_working_directory_comes_before_the_checkout(elsewhere):
    own = profile(elsewhere / "backends")
    found = registry.find("aer-exact")
    assert found.path == own
    assert found.shadows == (ROOT / "backends" / "aer-exact.toml",)
    assert found.load().shots == 3
    assert registry.find("aer-shots").path.parent == ROOT / "backends"


def test_what_was_asked_for_comes_first(elsewhere, monkeypatch):
    here = profile(elsewhere / "backends")
    named = profile(elsewhere / "named")
    given = profile(elsewhere / "given")
    monkeypatch.setenv("QVIT_BACKENDS", "named")
    assert registry.find("aer-exact").path.resolve() == named
    found = registry.find("aer-exact", Path("given"))
    assert found.path.resolve() == given
    assert here in found.shadows
    path = profile(elsewhere, "mine", shots=7)
    assert registry.find("mine.toml").path.resolve() == path
    assert registry.open("mine.toml").profile.shots == 7


def test_the_checkouts_own_folder_is_searched_once(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("QVIT_BACKENDS", "backends")
    assert [folder.resolve() for folder in registry.folders()] == [ROOT / "backends"]
    assert all(found.shadows == () for found in registry.available())


# --- the package itself ----------------------------------------------------------------------


def test_public_names_load_on_first_use(elsewhere):
    code = (
        "import sys, qvit_qiskit\n"
        "assert not {'torch', 'qiskit', 'numpy'} & set(sys.modules)\n"
        "for name in qvit_qiskit.__all__:\n"
        "    assert getattr(qvit_qiskit, name) is not None, name\n"
        "    assert name in dir(qvit_qiskit)\n"
        "assert not {'torchvision', 'medmnist'} & set(sys.modules)\n"
    )
    python("-c", code)
    assert list(elsewhere.iterdir()) == []


def test_public_names_are_what_they_say():
    from qvit_qiskit.models import build_model
    from qvit_qiskit.runs import evaluate

    assert qvit_qiskit.registry is registry
    assert set(dir(qvit_qiskit)) == {*qvit_qiskit.__all__, "__version__"}
    assert qvit_qiskit.build_model is build_model
    assert qvit_qiskit.evaluate is evaluate
    assert {"fit", "load_checkpoint", "QuantumLinear", "ViTConfig"} <= set(qvit_qiskit.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'torch'"):
        _ = qvit_qiskit.torch
