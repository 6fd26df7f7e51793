// Posts the README's task by the generated types, and waits until it is completed. Prints its status.
// The test writes generated/schema.ts (openapi-typescript) and generated/settings.ts.

import createClient from "openapi-fetch";

import type { components, paths } from "./generated/schema.js";
import { body, key, url } from "./generated/settings.js";

const client = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${key}` } });
const contract: components["schemas"]["TaskContract"] = body;
const posted = await client.POST("/v1/tasks", { body: contract });
if (posted.data === undefined) throw new Error(JSON.stringify(posted.error));

let status: components["schemas"]["Task"]["status"] = posted.data.status;
for (let tries = 0; status !== "completed" && tries < 150; tries += 1) {
  await new Promise((resolve) => setTimeout(resolve, 200));
  const read = await client.GET("/v1/tasks/{task_id}", { params: { path: { task_id: posted.data.task_id } } });
  if (read.data === undefined) throw new Error(JSON.stringify(read.error));
  status = read.data.status;
}
const listed = await client.GET("/v1/tasks", { params: { query: { status: ["completed", "failed"], limit: 1 } } });
console.log(status, listed.data?.data.length);
