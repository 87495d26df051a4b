"""What the command line takes, what it says of itself, and where its output goes."""

import argparse
import dataclasses
import json
import os
import re
import subprocess
import sys

import pytest

from npdsconv import cli
from npdsconv.cli import settings, train
from npdsconv.data import images
from npdsconv.runs.recipe import RECIPES, Recipe


def help_of(capsys, *command):
    with pytest.raises(SystemExit, match="0"):
        cli.main([*command, "--help"])
    return capsys.readouterr().out


def sections(text):
    """Heading of a help text -> what stands below it, on one line."""
    parts = re.split(r"^(\w[\w ]*):\n", text, flags=re.M)
    return {name: " ".join(body.split()) for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def test_without_arguments_there_is_help(capsys):
    assert cli.main([]) == 0
    captured = capsys.readouterr()
    assert captured.out == help_of(capsys)
    assert captured.err == ""
    for name, summary in cli.COMMANDS.items():
        assert f"{name} {summary}" in " ".join(captured.out.split())


def test_every_setting_of_a_recipe_is_an_argument_of_train_below_its_subject(capsys):
    text = sections(help_of(capsys, "train"))
    assert list(text) == ["options", "data", "network", "training", "output", "examples"]
    for field in dataclasses.fields(Recipe):
        below = text[field.metadata["group"]]
        assert f"{settings.flag(field.name)} " in f"{below} "
        assert field.metadata["help"] in below
        if field.type is not bool and field.name != "dataset":
            assert f"{getattr(RECIPES['mnist5k'], field.name)}" in below
    assert "passes over the training images (default 30, 10 for mnist, 60 for own)" in text["training"]


def test_examples_of_train_are_commands_that_are_understood(capsys):
    text = help_of(capsys, "train").partition("examples:\n")[2]
    commands = [line.strip().split("  ")[0].split() for line in text.splitlines()]
    assert len(commands) == 3
    parser = argparse.ArgumentParser(exit_on_error=False)
    train.add(parser)
    for program, name, *rest in commands:
        assert (program, name) == ("npdsconv", "train")
        parser.parse_args(rest)


def test_arguments_come_back_as_the_settings_that_were_given():
    parser = argparse.ArgumentParser()
    settings.add_all(parser)
    assert settings.given(parser.parse_args([])) == {}
    for name, field in settings.FIELDS.items():
        choices = tuple(field.metadata["choices"])
        value = choices[-1] if choices else field.type(1)
        argv = [settings.flag(name), *([] if field.type is bool else [str(value)])]
        assert settings.given(parser.parse_args(argv)) == {name: value}


def test_predict_names_the_kinds_of_pictures_it_reads(capsys):
    text = help_of(capsys, "predict")
    assert all(suffix[1:] in text for suffix in images.SUFFIXES)
    assert "[RUN] PICTURE [PICTURE ...]" in text


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_can_answer_in_json(capsys, command):
    assert "--json" in sections(help_of(capsys, command))["options"]


def test_json_is_all_of_standard_output(capsys):
    assert cli.main(["data", "mnist5k", "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    report = json.loads(captured.out)
    assert (report["shape"], report["classes"], sum(report["test"])) == ([1, 28, 28], 10, 1000)
    assert "4,000" in captured.err
    assert cli.main(["data", "mnist5k"]) == 0
    assert capsys.readouterr() == (captured.err, "")


def test_a_mistake_leaves_standard_output_empty(capsys):
    assert cli.main(["complexity", "small_cnn", "--input", "1x2x2", "--json"]) == 2
    assert capsys.readouterr().out == ""


def test_json_has_null_for_what_is_no_number(capsys, monkeypatch):
    report = {"a": float("inf"), "b": [1.5, float("nan")], "c": {"d": (float("-inf"), "x", None, 3)}}
    monkeypatch.setattr("npdsconv.cli.data.run", lambda args: cli.Outcome(report))
    assert cli.main(["data", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "a": None,
        "b": [1.5, None],
        "c": {"d": [None, "x", None, 3]},
    }


@pytest.mark.parametrize(
    "argv", [["--help"], ["train", "--help"], ["complexity", "mobilenet_v1", "--input", "3x32x32"]]
)
def test_a_reader_that_goes_away_is_no_error(argv):
    """Long output and short: the pipe may break while a command prints, or when Python flushes at its end."""
    program = f"import sys; from npdsconv.cli import main; sys.stdin.read(); sys.exit(main({argv!r}))"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", program], env=buffered, **pipes) as command:
        command.stdout.close()  # before anything is printed: that waits for its input to end
        _, said = command.communicate()
    assert (command.returncode, said) == (cli.PIPE_CLOSED, b"")
