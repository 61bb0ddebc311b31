// Package version leaves the look for newer releases, and with it a client of GitHub, out of the lab's Traefik.
package version

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/gorilla/mux"
)

// What Traefik says of itself.
var (
	Version            = "dev"
	Codename           = "lab"
	BuildDate          = ""
	StartDate          = time.Now()
	DisableDashboardAd = true
)

// Handler tells the version.
type Handler struct{}

// Append adds the route of the version.
func (Handler) Append(router *mux.Router) {
	router.Methods(http.MethodGet).Path("/api/version").HandlerFunc(func(response http.ResponseWriter, _ *http.Request) {
		response.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(response).Encode(map[string]any{"Version": Version, "Codename": Codename, "startDate": StartDate})
	})
}

// CheckNewVersion asks nobody.
func CheckNewVersion() {}
