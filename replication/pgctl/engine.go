package pgctl

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
	"regexp"
	"slices"
	"strings"
	"time"
)

// The verbs on containers. None waits for the server: what they did is read
// back from the engine and from /proc.
const (
	ContainerShow  Verb = "container-show"  // the ContainerState, as JSON
	ContainerStart Verb = "container-start" // start; nothing when it runs
	ContainerFast  Verb = "container-fast"  // restart policy off, then SIGINT: PostgreSQL's fast stop
	ContainerQuit  Verb = "container-quit"  // restart policy off, then SIGQUIT: its immediate one
	ContainerStop  Verb = "container-stop"  // restart policy off, then the engine's own stop; waits for it
	// The restart policies that a start puts back.
	ContainerKeepNo            Verb = "container-keep-no"
	ContainerKeepOnFailure     Verb = "container-keep-on-failure"
	ContainerKeepUnlessStopped Verb = "container-keep-unless-stopped"
	ContainerKeepAlways        Verb = "container-keep-always"
)

var containerVerbs = []Verb{ContainerShow, ContainerStart, ContainerFast, ContainerQuit, ContainerStop,
	ContainerKeepNo, ContainerKeepOnFailure, ContainerKeepUnlessStopped, ContainerKeepAlways}

// KeepVerb gives the verb that sets a restart policy, one of RestartPolicies.
func KeepVerb(policy string) Verb { return Verb(keepPrefix + policy) }

// containerPrefix begins the verbs on containers.
const containerPrefix = "container-"

// keepPrefix and a restart policy make the verb that sets it.
const keepPrefix = "container-keep-"

// RestartPolicies are the engine's words for when it starts a container by itself.
var RestartPolicies = []string{"no", "on-failure", "unless-stopped", "always"}

