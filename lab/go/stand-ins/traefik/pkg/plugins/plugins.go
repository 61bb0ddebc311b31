// Package plugins leaves plugins, with their interpreter and their WebAssembly runtime, out of the lab's Traefik.
package plugins

import (
	"context"
	"errors"
	"net/http"

	"github.com/traefik/traefik/v3/pkg/provider/leftout"
)

var errLeftOut = errors.New("the lab's Traefik is built without plugins (lab/go/README.md)")

// Constructor makes a plugin's handler.
type Constructor func(context.Context, http.Handler) (http.Handler, error)

// Descriptor is a configured plugin.
type Descriptor struct{}

// LocalDescriptor is a configured plugin of the local disk.
type LocalDescriptor struct{}

// RegistryDownloaderOptions are the options of a downloader.
type RegistryDownloaderOptions struct {
	HTTPClient   *http.Client
	ArchivesPath string
}

// Downloader would fetch plugins.
type Downloader struct{}

// NewRegistryDownloader refuses.
func NewRegistryDownloader(RegistryDownloaderOptions) (*Downloader, error) {
	return nil, errLeftOut
}

// ManagerOptions are the options of a manager.
type ManagerOptions struct {
	Output string
}

// Manager would keep downloaded plugins.
type Manager struct{}

// NewManager refuses.
func NewManager(*Downloader, ManagerOptions) (*Manager, error) {
	return nil, errLeftOut
}

// SetupRemotePlugins refuses.
func SetupRemotePlugins(*Manager, map[string]Descriptor) error {
	return errLeftOut
}

// SetupLocalPlugins refuses.
func SetupLocalPlugins(map[string]LocalDescriptor) error {
	return errLeftOut
}

// Builder builds no plugin.
type Builder struct{}

// NewBuilder returns the builder that a Traefik without configured plugins has.
func NewBuilder(*Manager, map[string]Descriptor, map[string]LocalDescriptor) (*Builder, error) {
	return &Builder{}, nil
}

// Build refuses.
func (*Builder) Build(string, map[string]any, string) (Constructor, error) {
	return nil, errLeftOut
}

// BuildProvider refuses.
func (*Builder) BuildProvider(string, map[string]any) (*leftout.Provider, error) {
	return nil, errLeftOut
}
