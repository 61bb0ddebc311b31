"""`python -m bench.floors.publish URL COUNT`: publish Celery-like messages to a quorum queue, 500 confirms at a time; prints the rate."""

import json
import sys
import time
from urllib.parse import urlsplit
from uuid import uuid4

import amqp

QUEUE = "lean"
WINDOW = 500


def connect(url: str) -> amqp.Connection:
    """An open connection to the broker at an amqp:// URL."""
    at = urlsplit(url)
    connection = amqp.Connection(f"{at.hostname}:{at.port}", userid=at.username, password=at.password, virtual_host=at.path[1:])
    connection.connect()
    return connection


def declare(channel: amqp.Channel) -> None:
    """Make sure of the quorum queue."""
    channel.queue_declare(QUEUE, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})


def main() -> None:
    """Publish and print messages per second."""
    connection = connect(sys.argv[1])
    channel = connection.channel()
    declare(channel)
    channel.confirm_select()
    waiting: set[int] = set()

    def on_ack(tag: int, multiple: bool) -> None:
        waiting.difference_update([known for known in waiting if known <= tag] if multiple else [tag])

    channel.events["basic_ack"].add(on_ack)
    count = int(sys.argv[2])
    begun = time.perf_counter()
    for number in range(1, count + 1):
        waiting.add(number)
        channel.basic_publish(_message(), routing_key=QUEUE, mandatory=True)
        if number % WINDOW == 0 or number == count:
            while waiting:
                connection.drain_events(timeout=10)
    print(count / (time.perf_counter() - begun))


def _message() -> amqp.Message:
    """The size and shape of a Celery message."""
    job = str(uuid4())
    headers = {"lang": "py", "task": "fib_job", "id": job, "root_id": job, "argsrepr": "[5]", "kwargsrepr": "{'algorithm': 'recursive'}"}
    body = json.dumps([[5], {"algorithm": "recursive"}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    return amqp.Message(body, content_type="application/json", delivery_mode=2, message_id=job, application_headers=headers)


if __name__ == "__main__":
    main()
