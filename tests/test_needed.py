"""Where everything must be there, nothing is skipped."""

import pytest
from support.needed import missing, need


@pytest.mark.parametrize("demand", ["", "1"])
def test_what_is_missing_is_skipped_or_fails(demand: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSC_REQUIRE_ALL", demand)
    outcome = pytest.fail.Exception if demand else pytest.skip.Exception
    with pytest.raises(outcome, match="no_such_module is not installed"):
        need("no_such_module", extra="dev")
    with pytest.raises(outcome, match="no chromium"):
        missing("no chromium")
    assert need("json", extra="dev").loads("1") == 1
