"""Real RabbitMQ and PostgreSQL as plain processes on loopback, from the very root file systems and entry scripts of the lab's images.

No cluster, no docker; root is needed for the namespaces. Instances run side by side, each with its own ports and data:

    with RabbitMQ() as broker, PostgreSQL() as database:
        connect(broker.url, database.url)
        broker.kill(); broker.start()        # a crash and a restart, the data is kept
        broker.freeze(); broker.thaw()       # silence without a closed connection
        broker.stop(); broker.wipe(); broker.start()

Every process of an instance is in a PID namespace of its own and dies with the Python process that started it.
"""

from lab.services.base import Service, free_port
from lab.services.postgresql import PostgreSQL
from lab.services.rabbitmq import RabbitMQ

__all__ = ["PostgreSQL", "RabbitMQ", "Service", "free_port"]
