"""`python -m bench.cluster.loads PORT`: stands in for the API pods of all pipelines; they are idle and let the operator's questions wait.

GET / says how many questions and pushes have been answered so far.
"""

import asyncio
import sys
from typing import Any

from aiohttp import web

IDLE = {"version": "0:0:0.000:00000000", "queued": 0, "running": 0, "seconds": 0.0, "running_seconds": 0.0, "busy": {}}
ANSWERED = web.AppKey("answered", list[str])
DECISIONS = web.AppKey("decisions", dict[str, Any])


async def question(request: web.Request) -> web.Response:
    """Like the API: at once to who knows nothing yet, to others after the time they want to wait."""
    if "since" in request.query:
        await asyncio.sleep(float(request.query["wait"]))
    request.app[ANSWERED].append(request.path)
    decision = request.app[DECISIONS].get(request.path.removesuffix("/load"))
    return web.json_response({**IDLE, "decision": decision})


async def push(request: web.Request) -> web.Response:
    """Keeps the decision."""
    request.app[DECISIONS][request.path.removesuffix("/scaling")] = await request.json()
    request.app[ANSWERED].append(request.path)
    return web.Response(status=204)


async def answered(request: web.Request) -> web.Response:
    """The number of answers."""
    return web.json_response(len(request.app[ANSWERED]))


def main() -> None:
    """Serve until killed."""
    app = web.Application()
    app[ANSWERED] = []
    app[DECISIONS] = {}
    app.router.add_get("/", answered)
    app.router.add_get("/{pipeline:.*}/load", question)
    app.router.add_put("/{pipeline:.*}/scaling", push)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)


if __name__ == "__main__":
    main()
