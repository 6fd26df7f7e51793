"""Describe the fields of review policies, reviews and verdicts."""

from biolayer.field_descriptions.entries import Table, for_models
from biolayer.field_descriptions.examples import FROM_PARTS, POOL, TIME, UUID, WORKER

OUTPUT = {"reached_user": True, "notes": "Owner ran a patch script."}
REASON = "Ask for the ticket's number, too."
APPEAL = "The ticket's number is in the notes, at the end."
RULING = "The number is there. The rating was changed."
POLICY = {"mode": "sample", "sample_share": 0.1, "first_tasks": 5, "deadline_seconds": 14400}
REVIEWS = "Review ReviewDetail PreviousReview"

POLICIES: Table = {
    "TaskContract.review": (
        ("Whether a person reviews the output: stricter than the pool's policy. Null: the pool's."),
        FROM_PARTS,
    ),
    **for_models(
        "PoolCreation PoolChange",
        "review_policy",
        "Which submissions a person reviews; null: none.",
        FROM_PARTS,
    ),
    "Pool.review_policy": ("Which submissions a person reviews; null: none.", POLICY),
    "Task.review_policy": ("The contract's `review`, as posted; null: none.", {"mode": "all"}),
    "ReviewPolicy.mode": (
        (
            "`all` submissions, a `sample` of the tasks, or `none` but those of `first_tasks` and"
            " `below_rating`."
        ),
        "sample",
    ),
    "sample_share": ("The share of tasks that are drawn; required for a sample.", 0.1),
    "required_role": ("The least role of a reviewer.", "manager"),
    "reviewer_pool_id": (
        (
            "Only members who are workers of this pool review, until a review is overdue; null: all"
            " members with the role."
        ),
        POOL,
    ),
    "ReviewPolicy.notify": ("Whether reviewers are told of a review.", True),
    "auto_approve_after_hours": (
        "Hours after which the policy approves, unless a person decided; null: never.",
        24,
    ),
    "deadline_seconds": ("Seconds after which a review is overdue; null: never.", 14400),
    "max_rework": (
        "How often a task is sent back; null: while attempts are left.",
        2,
    ),
    "first_tasks": ("So many first tasks of a worker in a pool are always reviewed.", 5),
    "below_rating": ("Tasks of workers with a lower rating are always reviewed.", 4.0),
    "on_reject": ("What a rejection does: the task fails, or another worker gets it.", "fail"),
}

VERDICTS: Table = {
    "review_id": ("The ID of the review.", UUID),
    **for_models("Verdict ReviewVerdict", "version", "The version of the review that you read.", 1),
    **for_models("Verdict ReviewVerdict", "verdict", "What to do with the output.", "rework"),
    **for_models(
        "Verdict ReviewVerdict",
        "reason",
        "For the worker; required unless the output is approved.",
        REASON,
    ),
    "pointers": ("JSON Pointers to the places of the output that it is about.", ["/notes"]),
    **for_models(
        "Verdict ReviewVerdict",
        "rating",
        "Stars for the work, 1 to 5, which are added to the worker's rating; null: none.",
        4,
    ),
    "Verdicts.verdicts": ("The verdicts, of one review each.", FROM_PARTS),
}

