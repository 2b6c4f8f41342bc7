"""Draws a page in a process of its own: `python -m cultivar_campaigns.report < report.json > report.html`."""

import sys

from cultivar_campaigns.report.facts import Facts
from cultivar_campaigns.report.page import render

if __name__ == "__main__":
    sys.stdout.buffer.write(render(Facts.model_validate_json(sys.stdin.buffer.read())).encode())
