"""One small service: HTTP, queue, configuration. Knows bundles, and nothing about how a model was made."""
