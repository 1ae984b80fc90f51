"""Scenario files: a device, its functions, the steps and faults of a run, its bounds; and the runner."""

from fwpages.scenario.format import Scenario, ScenarioError, about, load, names
from fwpages.scenario.runner import RunResult, ScenarioRun

__all__ = ["RunResult", "Scenario", "ScenarioError", "ScenarioRun", "about", "load", "names"]
