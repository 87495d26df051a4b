"""Architecture: dependencies point one way, the compiler is loaded late, `__all__` is honest."""

import ast
import configparser
import importlib
import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers import fresh

import npdsconv
from npdsconv import layers, ops

PACKAGE = Path(npdsconv.__file__).parent
EARLIER = None  # may import everything above it

# What each part of the package may import of the others. The order matters: arrows only point upwards.
MAY_IMPORT = {
    "shapes": set(),
    "layout": {"shapes"},
    "init": {"shapes"},
    "text": set(),
    "malloc": set(),
    "disk": set(),
    "environment": set(),
    "signals": set(),
    "state": {"shapes", "text"},
    "kernels": {"shapes", "layout", "disk", "environment"},
    "ops": {"shapes", "layout", "kernels"},
    "versions": {"kernels", "environment"},
    "npdsconv": {
        "ops",
        "kernels",
        "versions",
        "signals",
    },  # the package's own __init__.py; its rooms are named, not imported
    "layers": {"shapes", "state", "layout", "init", "ops"},
    "models": {"shapes", "init", "layers"},
    "optim": {"shapes", "state", "text", "layers", "kernels"},
    "metrics": {"shapes"},
    "data": {"shapes", "disk", "text"},
    "gradcheck": set(),
    "complexity": {"shapes", "text", "ops", "layers"},
    "catalogue": {"shapes", "ops", "layers", "models", "gradcheck", "npdsconv"},
    "checkpoint": {"shapes", "disk", "text"},
    "train": {"shapes", "text", "ops", "layers", "models", "optim", "data", "metrics"},
    "plots": {"shapes", "disk", "complexity", "metrics"},
    "runs": EARLIER,
    "lessons": EARLIER,
    "bench": EARLIER,
    "cli": EARLIER,
    "__main__": {"cli"},
}
COMPILERS = {"numba", "llvmlite", "scipy", "threadpoolctl"}
HEAVY = {"numba", "scipy", "matplotlib.pyplot"}


class Import(NamedTuple):
    module: str  # dotted, absolute
    names: tuple  # of a "from" import
    lazy: bool  # inside a function


def part_of(module):
    """The part a module of this package belongs to; the name of the package for its __init__.py."""
    head = module.split(".")[1:2]
    return head[0] if head and head[0] in MAY_IMPORT else "npdsconv"


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path):
    """Every import statement of a file that Python may run, those inside functions included."""

    def visit(node, lazy):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, (), lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from absolute(node, lazy)
        lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, lazy)

    def absolute(node, lazy):
        module = node.module or ""
        if node.level:
            folder = path.relative_to(PACKAGE.parent).parts[: -node.level]
            module = ".".join([*folder, *([node.module] if node.module else [])])
        names = tuple(alias.name for alias in node.names)
        if module == "npdsconv":  # from npdsconv import layers, relu
            yield from (Import(f"npdsconv.{name}", (), lazy) for name in names)
        else:
            yield Import(module, names, lazy)

    return list(visit(ast.parse(path.read_text(encoding="utf-8")), False))


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
IMPORTS = {module: imports_of(path) for module, path in FILES.items()}
OWN = [(m, i) for m, found in IMPORTS.items() for i in found if i.module.split(".")[0] == "npdsconv"]
FOREIGN = [
    (m, i)
    for m, found in IMPORTS.items()
    for i in found
    if i.module.split(".")[0] not in {"npdsconv", *sys.stdlib_module_names}
]


def test_the_reader_of_imports_sees_all_kinds(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path / "npdsconv")
    path = tmp_path / "npdsconv" / "ops" / "x.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "import numpy as np\nfrom npdsconv import layers, relu\nfrom . import y\nfrom ..train import fit\n"
        "if TYPE_CHECKING:\n    from npdsconv import data as data\n"
        "def f():\n    from npdsconv.kernels import norm\n    class A:\n        g = lambda: __import__\n"
        "        def g(self):\n            import scipy.linalg\n"
    )
    assert imports_of(path) == [
        Import("numpy", (), False),
        Import("npdsconv.layers", (), False),
        Import("npdsconv.relu", (), False),
        Import("npdsconv.ops", ("y",), False),
        Import("npdsconv.train", ("fit",), False),
        Import("npdsconv.kernels", ("norm",), True),
        Import("scipy.linalg", (), True),
    ]
    assert part_of("npdsconv.relu") == part_of("npdsconv") == "npdsconv"
    assert part_of("npdsconv.layers.base") == "layers"


