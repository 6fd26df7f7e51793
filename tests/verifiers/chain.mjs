// Verifies the hash chain of a task's log, read from standard input as `GET /v1/tasks/{id}/events` lists it.
// Prints the sequence of the first event that breaks the chain, or "intact". See docs/events/README.md.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const HASHED = ["task_id", "sequence", "type", "timestamp", "status", "previous_status", "actor", "data"];

// RFC 8785: JSON.stringify spells strings and numbers as it asks for, and sort() compares UTF-16 code units.
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const members = Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`);
  return `{${members.join(",")}}`;
}

function firstBroken(events) {
  let previous = Buffer.alloc(32);
  for (const [index, event] of events.entries()) {
    const hashed = Object.fromEntries(HASHED.map((name) => [name, event[name]]));
    // A person's words may be deleted later: only their hash is part of the chain.
    if ("reason_hash" in event.data) {
      const { reason, ...data } = event.data;
      hashed.data = data;
    }
    const digest = createHash("sha256").update(previous).update(canonical(hashed)).digest();
    const intact =
      event.sequence === index + 1 &&
      event.prev_hash === previous.toString("hex") &&
      event.hash === digest.toString("hex");
    if (!intact) return event.sequence;
    previous = digest;
  }
  return "intact";
}

console.log(firstBroken(JSON.parse(readFileSync(0, "utf8"))));
