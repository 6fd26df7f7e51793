// Runs durable work by the generated types: registers two sessions, creates a tree of 20 tasks with dependencies,
// pauses, drains and completes it, has a run done again after a review, and compares the dashboard. Prints what it
// found, as JSON.
// The test writes generated/schema.ts, generated/operations.ts (openapi-typescript) and generated/settings.ts.

import createClient from "openapi-fetch";

import type { paths as OperationsPaths } from "./generated/operations.js";
import type { paths } from "./generated/schema.js";
import { admin_key as key, url } from "./generated/settings.js";

const options = { baseUrl: url, headers: { Authorization: `Bearer ${key}` } };
const v1 = createClient<paths>(options);
const api = createClient<OperationsPaths>(options);

type Answer<T> = { data?: T; error?: unknown; response: Response };

async function must<T>(call: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await call;
  if (data === undefined) throw new Error(`${response.status} ${response.url} ${JSON.stringify(error)}`);
  return data;
}

function check(is: boolean, what: string): void {
  if (!is) throw new Error(what);
}

const mark = `tree-${Date.now().toString(36)}`;
const { pool_id: pool } = await must(v1.POST("/v1/pools", { body: { name: mark } }));

// --- sessions

const sessions = ["one", "two"].map((name) => `${mark}-${name}`);
for (const session_id of sessions) {
  const body = { session_id, agent_name: mark, pool_id: pool, capabilities: ["french"] };
  const made = await must(v1.POST("/v1/agent-sessions", { body }));
  check(made.state === "active" && made.run_id === null, `registered ${session_id}`);
}
const identity = (session: string, agent = mark) => ({ "X-AGH-Session-ID": session, "X-AGH-Agent": agent });

async function claim(session: string) {
  const params = { header: identity(session) };
  const { data, error, response } = await api.POST("/api/agent/tasks/claim-next", { params, body: { lease_seconds: 60 } });
  if (error !== undefined) throw new Error(`${response.status} ${JSON.stringify(error)}`);
  return response.status === 204 ? undefined : data?.claim;
}

async function complete(session: string, run_id: string): Promise<void> {
  const params = { header: identity(session), path: { run_id } };
  const renewed = await must(api.POST("/api/agent/tasks/{run_id}/heartbeat", { params, body: { lease_seconds: 120 } }));
  check(renewed.lease.session_id === session, "the lease is the session's");
  const done = await must(api.POST("/api/agent/tasks/{run_id}/complete", { params, body: { result: { notes: "ready" } } }));
  check(done.lease.status === "completed", `completed ${run_id}`);
}

// --- a tree of 20 tasks: the root, three phases, and 16 steps. A phase's steps wait for those of the phase before.

const common = { scope: "workspace" as const, network_channel: mark, auto_enqueue_on_ready: true };
const root = (await must(api.POST("/api/tasks", { body: { ...common, workspace: pool, title: "The whole" } }))).task;
const add = async (id: string, title: string, more: object = {}) => {
  const body = { ...common, workspace: pool, title, ...more };
  return (await must(api.POST("/api/tasks/{id}/children", { params: { path: { id } }, body }))).task.id;
};
const phases = [];
for (const name of ["draft", "check", "send"]) phases.push(await add(root.id, name));
const steps: string[][] = [];
for (const [index, phase] of phases.entries()) {
  const made: string[] = [];
  for (let number = 0; number < [6, 5, 5][index]!; number += 1) {
    const id = await add(phase, `step ${number}`, { priority: number === 0 ? "urgent" : "low" });
    for (const depends_on_task_id of steps[index - 1] ?? []) {
      await must(api.POST("/api/tasks/{id}/dependencies", { params: { path: { id } }, body: { depends_on_task_id } }));
    }
    made.push(id);
  }
  steps.push(made);
}
const { tree } = await must(api.GET("/api/tasks/{id}/tree", { params: { path: { id: root.id } } }));
check(tree.descendants?.length === 19, "19 tasks are below the root");

// --- what waits is blocked; what is paused is not handed out

