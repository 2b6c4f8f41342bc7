"""The `cultivar` program: its own commands, and those of installed packages (entry points `cultivar.commands`)."""

from importlib.metadata import entry_points

import typer

from cultivar.cli import (
    adapter,
    audit,
    augment,
    campaign,
    dataset,
    finding,
    invitation,
    login,
    prompt,
    prompt_preview,
    role,
    teacher,
)

app = typer.Typer(
    name="cultivar",
    help="Grows a handful of examples into a reviewed training set and a fine-tuned model whose gain is measured.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def main() -> None:
    """Grows a handful of examples into a reviewed training set and a fine-tuned model whose gain is measured."""


for command in (prompt_preview.preview, finding.findings, finding.amend, finding.record):
    prompt.app.command()(command)
app.add_typer(campaign.app, name="campaign")
app.add_typer(dataset.app, name="dataset")
app.add_typer(adapter.app, name="adapter")
app.add_typer(prompt.app, name="prompt")
app.add_typer(teacher.app, name="teacher")
app.add_typer(role.app, name="role")
app.add_typer(invitation.app, name="invitation")
app.command()(augment.augment)
app.command()(audit.audit)
app.command()(dataset.gc)
app.command()(login.login)
app.command()(login.logout)
app.command()(login.whoami)

for entry in entry_points(group="cultivar.commands"):
    try:
        register = entry.load()
    except ImportError:
        # The client alone is installed: what runs services comes with the extra `services`.
        continue
    register(app)
