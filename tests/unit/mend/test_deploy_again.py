"""A deployment that runs again brings everything to where it should be, and does nothing twice.

Method: the steps run with stand-ins for gcloud and bq that say what is there, and note what they are told.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mend.deploy import scheduled_jobs
from mend.deploy.description import FUNCTIONS, SIZES
from mend.deploy.images import built, functions, image_of, jobs
from mend.deploy.plan import destroyed, plan
from mend.deploy.stage import content_of, stage
from mend.deploy.steps import Step, Target
from mend.deploy.topology import history_of, queues, recorded
from mend.deploy.watching import MONITORING, ROOT
from tests.support.heard_commands import ALL_IS_THERE, NOTHING_IS_THERE, heard

TARGET = Target("p-1", "europe-west1")
STEPS = {step.what: step for step in plan(TARGET)}
IMAGE = "europe-west1-docker.pkg.dev/p-1/mend"
# In the tests nothing is staged: the name of an image ends where its folder's content would stand.
FUNCTION = STEPS["function mend-load"]


def mark_of(step: Step) -> str:
    """What the thing that a step deploys carries when it was deployed by the same command."""
    (labels,) = [word for word in step.make if word.startswith("--labels=")]
    return labels.rpartition("=")[2]


def test_what_is_there_is_made_as_it_should_be(tmp_path: Path) -> None:
    run = heard(STEPS.values(), tmp_path, ALL_IS_THERE)
    assert run.code == 0, run.said
    for kind, count in (
        ("pubsub subscriptions update", len(queues()) + len(recorded())),
        ("scheduler jobs update http", 2 + len(scheduled_jobs.JOBS)),
        ("logging sinks update", 1),
        ("logging metrics update", len(list((ROOT / MONITORING / "metrics").glob("*")))),
        ("monitoring dashboards update", len(list((ROOT / MONITORING / "dashboards").glob("*")))),
        ("alpha monitoring policies update", len(list((ROOT / MONITORING / "alerts").glob("*")))),
        ("eventarc triggers update", 1),
    ):
        assert len(run.having(kind)) in (count, 0 if kind.startswith("alpha") else count), kind
    made = {" ".join(each[1:4]) for each in run.having(" create ") if each[0] == "gcloud"}
    assert made == {"beta services identity", "firestore indexes composite"}, "these know by themselves what is there"


def test_what_a_person_has_set_is_kept(tmp_path: Path) -> None:
    """Schedules, the maximum of instances, whom an alert tells: the guide says how to change each."""
    run = heard(STEPS.values(), tmp_path, ALL_IS_THERE)
    assert not [each for each in run.having("scheduler jobs update") if any("--schedule" in word for word in each)]
    assert not run.having("--max-instances")
    anew = heard([FUNCTION], tmp_path, NOTHING_IS_THERE)
    assert f"--max-instances={SIZES['load'].instances_max}" in anew.commands[-1]


def test_an_alert_is_judged_anew_when_its_file_has_changed_and_tells_whom_it_told(tmp_path: Path) -> None:
    step = STEPS["alert audit"]
    mark = next(word for word in step.make if word.startswith("--user-labels=")).rpartition("=")[2]
    same = heard([step], tmp_path, "echo projects/p-1/alertPolicies/1")
    assert [each[4] for each in same.commands] == ["list"], "made of the same file: left as it is, whoever changed it"
    other = f'case "$*" in *"policies list"*{mark}*) ;; *"policies list"*) echo projects/p-1/alertPolicies/1 ;;'
    told = heard([step], tmp_path, f"{other} *describe*) echo projects/p-1/notificationChannels/2 ;; esac")
    (update,) = told.having("policies update")
    assert update[5] == "projects/p-1/alertPolicies/1"
    assert "--set-notification-channels=projects/p-1/notificationChannels/2" in update
    assert f"--update-user-labels=mend={mark}" in update
    nobody = heard([step], tmp_path, f"{other} esac")
    assert not any("--set-notification-channels" in word for word in nobody.having("policies update")[0])


def test_a_dashboard_is_drawn_anew_over_the_state_that_was_read(tmp_path: Path) -> None:
    run = heard([STEPS["dashboard loop"]], tmp_path, "case $* in *list*) echo d/1 ;; *describe*) echo e7 ;; esac")
    (update,) = run.having("dashboards update")
    assert update[4] == "d/1"
    (config,) = [word.removeprefix("--config=") for word in update if word.startswith("--config=")]
    written = json.loads((ROOT / MONITORING / "dashboards" / "loop.json").read_text(encoding="utf-8"))
    assert json.loads(config) == {"etag": "e7", **written}


def test_what_runs_as_it_should_is_not_deployed_again(tmp_path: Path) -> None:
    as_it_should = f"{mark_of(FUNCTION)}\t{IMAGE}/load:\tmend-load-3\tmend-load-3"
    for shown, deployed in (
        (as_it_should, False),
        (as_it_should.replace(f"{IMAGE}/load:", f"{IMAGE}/load:other"), True),
        (as_it_should.replace(mark_of(FUNCTION), "0123456789abcdef"), True),
        (as_it_should.replace("\tmend-load-3\t", "\tmend-load-4\t"), True),  # its newest revision did not start
        ("", True),
    ):
        run = heard([FUNCTION], tmp_path, f"case $* in *describe*) printf '{shown}\\n' ;; esac")
        assert run.code == 0
        assert bool(run.having("run deploy mend-load")) is deployed, shown
    job = STEPS["job mend-drift"]
    shown = f"{mark_of(job)}\t{IMAGE}/audit:"
    run = heard([job], tmp_path, f"printf '{shown}\\n'")
    assert not run.having("run jobs deploy")
    assert heard([job], tmp_path, "echo other").having("run jobs deploy mend-drift")


def test_another_setting_is_another_deployment() -> None:
    kept = {step.what: mark_of(step) for step in functions(TARGET) if step.what.startswith("function ")}
    other = {step.what: mark_of(step) for step in functions(TARGET._replace(spans=True)) if step.what in kept}
    assert len(kept) == len(FUNCTIONS)
    assert all(other[what] != mark for what, mark in kept.items())
    (first, again) = ([mark_of(step) for step in jobs(TARGET) if step.what.startswith("job ")] for _ in range(2))
    assert first == again


def test_an_image_is_built_once_for_all_that_run_it(tmp_path: Path) -> None:
    folders = [*SIZES, scheduled_jobs.STAGED]
    assert [step.what for step in built(TARGET)] == [f"image of {each}" for each in folders]
    order = list(STEPS)
    for function in FUNCTIONS:
        step = STEPS[f"function {function.name}"]
        assert f"--image={image_of(TARGET, function.service)}" in step.make
        assert order.index(f"image of {function.service}") < order.index(step.what)
    step = STEPS["image of load"]
    assert heard([step], tmp_path, "exit 1").having("builds submit build/stage/load")
    staged = tuple(word.replace("$(cat build/stage/load/.tag)", "abc") for word in step.exists)
    there = heard([step._replace(exists=staged)], tmp_path, "printf 'abcd\\nabc\\n'")
    assert not there.having("builds submit")
    assert there.having(f"tags list {IMAGE}/load")


def test_an_image_is_called_after_what_is_in_its_folder(tmp_path: Path) -> None:
    """Wherever it is staged; whatever changes in it changes the name."""
    one, other = (stage("notify", tmp_path / name, requirements=False) for name in ("one", "other"))
    tag = (one / ".tag").read_text().strip()
    assert tag == (other / ".tag").read_text().strip()
    assert len(tag) == 20
    for path in (other / "services" / "notify" / "main.py", other / "requirements.txt"):
        before = content_of(other)
        path.write_text(f"{path.read_text() if path.is_file() else ''}\n# more\n")
        assert content_of(other) != before


FRESH = "ERROR: (gcloud.x) INVALID_ARGUMENT: Service account mend-load@p-1.iam.gserviceaccount.com does not exist."
METRIC = (
    'ERROR: (gcloud.alpha.monitoring.policies.create) NOT_FOUND: Cannot find metric(s) that match type = "x". If a'
    " metric was created recently, it could take up to 10 minutes to become available."
)


@pytest.mark.parametrize(("what", "said"), [("load: roles/datastore.user", FRESH), ("alert errors", METRIC)])
def test_what_was_made_a_moment_ago_is_waited_for(tmp_path: Path, what: str, said: str) -> None:
    refusing = f"echo x >> {tmp_path}/tries; case $* in *list*) exit 1 ;; esac; echo '{said}' >&2"
    known_at_last = f'{refusing}; [ "$(wc -l < {tmp_path}/tries)" -gt 5 ]'
    assert heard([STEPS[what]], tmp_path, known_at_last).code == 0
    waits = (tmp_path / "waits").read_text().split()[1::2]
    assert waits == ["10", "20", "40", "80", "160", "300"][: len(waits)]
    assert len(waits) >= 3
    (tmp_path / "waits").unlink()
    never = heard([STEPS[what]], tmp_path, f"{refusing}; exit 1")
    assert (never.code, said in never.said) == (1, True)
    assert sum(map(int, (tmp_path / "waits").read_text().split()[1::2])) >= 600, "as long as Google may take"


def test_who_may_not_hears_it_at_once(tmp_path: Path) -> None:
    denied = "ERROR: PERMISSION_DENIED: Permission denied on resource project p-1 (or it may not exist)."
    run = heard([STEPS["load: roles/datastore.user"]], tmp_path, f"echo '{denied}' >&2; exit 1")
    assert (run.code, len(run.commands)) == (1, 1)
    assert denied in run.said


def test_metrics_are_there_long_before_the_alerts_that_look_at_them() -> None:
    order = list(STEPS)
    metrics = [order.index(what) for what in order if what.startswith("metric ")]
    assert max(metrics) < min(order.index(what) for what in order if what.startswith(("image of ", "function ")))
    assert all(STEPS[what].patient for what in order if what.startswith("alert "))


def test_what_is_granted_is_waited_for() -> None:
    """Every step that names an account which the same deployment may have made."""
    for step in STEPS.values():
        words = " ".join(step.make)
        if "add-iam-policy-binding" in words or "GRANT " in words:
            assert step.patient, step.what


def test_the_oldest_revisions_make_room(tmp_path: Path) -> None:
    step = STEPS["schema mend-clock-ticked-v1 as it is now"]
    for known, removed in ((19, []), (20, ["r20"]), (22, ["r20", "r21", "r22"])):
        listed = f"case $* in *list-revisions*) seq -f r%g {known} ;; esac"
        run = heard([step], tmp_path, listed)
        assert run.code == 0, run.said
        gone = [each[4].partition("@")[2] for each in run.having("delete-revision")]
        assert gone == removed
        assert run.commands[-1][3] == "commit"


def test_what_history_has_not_taken_yet_outlives_a_destruction(tmp_path: Path) -> None:
    """A subscription into BigQuery holds what is not there yet, and lives as long as its topic."""
    run = heard(destroyed(TARGET), tmp_path, ALL_IS_THERE)
    assert run.code == 0, run.said
    gone = {each[4] for each in run.having("pubsub", "delete")}
    assert gone == {*(queue.name for queue in queues()), "mend-requests", "mend-signals", "mend-dead-letters"}
    assert not gone & {*(history_of(topic) for topic in recorded()), *(topic.name for topic in recorded())}
