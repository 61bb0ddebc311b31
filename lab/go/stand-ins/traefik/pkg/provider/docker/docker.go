// Package docker leaves the Docker and Swarm providers out of the lab's Traefik.
package docker

import (
	ptypes "github.com/traefik/paerser/types"
	"github.com/traefik/traefik/v3/pkg/provider/leftout"
)

// Provider refuses to start; its field is one that Traefik's static configuration reads.
type Provider struct {
	leftout.Provider

	HTTPClientTimeout ptypes.Duration
}

// SwarmProvider refuses to start; its fields are those that Traefik's static configuration reads.
type SwarmProvider struct {
	leftout.Provider

	HTTPClientTimeout ptypes.Duration
	RefreshSeconds    ptypes.Duration
}
