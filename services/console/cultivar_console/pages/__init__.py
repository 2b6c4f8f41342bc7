"""The pages.

To add a section: write a file beside this one with a `router`, a template in `templates/` that extends `base.html`,
and add the router to ROUTERS and a row to SECTIONS. A page asks the services and shows what they answer; it decides
nothing itself.
"""

from dataclasses import dataclass

from fastapi import APIRouter

from cultivar_console.pages import invitations, queues, review, signin


@dataclass(frozen=True)
class Section:
    """One entry of the navigation; `{project}` in its path is filled in."""

    title: str
    path: str

    def of(self, project: str) -> str:
        """Returns the path of the section in a project."""
        return self.path.format(project=project)


SECTIONS: tuple[Section, ...] = (Section("Review", "/projects/{project}/queues"),)
ROUTERS: tuple[APIRouter, ...] = (signin.router, invitations.router, queues.router, review.router)
