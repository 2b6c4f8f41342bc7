"""The card of a dataset version: what is in it and where it came from, in Markdown."""

from collections.abc import Mapping

from cultivar_service.artifacts import artifact_name

from cultivar_datasets.selection import Selection
from cultivar_datasets.specs import VersionSpec

# Tells the `datasets` library which files are rows, so that the folder loads as it is.
HEAD = '---\nconfigs:\n- config_name: default\n  data_files: "dataset-*.parquet"\n---\n'


def write_card(project: str, spec: VersionSpec, number: int, selection: Selection, counts: Mapping[str, int]) -> str:
    """Returns the card; it holds counts and names, no text of an example."""
    sources = {
        artifact_name(project, source.artifact): selection.by_source.get(place, 0)
        for place, source in enumerate(spec.sources)
    }
    held_out = "\n".join(f"- `{artifact_name(project, digest)}`" for digest in spec.held_out)
    parts = [
        f"{HEAD}\n# {spec.dataset}, version {number}",
        spec.description.strip(),
        f"{counts['selected']} examples. {counts['not_selected']} were not selected, {counts['leaked']} were left out "
        f"because they leak from held-out examples, {counts['repeated']} because an earlier source holds them too"
        + (f", {counts['unlicensed']} because of their licences." if "unlicensed" in counts else "."),
        "## By role\n\n" + table("role", selection.by_role),
        "## By label\n\n" + table("label", {label or "(none)": n for label, n in selection.by_label.items()}),
        "## Licences of the teachers\n\n" + table("licence", selection.by_licence) if selection.by_licence else "",
        "## Sources\n\n" + table("artifact", sources),
        "## Selection\n\n" + selected(spec),
        "## Held-out artifacts\n\n" + (held_out or "None."),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def selected(spec: VersionSpec) -> str:
    """Returns how the examples were chosen."""
    budget = f"at most {spec.budget}" if spec.budget else "all"
    return (
        f"Selector `{spec.selector}`, {budget} examples, replay share {spec.replay_share:g}, "
        f"random seed {spec.random_seed}."
    )


def table(name: str, counts: Mapping[str, int]) -> str:
    """Returns counts as a table, by name."""
    rows = [f"| {cell(key)} | {count} |" for key, count in sorted(counts.items())]
    return "\n".join([f"| {name} | examples |", "|---|---:|", *rows])


def cell(text: str) -> str:
    """Returns a text that cannot leave its cell."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
