package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// engine speaks to a container engine over its unix socket. Not pgctl.Engine:
// that knows the one container of a service and only verbs that the product may
// use, while a power switch kills whatever is there.
type engine struct {
	client *http.Client
}

func newEngine(socket string) engine {
	return engine{&http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}}
}

// policy is a restart policy in the engine's words.
type policy struct {
	Name              string
	MaximumRetryCount int
}

// automatic is true when the engine may start the container by itself.
func (p policy) automatic() bool { return p.Name != "" && p.Name != "no" }

// container is one container of a compose project.
type container struct {
	id, name, service string
	running           bool // or paused, or between two starts
	policy            policy
}

// list gives every container of the project, those that do not run included.
func (e engine) list(ctx context.Context, project string) ([]container, error) {
	filters, err := json.Marshal(map[string][]string{"label": {"com.docker.compose.project=" + project}})
	if err != nil {
		return nil, err
	}
	var listed []struct {
		ID     string `json:"Id"`
		Labels map[string]string
	}
	err = e.call(ctx, http.MethodGet, "/containers/json?all=1&"+url.Values{"filters": {string(filters)}}.Encode(), nil, &listed)
	if err != nil {
		return nil, err
	}
	var all []container
	for _, l := range listed {
		c, err := e.inspect(ctx, l.ID)
		if isStatus(err, http.StatusNotFound) {
			continue // removed since it was listed
		}
		if err != nil {
			return nil, err
		}
		c.service = l.Labels["com.docker.compose.service"]
		all = append(all, c)
	}
	return all, nil
}

func (e engine) inspect(ctx context.Context, id string) (container, error) {
	var said struct {
		Name       string
		State      struct{ Running, Paused, Restarting bool }
		HostConfig struct{ RestartPolicy policy }
	}
	if err := e.call(ctx, http.MethodGet, "/containers/"+id+"/json", nil, &said); err != nil {
		return container{}, err
	}
	s := said.State
	return container{id: id, name: said.Name, running: s.Running || s.Paused || s.Restarting, policy: said.HostConfig.RestartPolicy}, nil
}

// keep sets a restart policy.
func (e engine) keep(ctx context.Context, id string, p policy) error {
	return ignore(e.call(ctx, http.MethodPost, "/containers/"+id+"/update", map[string]policy{"RestartPolicy": p}, nil), http.StatusNotFound)
}

// kill sends SIGKILL to the first process of a container, and cancels a start
// that the engine is waiting to make. One that does not run is killed.
func (e engine) kill(ctx context.Context, id string) error {
	return ignore(e.call(ctx, http.MethodPost, "/containers/"+id+"/kill?signal=SIGKILL", nil, nil), http.StatusNotFound, http.StatusConflict)
}

func (e engine) start(ctx context.Context, id string) error {
	return e.call(ctx, http.MethodPost, "/containers/"+id+"/start", nil, nil)
}

// statusError is the engine's refusal of a call.
type statusError struct {
	status int
	text   string
}

// Error implements error.
func (e *statusError) Error() string {
	return fmt.Sprintf("container engine answers %d: %s", e.status, e.text)
}

func isStatus(err error, status int) bool {
	var said *statusError
	return errors.As(err, &said) && said.status == status
}

func ignore(err error, statuses ...int) error {
	for _, status := range statuses {
		if isStatus(err, status) {
			return nil
		}
	}
	return err
}

func (e engine) call(ctx context.Context, method, path string, body, answer any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://engine"+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := e.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask container engine: %w", err)
	}
	defer res.Body.Close()
	said, err := io.ReadAll(io.LimitReader(res.Body, 8<<20))
	if err != nil {
		return fmt.Errorf("read answer of container engine: %w", err)
	}
	if res.StatusCode >= 400 {
		return &statusError{res.StatusCode, string(bytes.TrimSpace(said[:min(len(said), 500)]))}
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(said, answer); err != nil {
		return fmt.Errorf("read answer of container engine: %w", err)
	}
	return nil
}
