// Package leftout is the provider that stands where the lab's Traefik has none: it can be configured, and refuses to start.
package leftout

import (
	"errors"

	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/safe"
)

// Provider satisfies Traefik's provider interface.
type Provider struct{}

// SetDefaults has nothing to set.
func (*Provider) SetDefaults() {}

// Init refuses.
func (*Provider) Init() error {
	return errors.New("the lab's Traefik is built without this provider (lab/go/README.md)")
}

// Provide is never reached, since Init refuses.
func (p *Provider) Provide(chan<- dynamic.Message, *safe.Pool) error {
	return p.Init()
}
