"""The native CPU backend of plugrad. Importing this package loads nothing; the core loads ``backend`` on first use."""
