"""The worker of a FibPipeline: a supervisor, and processes that take jobs from the queue."""