SHOWN: Table = {
    **for_models(
        "Review ReviewDetail", "version", "Increases with each claim, release and verdict.", 1
    ),
    **for_models(
        REVIEWS,
        "status",
        "`waiting` and `claimed` are open. `expired`: the task failed without a verdict.",
        "waiting",
    ),
    **for_models("Review ReviewDetail", "task", "The task.", FROM_PARTS),
    **for_models(REVIEWS, "attempt", "The attempt whose output it is.", 1),
    **for_models("Review ReviewDetail", "round", "1, 2, 3 …: the reviews of the task.", 1),
    "cause": (
        (
            "Why it is reviewed: the mode `all`, the worker's `first_tasks`, its rating"
            " (`below_rating`), or the `sample`."
        ),
        "sample",
    ),
    **for_models("Review ReviewDetail", "review_policy", "The policy of the submission.", POLICY),
    "requested_at": ("When the output was submitted.", TIME),
    **for_models(
        "Review ReviewDetail OpenReview", "due_at", "When it is overdue; null: never.", TIME
    ),
    "auto_approve_at": ("When the policy approves it; null: never.", TIME),
    "escalated_at": ("When it was reported overdue; null: it was not.", TIME),
    "claimed_by": (
        "The credential that has claimed it; null: none.",
        "member:019b7e10-2c55-7d4e-b0f3-6a1d9c84e277",
    ),
    **for_models(
        "Review ReviewDetail", "lease_until", "Until when it is claimed; null: it is not.", TIME
    ),
    **for_models(REVIEWS, "reason", "The reviewer's words; null: none.", REASON),
    "SentBack.reason": ("The reviewer's words.", REASON),
    "SentBack.attempt": ("The attempt that was refused.", 1),
    **for_models("Review ReviewDetail", "rating", "Stars for the work; null: none.", 4),
    **for_models("Review ReviewDetail", "decided_at", "When it was decided; null: it waits.", TIME),
    **for_models(
        "Review ReviewDetail",
        "decided_by",
        "The credential that decided, or `system:policy`; null: it waits.",
        "api_key:k7Jd92LmQ0aB",
    ),
    **for_models("Review ReviewDetail", "worker_id", "Whose work it is.", WORKER),
    **for_models("ReviewDetail PreviousReview", "output", "The submitted output.", OUTPUT),
    "ReviewDetail.evidence_ids": ("The files that belong to the output.", [UUID]),
    "contract": ("The task, with its contract.", FROM_PARTS),
    "previous": ("The review before; null: it is the first.", FROM_PARTS),
    "Task.review": ("The review that the output waits for; null: none.", FROM_PARTS),
    "sent_back": (
        "What a reviewer refused of an earlier attempt; null: nothing.",
        FROM_PARTS,
    ),
    "ReviewDecidedFacts.rating": ("Stars for the work, 1 to 5; omitted without a rating.", 4),
    "next_status": ("The task's status by the event that follows.", "queued"),
    "verdict": ("The verdict.", "rework"),
    "round": ("1, 2, 3 …: the reviews of the task.", 1),
    "VerdictResult.status": ("200: decided. Other: refused.", 200),
    "VerdictResult.review": ("The decided review; omitted if the verdict was refused.", FROM_PARTS),
    "VerdictResult.problem": ("Why it was refused; omitted otherwise.", FROM_PARTS),
    "decided": ("The number of decided reviews.", 2),
}

