"""`python -m bench.floors.consume URL`: take messages by py-amqp, read them, add up F(n), ack each; prints count, begin and end as JSON."""

import json
import sys
import time

from bench.floors.publish import QUEUE, connect, declare

PREFETCH = 200
IDLE_SECONDS = 2.0


def main() -> None:
    """Consume until nothing comes any more."""
    connection = connect(sys.argv[1])
    channel = connection.channel()
    declare(channel)
    seen: list[float] = []

    def on_message(message: object) -> None:
        (n,), _, _ = json.loads(message.body)  # type: ignore[attr-defined]
        _fibonacci(n)
        channel.basic_ack(message.delivery_tag)  # type: ignore[attr-defined]
        seen.append(time.monotonic())

    channel.basic_qos(0, PREFETCH, False)
    channel.basic_consume(QUEUE, callback=on_message)
    try:
        while True:
            connection.drain_events(timeout=IDLE_SECONDS if seen else 30)
    except TimeoutError:
        print(json.dumps({"count": len(seen), "begin": seen[0], "end": seen[-1]}))


def _fibonacci(n: int) -> int:
    return n if n < 2 else _fibonacci(n - 1) + _fibonacci(n - 2)


if __name__ == "__main__":
    main()
