"""What an audit checks of campaigns beside their runs."""

from cultivar_service.audit import Finding
from cultivar_service.database import Database
from cultivar_service.runs import SUCCEEDED

from cultivar_campaigns import store
from cultivar_campaigns.round import DONE


async def audit_stages(database: Database, project: str) -> list[Finding]:
    """Checks that campaigns and their stages agree, and that no child is counted twice."""
    campaigns: list[store.Campaign] = []
    token = ""
    while True:
        async with database.begin() as connection:
            page = await store.list_campaigns(connection, project, 100, token)
        campaigns += page.items
        token = page.next_page_token
        if not token:
            break
    ended = [campaign for campaign in campaigns if campaign.run.final]
    whole = [campaign for campaign in ended if campaign.run.state == SUCCEEDED]
    unequal = [one.name for one in whole if any(stage.state != SUCCEEDED for stage in one.stages)]
    running = [one.name for one in ended if any(stage.state not in (*DONE, "PENDING") for stage in one.stages)]
    unreported = [one.name for one in whole if not one.run.result.get("report")]
    children = [stage.child for one in campaigns for stage in one.stages if runs_alone(stage)]
    doubled = sorted({child for child in children if children.count(child) > 1})
    return [
        Finding("every stage of a campaign that succeeded has succeeded", len(whole), unequal),
        Finding("no stage of a campaign that ended goes on", len(ended), running),
        Finding("every campaign that succeeded has a report", len(whole), unreported),
        Finding("no run of another service belongs to two stages", len(children), doubled),
    ]


def runs_alone(stage: store.Stage) -> bool:
    """Tells whether the child of a stage is a run of its own; an artifact that is taken as it is may be named twice."""
    return bool(stage.child) and "/artifacts/" not in stage.child
