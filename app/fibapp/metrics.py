"""What the API counts for Prometheus."""

from prometheus_client import Counter, Histogram

REQUESTS = Counter("fib_http_requests_total", "Answered requests", ["method", "endpoint", "status"])
SECONDS = Histogram(
    "fib_http_request_seconds",
    "Time from request to answer",
    ["endpoint"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
ACCEPTED = Counter("fib_jobs_accepted_total", "Jobs committed to the database", ["algorithm"])
