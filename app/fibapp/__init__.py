"""The application of a FibPipeline: API, page, outbox relay, schema and Flower's set-up."""

__version__ = "0.1.0"