// containerName is PROJECT/SERVICE, as docker compose knows them: the container
// itself gets a new id and maybe a new name whenever compose makes it anew.
var containerName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*/[A-Za-z0-9][A-Za-z0-9._-]*$`)

// ValidContainer says whether a name is PROJECT/SERVICE.
func ValidContainer(name string) bool { return containerName.MatchString(name) }

// Engine speaks to a container engine over its unix socket (Docker Engine API,
// https://docs.docker.com/reference/api/engine/), without a version in the path:
// the calls made here are the same in every version that is in use. Over the API
// and not through the program, because Debian's program comes only with the whole
// engine, ten times the size of the container that this must run in.
type Engine struct {
	Socket string // such as /var/run/docker.sock
}

// ContainerState is what the engine says of one container of a service.
type ContainerState struct {
	ID      string  `json:"id"`
	Name    string  `json:"name"`
	Status  string  `json:"status"` // created, running, paused, restarting, removing, exited, dead
	PID     int     `json:"pid"`    // of its first process, on the host
	Exit    int     `json:"exit_code"`
	Restart string  `json:"restart_policy"`
	Mounts  []Mount `json:"mounts,omitempty"`
}

// Mount is a folder of the host, or a volume, in a container.
type Mount struct {
	Source      string `json:"source"`      // on the host
	Destination string `json:"destination"` // in the container
	// Beside names other running containers that have it too and do not carry
	// LabelBeside: where it holds a data directory, any of them may be a second
	// server on the same data.
	Beside []string `json:"beside,omitempty"`
}

// LabelBeside marks a container that shares the volume of the data directory on
// purpose and runs no PostgreSQL: the watchdog's own.
const LabelBeside = "org.pg-watchdog.beside"

// Do implements Privileged for the verbs on containers. Errors: ErrRefused for a
// verb or name that it does not know, ErrNoContainer when compose has made none.
func (e Engine) Do(ctx context.Context, verb Verb, name string) (string, error) {
	if !containerName.MatchString(name) {
		return "", fmt.Errorf("%w: container name %q, want PROJECT/SERVICE", ErrRefused, name)
	}
	if !slices.Contains(containerVerbs, verb) {
		return "", fmt.Errorf("%w: verb %q", ErrRefused, verb)
	}
	id, err := e.find(ctx, name)
	if err != nil {
		return "", err
	}
	switch verb {
	case ContainerShow:
		return e.show(ctx, id)
	case ContainerStart:
		return "", e.post(ctx, "/containers/"+id+"/start", nil)
	case ContainerFast:
		return "", e.end(ctx, id, "/kill?signal=SIGINT")
	case ContainerQuit:
		return "", e.end(ctx, id, "/kill?signal=SIGQUIT")
	case ContainerStop:
		return "", e.end(ctx, id, "/stop")
	}
	return "", e.keep(ctx, id, strings.TrimPrefix(string(verb), keepPrefix))
}

// end switches automatic restarts off before the end comes: the other way round
// the engine could start the container again in between.
func (e Engine) end(ctx context.Context, id, how string) error {
	if err := e.keep(ctx, id, "no"); err != nil {
		return err
	}
	err := e.post(ctx, "/containers/"+id+how, nil)
	var said *engineError
	if errors.As(err, &said) && said.status == http.StatusConflict {
		return nil // it does not run
	}
	return err
}

func (e Engine) keep(ctx context.Context, id, policy string) error {
	return e.post(ctx, "/containers/"+id+"/update", map[string]any{"RestartPolicy": map[string]any{"Name": policy}})
}

// listed is one entry of the engine's list of containers.
type listed struct {
	ID     string            `json:"Id"` //nolint:tagliatelle // the engine's spelling
	Names  []string          `json:"Names"`
	Labels map[string]string `json:"Labels"`
	Mounts []engineMount     `json:"Mounts"`
}

// engineMount is a mount in the engine's own words.
type engineMount struct{ Source, Destination string }

// find gives the one container of a compose service; those of `compose run` are
// not it.
func (e Engine) find(ctx context.Context, name string) (string, error) {
	project, service, _ := strings.Cut(name, "/")
	all, err := e.list(ctx, true, "com.docker.compose.project="+project, "com.docker.compose.service="+service, "com.docker.compose.oneoff=False")
	switch {
	case err != nil:
		return "", err
	case len(all) == 0:
		return "", fmt.Errorf("find container of %s: %w; compare with docker ps -a --filter label=com.docker.compose.project=%s", name, ErrNoContainer, project)
	case len(all) > 1:
		return "", fmt.Errorf("find container of %s: there are %d, want one; scale the service back", name, len(all))
	}
	return all[0].ID, nil
}

// list lists containers that carry every label; stopped ones too if all is set.
func (e Engine) list(ctx context.Context, all bool, labels ...string) ([]listed, error) {
	filters, err := json.Marshal(map[string][]string{"label": labels})
	if err != nil {
		return nil, err
	}
	var out []listed
	query := url.Values{"filters": {string(filters)}}
	if all {
		query.Set("all", "1")
	}
	return out, e.call(ctx, http.MethodGet, "/containers/json?"+query.Encode(), nil, &out)
}

// inspected is what is read of the engine's description of a container.
type inspected struct {
	ID    string `json:"Id"` //nolint:tagliatelle // the engine's spelling
	Name  string
	State struct {
		Status        string
		Pid, ExitCode int
	}
	HostConfig struct{ RestartPolicy struct{ Name string } }
	Mounts     []engineMount
}

func (e Engine) show(ctx context.Context, id string) (string, error) {
	var c inspected
	if err := e.call(ctx, http.MethodGet, "/containers/"+id+"/json", nil, &c); err != nil {
		return "", err
	}
	s := ContainerState{ID: c.ID, Name: strings.TrimPrefix(c.Name, "/"), Status: c.State.Status, PID: c.State.Pid, Exit: c.State.ExitCode,
		Restart: c.HostConfig.RestartPolicy.Name}
	running, err := e.list(ctx, false)
	if err != nil {
		return "", err
	}
	for _, m := range c.Mounts {
		s.Mounts = append(s.Mounts, Mount{Source: m.Source, Destination: m.Destination, Beside: beside(running, c.ID, m.Source)})
	}
	b, err := json.Marshal(s)
	return string(b), err
}

// beside names the running containers, other than one, that have a folder of the
// host, or one above or below it.
func beside(running []listed, id, source string) []string {
	var names []string
	for _, c := range running {
		shares := func(m engineMount) bool { return within(m.Source, source) || within(source, m.Source) }
		if c.ID != id && c.Labels[LabelBeside] != "true" && slices.ContainsFunc(c.Mounts, shares) {
			names = append(names, strings.TrimPrefix(strings.Join(c.Names, ","), "/"))
		}
	}
	return names
}

// within says whether path is folder, or lies in it.
func within(path, folder string) bool {
	return folder != "" && (path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/"))
}

func (e Engine) post(ctx context.Context, path string, body any) error {
	return e.call(ctx, http.MethodPost, path, body, nil)
}

// engineError is the engine's refusal of a call.
type engineError struct {
	status int
	text   string
}

// Error implements error.
func (e *engineError) Error() string { return fmt.Sprintf("engine says %d: %s", e.status, e.text) }

// engineAnswerLimit bounds an answer: the list of a busy host has a few hundred
// containers of a few KiB each.
const engineAnswerLimit = 8 << 20

func (e Engine) call(ctx context.Context, method, path string, body, answer any) error {
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
	t := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", e.Socket)
	}}
	defer t.CloseIdleConnections()
	resp, err := t.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("ask container engine on %s: %w", e.Socket, causeOf(ctx, err))
	}
	defer resp.Body.Close() //nolint:errcheck // nothing was written
	b, err := io.ReadAll(io.LimitReader(resp.Body, engineAnswerLimit))
	switch {
	case err != nil:
		return fmt.Errorf("read answer of container engine: %w", causeOf(ctx, err))
	case resp.StatusCode >= 400:
		return &engineError{resp.StatusCode, engineText(b)}
	case answer == nil:
		return nil
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return fmt.Errorf("read answer of container engine: %w", err)
	}
	return nil
}

// engineText is the engine's own message, bounded.
func engineText(b []byte) string {
	var said struct {
		Message string `json:"message"`
	}
	if err := json.Unmarshal(b, &said); err != nil || said.Message == "" {
		said.Message = string(b)
	}
	return strings.TrimSpace(said.Message[:min(len(said.Message), tailBytes)])
}
