"""Scenario files: who is there, who does what and when, within which bounds; and the runner of a life."""

from fwpages.scenario.format import Scenario, ScenarioError, about, load, names
from fwpages.scenario.runner import RunResult, ScenarioRun

__all__ = ["RunResult", "Scenario", "ScenarioError", "ScenarioRun", "about", "load", "names"]
