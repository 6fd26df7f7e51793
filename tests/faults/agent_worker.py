"""Be an agent: claim the next run, say which, work on it for a minute, and complete it.

Its command line names the URL of the service, the session and its agent. `AGENT_KEY` is its key.
"""

import json
import os
import sys
import time

import httpx

LEASE_SECONDS = 2
WORK_SECONDS = 60


def main() -> None:
    url, session, name = sys.argv[1:]
    headers = {
        "Authorization": f"Bearer {os.environ['AGENT_KEY']}",
        "X-AGH-Session-ID": session,
        "X-AGH-Agent": name,
    }
    with httpx.Client(base_url=f"{url}/api/agent/tasks", headers=headers, timeout=30) as service:
        answer = service.post("/claim-next", json={"lease_seconds": LEASE_SECONDS})
        run = answer.raise_for_status().json()["claim"]["run"]
        print(json.dumps(run), flush=True)
        time.sleep(WORK_SECONDS)
        service.post(f"/{run['id']}/complete", json={"result": {}}).raise_for_status()


if __name__ == "__main__":
    main()
