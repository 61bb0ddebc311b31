// Package zk leaves the provider of this name out of the lab's Traefik.
package zk

import "github.com/traefik/traefik/v3/pkg/provider/leftout"

// Provider refuses to start.
type Provider = leftout.Provider
