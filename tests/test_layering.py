"""How the code is laid out: imports run one way, files and functions stay small."""

import ast
import inspect
import re
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "qvit_qiskit"
FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text()) for path in FILES}

ROOMS = [
    *("cli", "study", "comparison", "runs", "pages", "statistics", "training", "inference"),
    *("models", "qnn", "execution", "hardware", "ibm", "simulation", "profile", "devices"),
    "circuits",
]
"""From the top: a room imports what stands below it."""
GROUND = [
    "data",
    "metrics",
    "formats",
    "exceptions",
    "files",
    "spec",
    "suggest",
    "card",
    "shipped",
    "zoo",
]
"""The ground imports the ground, and no room."""


def room(parts):
    """The room of a module, given the parts of its name below the package."""
    return parts[0].removesuffix(".py") if parts else ""


def imports(tree, inside=None):
    """Every imported module or name with dots, wherever it stands in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_of(tree):
    for name in imports(tree):
        if name.split(".")[0] == "qvit_qiskit":
            yield room(name.split(".")[1:])


def allowed(source, target):
    if target in GROUND or target == source:
        return True
    return source in ROOMS and target in ROOMS and ROOMS.index(source) < ROOMS.index(target)


@pytest.mark.parametrize("name", TREES)
def test_imports_run_one_way(name):
    source = room(name.split("/"))
    if name in ("__init__.py", "__main__.py"):
        return  # the public names, from everywhere; and the command line
    assert source in ROOMS + GROUND
    for target in rooms_of(TREES[name]):
        assert allowed(source, target) or target == "__version__", f"{name} imports {target}"


def test_the_rule_would_notice():
    found = list(rooms_of(ast.parse("def f():\n    from qvit_qiskit.training import fit")))
    assert found == ["training"]
    assert not allowed("models", "training")
    assert not allowed("data", "circuits")
    assert allowed("training", "models")
    assert allowed("circuits", "suggest")
    assert not allowed("hardware", "runs")
    assert not allowed("ibm", "hardware")


def modules():
    """Every file by its dotted name below the package, and the files that it imports."""
    known = {
        name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): tree
        for name, tree in TREES.items()
        if name != "__init__.py"
    }
    found = {}
    for name, tree in known.items():
        parts = {i.removeprefix("qvit_qiskit.") for i in imports(tree) if "qvit_qiskit." in i}
        whole = {part if part in known else part.rpartition(".")[0] for part in parts}
        found[name] = (whole & known.keys()) - {name}
    return found


def circle(graph):
    """Files that import each other in a circle, or nothing; imports within functions count."""
    while graph:
        free = {name for name, needs in graph.items() if not needs & graph.keys()}
        if not free:
            return sorted(graph)
        graph = {name: needs for name, needs in graph.items() if name not in free}
    return []


def test_no_file_imports_in_a_circle():
    assert circle(modules()) == []
    assert circle({"a": {"b"}, "b": {"a"}, "c": set()}) == ["a", "b"]


def test_rooms_are_small_and_files_have_names_of_their_own():
    folders = Counter(path.parent for path in FILES)
    assert max(folders.values()) <= 16
    named = Counter(path.name for path in FILES if path.name not in ("__init__.py", "spec.py"))
    assert sum(count for count in named.values() if count > 1) <= 10


def test_the_documents_show_the_rooms_as_they_are():
    shown = re.findall(r"^\| `(\w+)/?`", (ROOT / "docs" / "README.md").read_text(), re.M)
    assert shown == [*ROOMS, *GROUND]
    assert " → ".join(ROOMS) in " ".join((ROOT / "CONTRIBUTING.md").read_text().split())
    for name in ROOMS + GROUND:
        assert (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()


def constructed(tree, name):
    """Whether a file makes an object of a class, by its name or by a class method."""
    calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return any(re.fullmatch(rf"(?:\w+\.)*{name}(?:\.\w+)?", call) for call in calls)


def test_a_run_has_one_reader_and_one_writer():
    """Whoever wants to know something of a run asks the reader; a run that goes on writes."""
    makers = {name for name, tree in TREES.items() if constructed(tree, "Journal")}
    assert makers == {"hardware/run_reader.py", "hardware/hardware_run.py"}
    named = {name for name in TREES if '"journal.jsonl"' in (PACKAGE / name).read_text()}
    assert named == {"hardware/journal.py", "study/folder.py"}
    of_events = [name for name, tree in TREES.items() if constructed(tree, "read_line")]
    assert of_events == ["hardware/journal.py"]
    for call in ("Journal(x)", "journal.Journal.open(x)", "Journal.create(folder)"):
        assert constructed(ast.parse(call), "Journal")
    assert not constructed(ast.parse("journal.open(x), JournaledEstimator(x)"), "Journal")


def test_a_study_s_folder_has_one_reader():
    """Nobody else knows what its files are called, or reads lines of its logs."""
    names = ("plan.json", "result.json", "study.toml", "test-evaluations.jsonl")
    of_a_run_s_plan = {"plan.json": {"runs/planning/plan_folder.py"}}  # another kind of folder
    for name in names:
        users = {one for one in TREES if f'"{name}"' in (PACKAGE / one).read_text()}
        assert users == {"study/folder.py"} | of_a_run_s_plan.get(name, set()), name
    readers = {one for one, tree in TREES.items() if constructed(tree, "read_lines")}
    assert readers == {"study/folder.py"}


@pytest.mark.parametrize("banned", ["torchvision", "medmnist", "mitiq", "pickle"])
def test_some_packages_are_never_imported(banned):
    users = [
        name for name, tree in TREES.items() if banned in {i.split(".")[0] for i in imports(tree)}
    ]
    assert users == []


def for_the_reference(docstring):
    """Lines of a docstring that say what comes back or is raised, and show it: they must not be
    dear."""
    sections = re.split(r"\n\n(?=\w+:\n)", inspect.cleandoc(docstring or ""))
    titles = ("Returns:\n", "Yields:\n", "Raises:\n", "Example:\n")
    return sum(section.count("\n") + 2 for section in sections if section.startswith(titles))


def size(name):
    """Lines of a file, without those for the reference."""
    values = [node.value for node in ast.walk(TREES[name]) if isinstance(node, ast.Expr)]
    texts = [getattr(value, "value", None) for value in values]
    shown = sum(for_the_reference(text) for text in texts if isinstance(text, str))
    return (PACKAGE / name).read_text().count("\n") - shown


@pytest.mark.parametrize("name", TREES)
def test_files_and_functions_are_small_and_documented(name):
    tree = TREES[name]
    assert size(name) <= 400
    assert ast.get_docstring(tree), "a module says what it is"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = node.end_lineno - node.lineno - for_the_reference(ast.get_docstring(node))
            assert lines < 60, f"{name}: {node.name}"


def test_the_median_file_is_short():
    sizes = sorted(map(size, TREES))
    assert sizes[len(sizes) // 2] <= 120


def test_arrays_and_weights_load_without_pickle():
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            call = ast.unparse(node.func)
            options = {k.arg: ast.unparse(k.value) for k in node.keywords}
            if call == "np.load":
                assert options.get("allow_pickle") == "False", name
            if call == "torch.load":
                assert options.get("weights_only") == "True", name


def test_the_top_level_is_as_agreed():
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()}
    ignored = {"__pycache__", "build", "dist", "checkpoints", "runs", "data"}  # see .gitignore
    seen = {name for name in folders - ignored if not re.match(r"\.|.*\.egg-info$", name)}
    fixed = {"qvit_qiskit", "backends", "notebooks", "jobs", "tests"}
    assert fixed <= seen
    assert seen <= fixed | {"benchmarks", "docs"}
    for data in ("backends", "jobs"):
        assert {path.suffix for path in (ROOT / data).iterdir()} <= {".toml", ".md"}


def test_every_import_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    listed = project["dependencies"] + extras["teachers"] + extras["study"]
    listed += extras["fast"]
    names = {"scikit_learn": "sklearn", "pillow": "PIL"}
    plain = [re.match(r"[\w-]+", one).group().lower().replace("-", "_") for one in listed]
    declared = {names.get(name, name) for name in plain}
    used = {name.split(".")[0] for tree in TREES.values() for name in imports(tree)}
    assert used - set(sys.stdlib_module_names) - {"qvit_qiskit", "__future__"} <= declared


def test_every_dependency_is_used():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {"scikit-learn": "sklearn", "pillow": "PIL"}
    used = {name.split(".")[0] for tree in TREES.values() for name in imports(tree)}
    read_not_imported = {"medmnist"}  # its table of sets is parsed
    drawn_by_pooch = {"tqdm"}
    for dependency in project["dependencies"]:
        plain = re.match(r"[\w-]+", dependency).group().lower()
        module = names.get(plain, plain.replace("-", "_"))
        assert module in used | read_not_imported | drawn_by_pooch, dependency
