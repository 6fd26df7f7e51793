"""Test the composer: its examples, the check of what is typed, the call for a shell, the post."""

import json
import subprocess
from typing import Any

import pytest

from apps.accounts.scopes import Role
from apps.base import clock
from apps.console.composer.checking import curl_command
from apps.console.composer.lines import line_of, lines_of
from apps.tasks import services as tasks
from apps.tasks.models import Task
from tests.console.task_steps import Operator, operator, page_of, words
from tests.factories import House, contract, worker_in

NEW = "/admin/tasks/new/"
CHECK = f"{NEW}check"


@pytest.fixture
def mara(house: House) -> Operator:
    return operator(house, Role.EDITOR)


def check(who: Operator, text: str) -> Any:
    return who.post(CHECK, text=text)


# --- the check ------------------------------------------------------------------------------------


def test_example__is_valid_and_is_for_the_pool(house: House, mara: Operator) -> None:
    worker_in(house.pool, skills=["phone"])
    page = mara.get(f"{NEW}?pool={house.pool.id}")
    assert "The contract is valid" in words(page)
    document = json.loads(page.context["text"])
    needs = {"worker_pool_id": str(house.pool.id), "skills": ["phone"]}
    assert document["requirements"] == needs


def test_check__names_the_line_of_each_fault(house: House, mara: Operator) -> None:
    document = contract(domain="No slug", requirements={"trust_level": 9, "worker_pool_id": None})
    del document["task_type"]
    text = json.dumps(document, indent=2)
    answer = check(mara, text)
    found = {one.pointer: one.line for one in answer.context["problems"]}
    lines = text.splitlines()
    assert found.keys() == {"/task_type", "/domain", "/requirements/trust_level"}
    assert found["/task_type"] == 1
    assert '"domain"' in lines[found["/domain"] - 1]
    assert '"trust_level"' in lines[found["/requirements/trust_level"] - 1]


def test_check__refuses_a_foreign_pool_as_the_api_does(house: House, mara: Operator) -> None:
    document = contract(requirements={"worker_pool_id": str(house.strangers_pool.id)})
    (problem,) = check(mara, json.dumps(document)).context["problems"]
    sent = house.alice.post("/v1/tasks", document).json()["errors"]
    assert [(problem.pointer, problem.text)] == [(one["pointer"], one["detail"]) for one in sent]


@pytest.mark.parametrize(
    ("text", "line"),
    [("", 1), ("{", 1), ('{\n"a": 1,\n}', 2), ("[" * 500 + "]" * 500, 1), ("null", 1), ("[]", 1)],
)
def test_check__says_what_is_no_contract(mara: Operator, text: str, line: int) -> None:
    problems = check(mara, text).context["problems"]
    assert problems
    assert problems[0].line == line


def test_check__writes_nothing(house: House, mara: Operator) -> None:
    assert "The contract is valid" in words(check(mara, json.dumps(contract())))
    assert not Task.objects.exists()


def test_composer__is_for_editors(house: House) -> None:
    viewer = operator(house, Role.VIEWER)
    answers = [viewer.get(NEW), check(viewer, "{}"), viewer.post(NEW, text="{}")]
    assert [one.status_code for one in answers] == [403, 403, 403]


# --- lines ----------------------------------------------------------------------------------------

TEXT = r"""{
  "a": 1, "b":
    [
      {"x": "\"{,\\", "y/z~": []},
      {}, 3
    ],
  "": {"c":
    null}
}"""


def test_lines__are_those_of_names_and_items() -> None:
    assert lines_of(TEXT) == {
        "": 1,
        "/a": 2,
        "/b": 2,
        "/b/0": 4,
        "/b/0/x": 4,
        "/b/0/y~1z~0": 4,
        "/b/1": 5,
        "/b/2": 5,
        "/": 7,
        "//c": 7,
    }


def test_line_of_what_is_missing__is_that_around_it() -> None:
    lines = lines_of(TEXT)
    assert line_of("/b/0/missing/deeper", lines) == 4
    assert line_of("/missing", lines) == 1


# --- the call for a shell -------------------------------------------------------------------------


