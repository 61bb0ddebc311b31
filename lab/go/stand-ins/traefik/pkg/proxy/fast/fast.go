// Package fast leaves Traefik's experimental second proxy, and with it a second HTTP library, out of the lab's Traefik.
package fast

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"

	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/config/static"
)

var errLeftOut = errors.New("the lab's Traefik is built without experimental.fastProxy (lab/go/README.md)")

// TransportManager is where the proxy would get its transports.
type TransportManager interface {
	Get(name string) (*dynamic.ServersTransport, error)
	GetTLSConfig(name string) (*tls.Config, error)
}

// ProxyBuilder builds nothing.
type ProxyBuilder struct{}

// NewProxyBuilder returns a builder whose proxies are refused.
func NewProxyBuilder(TransportManager, static.FastProxyConfig) *ProxyBuilder { return &ProxyBuilder{} }

// Update has nothing to update.
func (*ProxyBuilder) Update(map[string]*dynamic.ServersTransport) {}

// Build refuses.
func (*ProxyBuilder) Build(string, *url.URL, bool, bool) (http.Handler, error) {
	return nil, errLeftOut
}