APPEALS: Table = {
    "appeal_id": ("The ID of the appeal.", UUID),
    "Appeal.version": ("Increases with the decision.", 1),
    "AppealDecision.version": ("The version of the appeal that you read.", 1),
    **for_models(
        "Appeal OwnAppeal",
        "status",
        "`open`: a manager has to decide. `overturned`: the verdict's rating no longer counts."
        " `expired`: the task's content was deleted before.",
        "open",
    ),
    "Appeal.review": ("The review, with its verdict.", FROM_PARTS),
    "NewAppeal.reason": ("Why the verdict is wrong, for the manager who decides.", APPEAL),
    **for_models("Appeal OwnAppeal", "reason", "The worker's words; null: deleted.", APPEAL),
    "opened_at": ("When the worker appealed.", TIME),
    **for_models("Appeal OwnAppeal", "decided_at", "When it was decided; null: it is open.", TIME),
    "Appeal.decided_by": (
        "The credential that decided; null: it is open.",
        "member:019b7e10-2c55-7d4e-b0f3-6a1d9c84e277",
    ),
    "decision_reason": ("The words of who decided, for the worker; null: none.", RULING),
    "AppealDecision.decision": ("Whether the verdict stands.", "overturn"),
    "AppealDecision.reason": ("For the worker.", RULING),
    "AppealDecision.rating": (
        "With `overturn`: stars for the work instead of those of the verdict; null: none.",
        4,
    ),
    "AppealDecision.reopen": (
        (
            "With `overturn`: queue the task again. It must be completed or failed, with attempts"
            " left; needs the scope `tasks:manage` and the role admin."
        ),
        True,
    ),
    **for_models(
        "Appeal OwnAppeal", "rating", "Stars given instead of those of the verdict; null: none.", 4
    ),
    "AppealDecidedFacts.decision": ("Whether the verdict stands.", "overturned"),
    "AppealDecidedFacts.rating": ("Stars instead of those of the verdict; null: none.", 4),
    "OwnVerdict.status": ("What was decided.", "rework"),
    "OwnVerdict.reason": ("The reviewer's words; null: deleted.", REASON),
    "OwnVerdict.rating": ("Stars for the work; null: none.", 2),
    "OwnVerdict.decided_at": ("When it was decided.", TIME),
    "appeal_until": ("Until when it may be appealed, once; null: it may not.", TIME),
    "OwnVerdict.appeal": ("The worker's appeal; null: none.", FROM_PARTS),
    "appeal_hours": (
        "Hours in which a worker may appeal a verdict on its work; 0: it may not.",
        72,
    ),
}

REVIEWERS: Table = {
    "second_look_share": (
        "Of the approvals by people, the share that another reviewer looks at again.",
        0.05,
    ),
    "second_look_id": ("The ID of the second look.", UUID),
    **for_models(
        "SecondLook SecondLookDetail",
        "status",
        "`waiting` for another reviewer; `agreed`: they approve it, too. `expired`: the task's"
        " content was deleted before.",
        "waiting",
    ),
    **for_models("SecondLook SecondLookDetail", "task", "The task.", FROM_PARTS),
    **for_models(
        "SecondLook SecondLookDetail", "requested_at", "When the output was approved.", TIME
    ),
    **for_models(
        "SecondLook SecondLookDetail", "decided_at", "When it was given; null: it waits.", TIME
    ),
    **for_models(
        "SecondLook SecondLookDetail",
        "decided_by",
        "The credential that gave it; null: it waits.",
        "api_key:k7Jd92LmQ0aB",
    ),
    **for_models("SecondLook SecondLookDetail", "reason", "The words of who gave it.", REASON),
    "SecondLookDetail.output": ("The approved output; null: deleted.", OUTPUT),
    "SecondVerdict.verdict": ("Whether you agree with the approval.", "approve"),
    "SecondVerdict.reason": ("Required unless you agree.", "It is another owner."),
    "Reviewer.reviewer": ("The credential.", "member:019b7e10-2c55-7d4e-b0f3-6a1d9c84e277"),
    "Reviewer.decided": ("Verdicts in the period.", 120),
    "approvals": ("Of these, approvals.", 96),
    "reworks": ("Outputs that were sent back.", 20),
    "rejections": ("Outputs that were rejected.", 4),
    "active_hours": ("Hours of the clock in which the reviewer decided at least once.", 8),
    "approvals_per_hour": ("Approvals in an active hour, on average.", 12.0),
    "claimed_approvals": ("Approvals after a claim: of the others it is not known how long.", 90),
    "fast_approval_share": (
        "Of these, the share that came less than 5 seconds after the claim; null without any.",
        0.02,
    ),
    "decided_again": ("Verdicts on which others decided later: appeals and second looks.", 10),
    "agreement": ("Of these, the share with the same decision; null without any.", 0.9),
    "ReviewerPage.since": ("From when it counts.", TIME),
    "ReviewerPage.until": ("Until when it counts.", TIME),
}

TABLE: Table = {**POLICIES, **VERDICTS, **SHOWN, **APPEALS, **REVIEWERS}
