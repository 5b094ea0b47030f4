"""Who may use which route: one row for each. A route without a row is not served."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from budgets.tokens import Scope

RIGHTS: Mapping[tuple[str, str], Scope | None] = {
    ("POST", "/v1/ask"): "ask",
    ("POST", "/v1/preview"): "preview",
    ("POST", "/v1/explain"): "preview",
    ("GET", "/v1/schema"): "read",
    ("GET", "/v1/cohorts"): "read",
    ("GET", "/v1/releases/{release_id}"): "read",
    ("GET", "/v1/policy"): "audit",
    ("POST", "/v1/policy/closing"): "decide",
    ("POST", "/v1/policy/lowering"): "decide",
    ("GET", "/v1/grants"): "audit",
    ("POST", "/v1/grants"): "decide",
    ("GET", "/v1/grants/{name}"): "audit",
    ("POST", "/v1/grants/{name}/revocation"): "decide",
    ("GET", "/v1/health"): None,
}
"""The scope that a token needs; None for everybody."""
