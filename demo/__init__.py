"""`make demo`: from nothing to a Ready pipeline in a cluster, told step by step."""
