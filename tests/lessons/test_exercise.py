"""The check of an exercise: solved, not solved yet, or wrong."""

import pytest

from npdsconv.lessons import exercise


def solved_or_not():
    """A check of an exercise that is not begun."""
    raise NotImplementedError("your code here")


def test_a_check_says_solved_or_not_solved_yet_and_lets_mistakes_through(monkeypatch, capsys):
    monkeypatch.delenv("NPDSCONV_EXERCISES", raising=False)

    @exercise.check
    def exercise_1_sizes():
        assert True

    exercise.check(solved_or_not)
    assert capsys.readouterr().out == "solved: exercise 1 sizes\nnot solved yet: solved or not\n"
    for error in (AssertionError, TypeError):

        def wrong(error=error):
            raise error("this is why")

        with pytest.raises(error, match="this is why"):
            exercise.check(wrong)
    assert capsys.readouterr().out == ""


def test_a_strict_check_insists_on_an_answer(monkeypatch, capsys):
    monkeypatch.setenv("NPDSCONV_EXERCISES", "strict")
    with pytest.raises(NotImplementedError, match="your code here"):
        exercise.check(solved_or_not)
    assert capsys.readouterr().out == ""
