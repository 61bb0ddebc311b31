// Package write holds the points that Traefik would write.
package write

// Point is one measurement.
type Point struct{}
