import re

import pytest

from unit.ci.commands import ROOT


def links(name: str) -> list[str]:
    return re.findall(r"\]\(([\w./-]+)\)", (ROOT / name).read_text())


@pytest.mark.parametrize("name", ["SECURITY.md", "CONTRIBUTING.md", "README.md"])
def test_links_lead_somewhere(name: str) -> None:
    assert [link for link in links(name) if not (ROOT / link).exists()] == []


def test_the_security_model_leads_to_the_rights_and_policies_that_make_it_true() -> None:
    assert {"deploy/base/operator-rbac.yaml", "deploy/base/status-policy.yaml"} <= set(links("SECURITY.md"))
