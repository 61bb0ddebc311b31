"""`python -m bench.cluster.loads PORT`: stands in for the API pods of all pipelines; they are idle and answer the operator's long polls.

GET / says how many polls have been answered so far.
"""

import asyncio
import sys

from aiohttp import web

IDLE = {"version": "0:0:0.000:00000000", "queued": 0, "running": 0, "seconds": 0.0, "running_seconds": 0.0, "busy": {}}
ANSWERED = web.AppKey("answered", list[str])


async def poll(request: web.Request) -> web.Response:
    """Like the API: at once to who knows nothing yet, to others after the time they want to wait."""
    asked = await request.json()
    if asked["seen"]:
        await asyncio.sleep(asked["wait"])
    request.app[ANSWERED].append(request.path)
    return web.json_response(IDLE)


async def answered(request: web.Request) -> web.Response:
    """The number of answers."""
    return web.json_response(len(request.app[ANSWERED]))


def main() -> None:
    """Serve until killed."""
    app = web.Application()
    app[ANSWERED] = []
    app.router.add_post("/{pipeline:.*}", poll)
    app.router.add_get("/", answered)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)


if __name__ == "__main__":
    main()
