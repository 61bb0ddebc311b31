"""The operator's own metrics, in Prometheus format."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()
PASSES = Counter("fibpipeline_reconcile_total", "Passes, by outcome.", ["outcome"], registry=REGISTRY)
DURATION = Histogram("fibpipeline_reconcile_seconds", "Seconds that one pass took.", registry=REGISTRY)
POLLS = Counter("fibpipeline_load_polls_total", "Requests for the load of pipelines, by outcome.", ["outcome"], registry=REGISTRY)
WRITES = Counter("fibpipeline_writes_total", "Writes to the API server, by kind.", ["kind"], registry=REGISTRY)
QUEUE_LENGTH = Gauge("fibpipeline_queue_length", "Pipelines that wait for a pass.", registry=REGISTRY)
QUEUE_AGE = Gauge("fibpipeline_queue_oldest_seconds", "Seconds that the oldest of them has waited.", registry=REGISTRY)
PIPELINES = Gauge("fibpipeline_pipelines", "FibPipelines that the operator knows.", registry=REGISTRY)
