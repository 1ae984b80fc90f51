"""The attacks of ``make fuzz``, for a moment each."""

from __future__ import annotations

import pytest

from tests.fuzz import hostile_client, hostile_server

pytestmark = pytest.mark.many_runs


def test_a_server_outlives_a_hostile_client() -> None:
    assert hostile_client.attack(1.5, seed=3).startswith("hostile client, seed 3: ")


def test_a_client_outlives_a_hostile_server() -> None:
    assert hostile_server.attack(1.0, seed=3).startswith("hostile server, seed 3: ")
