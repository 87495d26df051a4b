"""What keeps kernels readable: typed wrappers, short argument lists, lists of optimizations, and a true map."""

import ast
import re
from pathlib import Path

import npdsconv
from npdsconv import kernels

PACKAGE = Path(npdsconv.__file__).parent
ROOM = Path(kernels.__file__).parent
FILES = {p.relative_to(ROOM).as_posix(): p.read_text(encoding="utf-8") for p in sorted(ROOM.rglob("*.py"))}
MOST = 12  # arguments that one can check by eye


def functions(text):
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]


def is_compiled(function):
    names = {ast.unparse(decorator).split("(")[0] for decorator in function.decorator_list}
    return bool(names & {"kernel", "serial", "intrinsic"})


def arguments(function):
    a = function.args
    return [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))]


def is_typed(function):
    return function.returns is not None and all(
        a.annotation is not None or a.arg == "self" for a in arguments(function)
    )


def writes_llvm(text):
    """Such a file has no wrappers: its functions are for kernels, and each has a second form without Numba."""
    return "from llvmlite import ir" in text


def test_every_wrapper_is_typed_and_checked():
    wrappers = 0
    for name, text in FILES.items():
        assert "ignore-errors" not in text, name
        if writes_llvm(text):
            continue
        for function in functions(text):
            if not is_compiled(function):
                wrappers += 1
                assert is_typed(function), f"{name}: {function.name}"
    assert wrappers > 40


def test_argument_lists_can_be_checked_by_eye():
    for path in PACKAGE.rglob("*.py"):
        for function in functions(path.read_text(encoding="utf-8")):
            if function.name not in ("__init__", "epochs"):
                assert len(arguments(function)) <= MOST, f"{path.name}: {function.name}"


def test_every_tuned_kernel_lists_its_optimizations():
    for name, text in FILES.items():
        if "@kernel" in text and not name.startswith(("loops/", "machine/")):
            assert "Optimizations:" in (ast.get_docstring(ast.parse(text)) or ""), name


def test_the_map_names_every_file_and_every_kernel_it_names_exists():
    text = (ROOM / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\((?!\.\.)([\w/]+\.py)\)", text))
    assert linked <= set(FILES)
    assert {
        name for name in FILES if not name.startswith("loops/") and not name.endswith("__init__.py")
    } <= linked
    named = set(re.findall(r"`(\w+)\.(?!py\b)(\w+)`", text)) - {
        ("layout", "nhwc"),
        ("np", "empty"),
        ("_two_rows", "py_func"),
    }
    assert len(named) > 15
    for module, function in named:
        assert f"def {function}(" in FILES[f"{module}.py"], f"{module}.{function}"