def test_every_file_has_its_place():
    heads = {module.split(".")[1] for module in FILES if "." in module}
    assert heads <= set(MAY_IMPORT), "a new part: say in MAY_IMPORT what it may import"
    assert len(OWN) > 50


def test_dependencies_point_one_way():
    order = list(MAY_IMPORT)
    wrong = []
    for module, found in OWN:
        source, target = part_of(module), part_of(found.module)
        allowed = MAY_IMPORT[source]
        allowed = order[: order.index(source)] if allowed is EARLIER else allowed
        if source != target and target not in allowed:
            wrong.append(f"{module} imports {found.module}")
    assert wrong == []
    for part, allowed in MAY_IMPORT.items():
        assert set(allowed or ()) <= set(order[: order.index(part)]), f"{part}: an arrow points down"


def test_optimizers_know_only_parameter():
    of_layers = [i for m, i in OWN if part_of(m) == "optim" and part_of(i.module) == "layers"]
    assert of_layers
    assert {name for found in of_layers for name in found.names} == {"Parameter"}


def test_kernels_are_imported_where_they_are_first_called():
    users = [(m, i) for m, i in OWN if part_of(i.module) == "kernels" and part_of(m) != "kernels"]
    assert len(users) > 10
    assert [m for m, i in users if not i.lazy] == []
    assert {part_of(m) for m, _ in users} <= {"ops", "optim", "runs", "npdsconv", "cli", "bench", "versions"}


def test_the_compiler_lives_in_kernels_alone():
    users = {m for m, i in FOREIGN if i.module.split(".")[0] in COMPILERS}
    assert users
    assert {part_of(m) for m in users} == {"kernels"}


def test_pyplot_is_imported_inside_functions():
    assert [m for m, i in FOREIGN if i.module.startswith("matplotlib.pyplot") and not i.lazy] == []


def test_data_and_gradcheck_need_only_numpy():
    for part in ("data", "gradcheck"):
        eager = {i.module.split(".")[0] for m, i in FOREIGN if part_of(m) == part and not i.lazy}
        assert eager == {"numpy"}, part


def test_what_is_imported_eagerly_is_a_declared_dependency():
    setup = PACKAGE.parent / "setup.cfg"
    if not setup.exists():
        pytest.skip("an installed package has no setup.cfg")
    config = configparser.ConfigParser()
    config.read(setup, encoding="utf-8")
    declared = set(re.findall(r"^([\w-]+)", config["options"]["install_requires"], re.M))
    assert {i.module.split(".")[0] for _, i in FOREIGN if not i.lazy} <= declared


# ---- in a fresh process ----

REPORT = f"print('heavy:', sorted({HEAVY} & set(sys.modules)))"


def loaded(code):
    """What `code` prints in a new Python; the last line says which heavy modules are loaded."""
    return fresh(f"import sys\n{code}\n{REPORT}")


def test_importing_everything_is_cheap():
    modules = [m for m in FILES if part_of(m) != "kernels" and not m.endswith("__main__")]
    assert len(modules) > 30
    lines = loaded(f"import importlib, npdsconv\n{REPORT}\nfor m in {modules}: importlib.import_module(m)")
    assert lines[-2:] == ["heavy: []"] * 2


def test_the_fast_tier_loads_the_compiler():
    """The other half of the test above: it would see Numba if it were there."""
    lines = loaded("import numpy, npdsconv\nnpdsconv.relu(numpy.ones(3), impl='numpy')\n" + REPORT)
    assert lines == ["heavy: []"] * 2
    lines = loaded("import npdsconv\nnpdsconv.get_num_threads()")
    assert lines == ["heavy: ['numba', 'scipy']"]


