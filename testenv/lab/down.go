package lab

import (
	"context"
	"errors"
	"strings"
)

// Down removes every container, network and volume of the lab, and nothing else.
// Images stay. It may be called when there is no lab.
func (l *Lab) Down(ctx context.Context) error {
	// By label and not by `compose down`, which needs the file as it was, waits
	// for every container, and leaves what `compose run` or an engine that died
	// half-way made.
	var errs []error
	for _, filter := range []string{"label=com.docker.compose.project=" + Project, "label=" + LabelLab + "=" + Project} {
		errs = append(errs,
			l.removeAll(ctx, []string{"ps", "-aq", "--filter", filter}, "rm", "-f", "-v"),
			l.removeAll(ctx, []string{"network", "ls", "-q", "--filter", filter}, "network", "rm"),
			l.removeAll(ctx, []string{"volume", "ls", "-q", "--filter", filter}, "volume", "rm", "-f"))
	}
	return errors.Join(errs...)
}

func (l *Lab) removeAll(ctx context.Context, list []string, remove ...string) error {
	out, err := l.docker(ctx, list...)
	ids := strings.Fields(out)
	if err != nil || len(ids) == 0 {
		return err
	}
	if _, err = l.docker(ctx, append(remove, ids...)...); err == nil {
		return nil
	}
	// Something was removed by itself meanwhile, or was still being made.
	out, lerr := l.docker(ctx, list...)
	ids = strings.Fields(out)
	if lerr != nil || len(ids) == 0 {
		return lerr
	}
	_, err = l.docker(ctx, append(remove, ids...)...)
	return err
}

// Left lists what there is of a lab: containers, networks and volumes.
func (l *Lab) Left(ctx context.Context) ([]string, error) {
	var left []string
	for _, filter := range []string{"label=com.docker.compose.project=" + Project, "label=" + LabelLab + "=" + Project} {
		for _, list := range [][]string{
			{"ps", "-a", "--format", "container {{.Names}}"}, {"network", "ls", "--format", "network {{.Name}}"}, {"volume", "ls", "--format", "volume {{.Name}}"},
		} {
			out, err := l.docker(ctx, append(list, "--filter", filter)...)
			if err != nil {
				return nil, err
			}
			for line := range strings.Lines(out) {
				left = append(left, strings.TrimSpace(line))
			}
		}
	}
	return left, nil
}
