"""Flower with two more tabs, Overview and Monitor, with a login before everything, and with a memory that does not grow."""

import hmac
import logging
import time
from base64 import b64encode
from typing import Any

from celery import Celery
from flower.app import Flower
from flower.utils.broker import Broker
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.web import RequestHandler, url

from fibapp.flower import pages
from fibapp.flower.history import PERIOD_SECONDS, Depth, History, Row, silent
from fibapp.flower.listener import Listener

logger = logging.getLogger(__name__)


class Dashboard(Flower):  # type: ignore[misc]
    """The application. `settings` are Tornado's, as Flower makes them."""

    def __init__(self, *, capp: Celery, options: Any, **settings: Any) -> None:
        loop = IOLoop.current()
        self.history = History(time.time())
        self.depth: Depth | None = None
        """The queue as last seen; None when the broker does not tell."""
        listener = Listener(
            capp,
            self.history.observe,
            io_loop=loop,
            enable_events=options.enable_events,
            max_workers_in_memory=options.max_workers,
            max_tasks_in_memory=options.max_tasks,
        )
        settings.update(template_loader=pages.Templates(settings["template_path"]), compress_response=True)
        super().__init__(options=options, capp=capp, events=listener, io_loop=loop, **settings)
        prefix = f"/{options.url_prefix}"
        # They come before Flower's own.
        self.add_handlers(".*", [url(prefix + pattern, handler, given, name) for pattern, name, handler, given in pages.ROUTES])
        self._sampler = PeriodicCallback(self._sample, PERIOD_SECONDS * 1000)

    def start(self) -> None:
        """Serve until the process ends."""
        self._sampler.start()
        super().start()

    def get_handler_delegate(self, request: HTTPServerRequest, target_class: type[RequestHandler], *rest: Any, **more: Any) -> Any:
        """Tornado asks this for each request: without the login there is nothing but the health check and the way to the login."""
        if not issubclass(target_class, pages.OPEN) and not self._knows(request):
            return super().get_handler_delegate(request, pages.Refusal)
        return super().get_handler_delegate(request, target_class, *rest, **more)

    def _knows(self, request: HTTPServerRequest) -> bool:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        known = [b64encode(login.encode()) for login in self.options.basic_auth]
        return scheme.lower() == "basic" and any(hmac.compare_digest(given.strip().encode(), login) for login in known)

    def rows(self) -> list[Row]:
        """The workers as they are now."""
        state = self.events.state
        return self.history.rows(list(state.workers.values()), state.counter, time.time())

    async def _sample(self) -> None:
        try:
            self._forget()
            self.depth = await self._look_at_queue()
            self.history.sample(time.time(), self.rows(), self.depth, listening=self.events.since is not None)
        except Exception:
            logger.exception("no sample this time")

    async def _look_at_queue(self) -> Depth | None:
        if not self.options.broker_api or self.events.since is None:
            return None
        broker = Broker(
            self.broker_uri_with_password,
            http_api=self.options.broker_api,
            broker_options=self.capp.conf.broker_transport_options,
            broker_use_ssl=self.capp.conf.broker_use_ssl,
        )
        queues = await broker.queues({queue.name for queue in self.capp.conf.task_queues})
        # A queue just made has no figures yet.
        known = [queue for queue in queues if "messages_ready" in queue]
        if not known:
            return None
        return Depth(sum(queue["messages_ready"] for queue in known), sum(queue["messages_unacknowledged"] for queue in known))

    def _forget(self) -> None:
        """Drop workers that are gone, wherever Flower keeps them; their metrics it would drop only when somebody reads the metrics."""
        state = self.events.state
        kept = (state.counter, state.workers, state.tasks_by_worker, self.workers)
        names = {name for known in kept for name in known}
        gone = silent(names, state.workers, self.events.since, self.options.purge_offline_workers, time.time())
        if gone:
            self.purge_offline_worker_metrics()
        for known in kept:
            for name in gone & known.keys():
                del known[name]