@pytest.mark.skipif("npdsconv.__main__" not in FILES, reason="there is no command line")
@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "--help"], ["gradcheck", "--help"]], ids=" ".join
)
def test_help_is_cheap(arguments):
    lines = loaded(
        f"import runpy\nsys.argv = ['npdsconv', *{arguments}]\n"
        "try:\n    runpy.run_module('npdsconv', run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code, end.code"
    )
    assert lines[0].startswith("usage: ")
    assert lines[-1] == "heavy: []"


# ---- public names ----


def test_rooms_are_attributes_that_load_when_they_are_named():
    lines = loaded(
        "import npdsconv as nc\n"
        "there = lambda *rooms: [f'npdsconv.{r}' in sys.modules for r in rooms]\n"
        "assert set(nc._ROOMS) <= set(dir(nc)), 'completion shows them'\n"
        "print(there('layers', 'optim', 'train'))\n"
        "print(nc.optim.Adam.__name__, nc.layers.ReLU.__name__)\n"
        "print(there('layers', 'optim', 'train'))\n"
        "for room in nc._ROOMS: assert getattr(nc, room) is sys.modules[f'npdsconv.{room}']"
    )
    assert lines == ["[False, False, False]", "Adam ReLU", "[True, True, False]", "heavy: []"]


def test_an_attribute_that_is_none_is_refused():
    with pytest.raises(AttributeError, match=r"^module 'npdsconv' has no attribute 'lairs'$"):
        _ = npdsconv.lairs
    assert not hasattr(npdsconv, "__wrapped__"), "tools that look for such names must be told no"


def test_type_checkers_and_python_are_told_the_same_rooms():
    tree = ast.parse(FILES["npdsconv"].read_text(encoding="utf-8"))
    (block,) = (n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    told = [alias.asname for node in block.body for alias in node.names]
    assert told == npdsconv._ROOMS == sorted(told)
    hidden = {"__main__", "cli", "kernels", "npdsconv", "ops"}
    hidden |= {"disk", "environment", "malloc", "signals", "state", "text", "versions"}
    assert {part_of(m) for m in FILES} - hidden == set(told), "a new room: name it in npdsconv/__init__.py"


def public_names(module):
    """What a package's __init__.py defines or imports from the package: no underscore in front, and no module."""
    tree = ast.parse(FILES[module].read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.level or node.module.startswith("npdsconv")):
            names |= {alias.asname or alias.name for alias in node.names}
    return {n for n in names if not n.startswith("_") and n != "*" and f"{module}.{n}" not in FILES}


with_all = [m for m, path in FILES.items() if re.search(r"^__all__", path.read_text(encoding="utf-8"), re.M)]


@pytest.mark.parametrize("name", with_all)
def test_all_is_honest(name):
    module = importlib.import_module(name)
    listed = module.__all__
    assert len(listed) == len(set(listed))
    assert [n for n in listed if not hasattr(module, n)] == []
    if FILES[name].name == "__init__.py":
        assert public_names(name) - set(listed) == set(), "public, but not in __all__"


def test_the_main_packages_say_what_is_public():
    assert {f"npdsconv.{p}" for p in ("ops", "layers", "models", "optim", "data", "gradcheck")} <= set(
        with_all
    )


def test_the_names_that_other_code_relies_on():
    assert set(ops.__all__) <= set(vars(npdsconv)), "every op is a name of the package itself"
    for name in ("conv2d", "depthwise_conv2d", "pointwise_conv2d"):
        assert callable(getattr(npdsconv, name))
        assert callable(getattr(npdsconv, f"{name}_backward"))
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", npdsconv.__version__)
    expected = (
        "Linear Conv2d DepthwiseConv2d PointwiseConv2d DepthwiseSeparableConv2d BatchNorm2d ReLU ReLU6 "
        "MaxPool2d AvgPool2d GlobalAvgPool2d Flatten Dropout Sequential Residual set_impl "
        "Parameter Buffer Layer"
    )
    assert set(expected.split()) <= set(layers.__all__)
