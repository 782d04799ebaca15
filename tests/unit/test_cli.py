"""The command line is the flow's signature."""

import inspect

import pytest

from jobs.common.cli import main, parser
from jobs.web_to_postgres.flow import web_to_postgres


def test_every_parameter_has_an_option_with_help_and_the_same_default() -> None:
    parameters = inspect.signature(web_to_postgres.fn).parameters
    given = vars(parser(web_to_postgres).parse_args([]))
    assert given == {name: parameter.default for name, parameter in parameters.items()}
    helped = {action.dest: action.help or "" for action in parser(web_to_postgres)._actions}
    assert all(len(helped[name]) > len(name) + 5 for name in parameters), helped


def test_options_are_read_in_their_types() -> None:
    words = ["--dataset", "green", "--year", "2021", "--months", "1", "2", "--keep-zero-passengers", "--no-force"]
    words += ["--file-format", "csv"]
    given = vars(parser(web_to_postgres).parse_args([*words, "--columns", '{"id": "bigint"}']))
    assert given["months"] == [1, 2]
    assert given["year"] == 2021
    assert (given["keep_zero_passengers"], given["force"]) == (True, False)
    assert given["columns"] == {"id": "bigint"}
    assert (given["dataset"], given["file_format"]) == ("green", "csv")


@pytest.mark.parametrize(
    "words", [["--months", "x"], ["--year", "x"], ["--columns", "[]"], ["--columns", "{"], ["--nonsense"]]
)
def test_wrong_usage_ends_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(web_to_postgres, words)
    assert ended.value.code == 2
    assert "usage: python -m jobs.web_to_postgres" in capsys.readouterr().err


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(web_to_postgres, ["--help"])
    assert ended.value.code == 0
    assert "--keep-zero-passengers" in capsys.readouterr().out
