package main

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"
)

// redfish is a sham baseboard controller: as much of the Redfish specification
// (DSP0266, https://www.dmtf.org/standards/redfish) as fence_redfish asks for.
type redfish struct {
	supply         *supply
	user, password string
	log            io.Writer
}

const (
	redfishRoot    = "/redfish/v1"
	redfishSystems = redfishRoot + "/Systems"
	// resetLimit bounds one change of power. The agents poll for longer.
	resetLimit = 20 * time.Second
)

type link struct {
	ID string `json:"@odata.id"`
}

// handler serves the root to anybody, as the specification wants, which also
// suits a health check.
func (f *redfish) handler() http.Handler {
	mux := http.NewServeMux()
	root := func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"@odata.id": redfishRoot, "Id": "RootService", "RedfishVersion": "1.6.0", "Systems": link{redfishSystems}})
	}
	mux.HandleFunc("GET "+redfishRoot, root)
	mux.HandleFunc("GET "+redfishRoot+"/{$}", root)
	mux.HandleFunc("GET /redfish", func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]any{"v1": redfishRoot + "/"}) })
	mux.HandleFunc("GET "+redfishSystems, f.known(f.systems))
	mux.HandleFunc("GET "+redfishSystems+"/{host}", f.known(f.system))
	mux.HandleFunc("POST "+redfishSystems+"/{host}/Actions/ComputerSystem.Reset", f.known(f.reset))
	mux.HandleFunc("POST /lab/lie", f.known(f.lie))
	return mux
}

// known asks for name and password.
func (f *redfish) known(then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if subtle.ConstantTimeCompare([]byte(user), []byte(f.user))&subtle.ConstantTimeCompare([]byte(password), []byte(f.password)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="power"`)
			refuse(w, http.StatusUnauthorized, "name or password is wrong")
			return
		}
		then(w, r)
	}
}

func (f *redfish) systems(w http.ResponseWriter, _ *http.Request) {
	members := []link{}
	for _, host := range slices.Sorted(maps.Keys(f.supply.hosts)) {
		members = append(members, link{redfishSystems + "/" + host})
	}
	answer(w, map[string]any{"@odata.id": redfishSystems, "Members": members, "Members@odata.count": len(members)})
}

// host gives the host of a request, or answers that there is none.
func (f *redfish) host(w http.ResponseWriter, name string) bool {
	if _, ok := f.supply.hosts[name]; !ok {
		refuse(w, http.StatusNotFound, fmt.Sprintf("no host %q", name))
		return false
	}
	return true
}

func (f *redfish) system(w http.ResponseWriter, r *http.Request) {
	host := r.PathValue("host")
	if !f.host(w, host) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), resetLimit)
	defer cancel()
	on, err := f.supply.on(ctx, host)
	if err != nil {
		// No PowerState at all: an agent must not read one that nobody knows.
		refuse(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	state := map[bool]string{true: "On", false: "Off"}[on]
	answer(w, map[string]any{
		"@odata.id": redfishSystems + "/" + host, "Id": host, "Name": host, "PowerState": state,
		"Actions": map[string]any{"#ComputerSystem.Reset": map[string]any{
			"target":                            redfishSystems + "/" + host + "/Actions/ComputerSystem.Reset",
			"ResetType@Redfish.AllowableValues": []string{"On", "ForceOff", "ForceRestart"},
		}},
	})
}

func (f *redfish) reset(w http.ResponseWriter, r *http.Request) {
	host := r.PathValue("host")
	var asked struct{ ResetType string }
	if !f.host(w, host) || !read(w, r, &asked) {
		return
	}
	// Not bound to the request: a controller goes on when its client hangs up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), resetLimit)
	defer cancel()
	var err error
	switch asked.ResetType {
	case "ForceOff":
		err = f.supply.cut(ctx, host)
	case "On":
		err = f.supply.restore(ctx, host)
	case "ForceRestart":
		if err = f.supply.cut(ctx, host); err == nil {
			err = f.supply.restore(ctx, host)
		}
	default:
		refuse(w, http.StatusBadRequest, fmt.Sprintf("ResetType %q", asked.ResetType))
		return
	}
	fmt.Fprintf(f.log, "%s of %s asked by %s: lying %t, error %v\n", asked.ResetType, host, r.RemoteAddr, f.supply.lies(host), err)
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (f *redfish) lie(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Host string `json:"host"`
		Lie  bool   `json:"lie"`
	}
	if !read(w, r, &asked) || !f.host(w, asked.Host) {
		return
	}
	f.supply.lie(asked.Host, asked.Lie)
	w.WriteHeader(http.StatusNoContent)
}

func read(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(into); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return false
	}
	return true
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("OData-Version", "4.0")
	_ = json.NewEncoder(w).Encode(body) // the client has gone away
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"code": "Base.1.0.GeneralError", "message": text}})
}