@pytest.mark.parametrize("words_", ["it's", "$HOME `id` \\ !", "a\nb", "'; id; '", 'ä 漢 "x"'])
def test_curl__sends_exactly_the_text(words_: str) -> None:
    """Run it by a real shell, with a function in place of curl that prints what it gets."""
    text = json.dumps({"title": words_}, ensure_ascii=False, indent=2)
    shell = "curl() { printf '%s\\0' \"$@\"; }\n" + curl_command("http://x.example", text)
    run = subprocess.run(
        ["/bin/sh", "-c", shell], capture_output=True, check=True, env={"BIOLAYER_KEY": "k e'y"}
    )
    arguments = run.stdout.decode().split("\0")[:-1]
    assert arguments == [
        "--request",
        "POST",
        "http://x.example/v1/tasks",
        "--header",
        "Authorization: Bearer k e'y",
        "--header",
        "Content-Type: application/json",
        "--data-binary",
        text,
    ]


# --- the post -------------------------------------------------------------------------------------


def test_post__creates_the_task_once(house: House, mara: Operator) -> None:
    text = mara.get(NEW).context["text"]
    answers = [mara.post(NEW, text=text.replace("\n", "\r\n")) for _ in range(2)]
    task = Task.objects.get()
    assert [one["Location"] for one in answers] == [page_of(task)] * 2
    assert task.created_by == "Mara Lindqvist"


def test_post__that_is_refused_keeps_the_text(house: House, mara: Operator) -> None:
    text = json.dumps(contract(title=""))
    answer = mara.post(NEW, text=text)
    assert answer.status_code == 200
    assert answer.context["text"] == text
    assert [one.pointer for one in answer.context["problems"]] == ["/title"]
    assert "The task was not posted" in words(answer)
    assert not Task.objects.exists()


def test_post__of_another_organisation_is_refused_in_its_place(
    house: House, mara: Operator
) -> None:
    foreign = str(house.strangers_pool.organisation_id)
    answer = mara.post(NEW, text=json.dumps(contract(origin={"org_id": foreign})))
    assert answer.status_code == 200
    assert [one.pointer for one in answer.context["problems"]] == ["/origin/org_id"]


# --- copies ---------------------------------------------------------------------------------------


def test_copy__is_the_same_contract(house: House, mara: Operator) -> None:
    first = house.task()
    task = house.task(
        context={"background": "Why", "constraints": ["a"], "ticket": {"n": 7}},
        sla={"urgency": "high", "target_latency_seconds": 600},
        requirements={
            "skills": ["phone"],
            "skill_levels": {"phone": 3},
            "languages": ["fi"],
            "min_rating": 4.5,
            "worker_pool_id": str(house.pool.id),
            "escalation": {"steps": [{"after_seconds": 60, "notify": True}], "at_end": "fail"},
        },
        handoff={
            "callback_url": "https://product.example/hook",
            "callback_auth": {"type": "bearer", "token": "s3cret"},
            "retry_policy": {"max_retries": 0, "backoff_seconds": 5},
        },
        audit={"log_required": True, "retain_days": 30},
        output={"schema": {"z": "string", "a": "string"}, "evidence_required": True},
        depends_on=[str(first.id)],
    )
    page = mara.get(f"{NEW}?copy={task.id}")
    assert "The contract is valid" in words(page)
    assert "s3cret" not in page.content.decode()
    document = json.loads(page.context["text"])
    assert [*document["output"]["schema"]] == ["z", "a"]
    mara.post(NEW, text=page.context["text"])
    copy = Task.objects.exclude(id__in=[first.id, task.id]).get()
    same = (
        "title instructions context urgency target_latency_seconds skills skill_levels languages"
        " min_rating pool_id escalation callback_url max_retries backoff_seconds log_required"
        " retain_days output_schema_text evidence_required task_type domain requirement_id"
    )
    assert {name: getattr(copy, name) for name in same.split()} == {
        name: getattr(task, name) for name in same.split()
    }


def test_copy__of_a_foreign_task_is_not_found(house: House, mara: Operator) -> None:
    foreign = tasks.create_task(
        actor=house.charlie.principal, document=contract(), at=clock.now()
    ).task
    assert mara.get(f"{NEW}?copy={foreign.id}").status_code == 404
