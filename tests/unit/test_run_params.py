"""What `make run` refuses before anything is started."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from scripts.run import check_params, read_params
from scripts.settings import UserError

DEPLOYMENT = cast(Any, SimpleNamespace(name="monthly", parameter_openapi_schema={"properties": {"months": {}}}))


def test_parameters_are_a_json_object() -> None:
    assert read_params("") == {}
    assert read_params('{"months": [1]}') == {"months": [1]}
    with pytest.raises(UserError, match="not JSON"):
        read_params("{months: [1]}")
    with pytest.raises(UserError, match="must be a JSON object"):
        read_params("[1]")


def test_an_unknown_parameter_is_named_with_the_known_ones() -> None:
    check_params({"months": [1]}, DEPLOYMENT)
    with pytest.raises(UserError, match=r"no parameter 'month'.* Did you mean 'months'.* There are: months"):
        check_params({"month": [1]}, DEPLOYMENT)
