"""The report of a campaign: facts of its stages and artifacts, a verdict, advice, and one HTML page of all of it.

What draws (Altair, Jinja2) is imported by `page` and `plots` alone, which run in a process of their own.
"""
