"""The report of a campaign: facts of its stages and artifacts, a verdict, advice, and one HTML page of all of it."""

from cultivar_campaigns.report.facts import Facts
from cultivar_campaigns.report.page import render

__all__ = ["Facts", "render"]
