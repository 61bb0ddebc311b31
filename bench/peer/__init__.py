"""The peer: a Flask and Celery application as tutorials write it.

Early ack, `.delay()` after the commit inside the request, a prefork pool, and for each task a database object of its own with its
connection and its check of the schema. The web process keeps a pooled connection. It computes the same numbers.
"""
