// Package nomad leaves the providers of this name out of the lab's Traefik.
package nomad

import "github.com/traefik/traefik/v3/pkg/provider/leftout"

// ProviderBuilder builds one provider, which refuses to start.
type ProviderBuilder struct{}

// BuildProviders returns the one provider.
func (*ProviderBuilder) BuildProviders() []*leftout.Provider {
	return []*leftout.Provider{{}}
}
