// Package log holds the logger that Traefik silences.
package log

// Log is the logger.
var Log any
