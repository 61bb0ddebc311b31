"""The FibPipeline controller: watches FibPipelines and keeps their children as the spec says."""
