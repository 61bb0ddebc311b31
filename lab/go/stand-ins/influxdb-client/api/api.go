// Package api is the interface by which Traefik would write.
package api

import (
	"context"

	"github.com/influxdata/influxdb-client-go/v2/api/write"
)

// WriteAPIBlocking writes points.
type WriteAPIBlocking interface {
	WritePoint(ctx context.Context, point ...*write.Point) error
}
