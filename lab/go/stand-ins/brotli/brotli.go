// Package brotli leaves the brotli encoder, whose tables are expensive to compile, out of the lab's Traefik: gzip and zstd are left.
package brotli

import (
	"errors"
	"io"
)

var errLeftOut = errors.New("the lab's Traefik is built without brotli (lab/go/README.md)")

// Writer refuses to write.
type Writer struct{}

// NewWriter returns a writer that refuses.
func NewWriter(io.Writer) *Writer { return &Writer{} }

// Write refuses.
func (*Writer) Write([]byte) (int, error) { return 0, errLeftOut }

// Flush has nothing to flush.
func (*Writer) Flush() error { return nil }

// Reset has nothing to reset.
func (*Writer) Reset(io.Writer) {}

// Close has nothing to close.
func (*Writer) Close() error { return nil }