const first = steps[0]!;
const blocked = await api.POST("/api/tasks/{id}/start", { params: { path: { id: steps[1]![0]! } }, body: {} });
check(blocked.response.status === 409 && blocked.error !== undefined, "a blocked task is not started");
for (const id of [root.id, ...phases, ...first]) {
  await must(api.POST("/api/tasks/{id}/start", { params: { path: { id } }, body: {} }));
}
await must(api.POST("/api/tasks/{id}/pause", { params: { path: { id: root.id } }, body: { reason: "Wait" } }));
check((await claim(sessions[0]!)) === undefined, "nothing below a paused task is handed out");
await must(api.POST("/api/tasks/{id}/resume", { params: { path: { id: root.id } }, body: {} }));

// --- a drain waits for what is held

const held = await claim(sessions[0]!);
if (held === undefined) throw new Error("nothing was handed out");
check(held.task.id === first[0] && held.task.priority === "urgent", "the urgent step is first");
const early = await must(api.POST("/api/scheduler/drain", { body: { timeout_seconds: 0 } }));
check(!early.completed && early.remaining_claims === 1, "one run is held");
check((await claim(sessions[1]!)) === undefined, "a drained scheduler hands out nothing");
await complete(sessions[0]!, held.run.id);
const drained = await must(api.POST("/api/scheduler/drain", { body: { timeout_seconds: 5 } }));
check(drained.completed && drained.scheduler.paused === true, "nothing is held any more");
await must(api.POST("/api/scheduler/resume", { body: {} }));

// --- both sessions work until nothing is left

const order = [held.task.id];
async function work(session: string): Promise<void> {
  for (let next = await claim(session); next !== undefined; next = await claim(session)) {
    order.push(next.task.id);
    await complete(session, next.run.id);
  }
}
// The runs of what waited are queued by the service, a moment after the last of a phase is completed.
for (let tries = 0; order.length < 20 && tries < 150; tries += 1) {
  await Promise.all(sessions.map(work));
  await new Promise((resolve) => setTimeout(resolve, 200));
}
check(order.length === 20, `only ${order.length} tasks were handed out`);
check(new Set(order).size === 20, "each task was done once");
const ends = Math.max(...first.map((id) => order.indexOf(id)));
check(steps[1]!.every((id) => order.indexOf(id) > ends), "no step was before those that it waits for");

// --- an agent reviews a run of another one, rejects it, and the run that follows is done

const critic = { session_id: `${mark}-critic`, agent_name: `${mark}-critic`, pool_id: pool };
await must(v1.POST("/v1/agent-sessions", { body: critic }));
const reviewed = held.run.id;
const asked = await must(
  api.POST("/api/task-runs/{id}/reviews", { params: { path: { id: reviewed } }, body: { policy: "on_success" } }),
);
check(asked.created && asked.review.status === "in_review", "the review has a reviewer");
check(asked.review.reviewer_session_id === critic.session_id, "it is not who did the work");
const verdict = {
  outcome: "rejected" as const,
  confidence: 0.9,
  reason: "No order number",
  missing_work: ["Name the order."],
  delivery_id: `${mark}-verdict`,
};
const rejected = await must(
  api.POST("/api/task-reviews/{id}/verdict", {
    params: { path: { id: asked.review.review_id } },
    headers: identity(critic.session_id, critic.agent_name),
    body: { run_id: reviewed, verdict },
  }),
);
const again = await claim(sessions[1]!);
check(again !== undefined && again.run.id === rejected.continuation_run?.id, "the run that follows is handed out");
await complete(sessions[1]!, again!.run.id);

// --- what is shown adds up

const query = { scope: "workspace" as const, workspace: pool, network_channel: mark };
const { dashboard } = await must(api.GET("/api/observe/tasks/dashboard", { params: { query } }));
const listed = await must(api.GET("/api/tasks", { params: { query: { ...query, status: "completed" } } }));
const shares = (dashboard.status_breakdown ?? []).map(({ status, count }) => ({ status, count }));
for (const session_id of [...sessions, critic.session_id]) {
  const { response } = await v1.DELETE("/v1/agent-sessions/{session_id}", { params: { path: { session_id } } });
  check(response.status === 204, `ended ${session_id}`);
}
const { tasks_total, completed_tasks, runs_total, completed_runs, active_runs } = dashboard.totals;
console.log(
  JSON.stringify({ tasks_total, completed_tasks, runs_total, completed_runs, active_runs, shares, listed: listed.tasks.length }),
);
