"""What the documentation shows runs as it is shown."""

import re
from pathlib import Path

import pytest

from support.stand_ins import StandIns

ROOT = Path(__file__).parents[2]

DESIGN_EXAMPLE = """
from datetime import timedelta
from tocsin import Flow, Parameter, Task, callback_factory, notify, task, when
from tocsin import states as state

calls = []
def send_notification(): calls.append("notified")
def send_post(obj, s): calls.append((obj.name, type(s).__name__))
tries = []

@task(max_retries=3, retry_delay=timedelta(seconds=0.01), tags={"prod"})
def extract():
    tries.append(1)
    if len(tries) == 1:
        raise ConnectionError("busy")

def notify_on_retry(task, old_state, new_state):          # a state handler: may return another state
    if isinstance(new_state, state.Retrying):
        send_notification()
    return new_state

ring = callback_factory(send_post, lambda s: s.is_retrying())      # fn(obj, state), check(state) -> bool
page = callback_factory(send_post, when("is_failed and tags=prod")) # the same filter language as the TOML
ops  = notify("ops", when="state=Retrying")                         # durable: through the outbox to channel "ops"

class Load(Task):
    def run(self):
        tries.append(2)
        if tries.count(2) == 1:
            raise OSError("disk")

with Flow("etl", state_handlers=[page], task_state_handlers=[ring]) as flow:
    rows = extract()
    load = Load(name="load", max_retries=1, retry_delay=timedelta(seconds=0.01),
                state_handlers=[notify_on_retry, ops])(upstream_tasks=[rows])
flow.set_reference_tasks([load])

final = flow.run()          # a State; final.result[load] is the task's State
assert final.is_successful(), final
assert final.result[load].is_successful()
assert calls == [("extract", "Retrying"), "notified", ("load", "Retrying")], calls
"""


def test_the_designs_example_runs_as_written_and_its_durable_notification_arrives(
    tmp_path: Path, python, tocsin
) -> None:
    (tmp_path / "tocsin.toml").write_text('[channels.ops]\ntype = "inbox"\n')
    (tmp_path / "etl.py").write_text(DESIGN_EXAMPLE)
    ran = python("etl.py")
    assert ran.returncode == 0, ran.stderr
    inbox = tocsin("inbox", "--json")
    assert "Retrying: etl/load (attempt 1 of 2)" in inbox.stdout
    assert "Recovered: etl/load" in inbox.stdout


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def test_the_readmes_pipeline_and_config_work_together(tmp_path: Path, stand_ins: StandIns, python, tocsin) -> None:
    [pipeline], [config] = blocks("README.md", "python"), blocks("README.md", "toml")
    (tmp_path / "etl.py").write_text(pipeline.replace("return [1, 2, 3]", "raise ValueError('bad row')").replace(
        "seconds=10", "seconds=0.01"
    ))  # fmt: skip
    (tmp_path / "tocsin.toml").write_text(config)
    url = f"{stand_ins.url}/services/T0/B0/secret"
    checked = tocsin("check", SLACK_WEBHOOK_URL=url)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    ran = python("etl.py", SLACK_WEBHOOK_URL=url)
    assert ran.returncode == 0, ran.stderr
    texts = [received.content["body"]["text"] for received in stand_ins.of("slack")]
    assert sum("Retrying" in text for text in texts) == 3
    assert any("Failed" in text and "extract" in text for text in texts)


@pytest.fixture
def overrides(tmp_path: Path, stand_ins: StandIns) -> dict[str, str]:
    """What points the config that lies beside the example at this test's stand-ins."""
    return {
        "TOCSIN__STORE__PATH": str(tmp_path / "tocsin.db"),
        "TOCSIN__CHANNELS__SLACK__BASE_URL": f"{stand_ins.url}/api/",
        "TOCSIN__CHANNELS__PAGER__BASE_URL": stand_ins.url,
        "TOCSIN__CHANNELS__HOOK__BASE_URL": stand_ins.url,
        "TOCSIN__CHANNELS__MAIL__BASE_URL": f"smtp://127.0.0.1:{stand_ins.smtp_port}",
    }


def test_the_example_reaches_every_service_when_it_fails_and_again_when_it_recovers(
    tmp_path: Path, stand_ins: StandIns, tocsin, overrides: dict[str, str]
) -> None:
    flow = str(ROOT / "examples" / "etl.py")
    failed = tocsin("run", flow, **overrides)
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "load" in failed.stdout
    assert "Failed" in failed.stdout

    methods = [received.content["path"].rsplit("/", 1)[1] for received in stand_ins.of("slack")]
    assert methods.count("chat.postMessage") == 2, "one message for extract, one for load"
    assert methods.count("chat.update") == 1, "extract recovered: its message is edited"
    [page] = stand_ins.of("pagerduty")
    assert page.content["body"]["event_action"] == "trigger"
    [mail] = stand_ins.of("email")
    assert "etl/load" in mail.content["Subject"]
    [hook] = stand_ins.of("webhook")
    assert hook.content["body"]["data"]["event"]["exception"]["type"] == "ValueError"

    recovered = tocsin("run", flow, "--param", "fixed=true", **overrides)
    assert recovered.returncode == 0, recovered.stdout + recovered.stderr
    resolved = stand_ins.of("pagerduty")[1].content["body"]
    assert (resolved["event_action"], resolved["dedup_key"]) == ("resolve", page.content["body"]["dedup_key"])
    second_mail = stand_ins.of("email")[1].content
    assert second_mail["References"] == mail.content["References"], "one thread"
    assert len(stand_ins.of("webhook")) == 2


def test_the_webhook_of_the_example_is_signed_by_the_standard(
    stand_ins: StandIns, tocsin, overrides: dict[str, str]
) -> None:
    from standardwebhooks import Webhook

    tocsin("run", str(ROOT / "examples" / "etl.py"), **overrides)
    [hook] = stand_ins.of("webhook")
    key = (ROOT / "examples" / "secrets" / "webhook_key").read_text().strip()
    headers = {name.lower(): value for name, value in hook.content["headers"].items()}
    assert Webhook(key).verify(hook.content["raw"], headers)["type"] == "tocsin.task.failed"
