package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// Extras are the parts of a site that are neither server nor service: the toy
// application and the mail box.
type Extras struct {
	App  *App
	Mail *MailSink
}

// extrasFile tells where the extras of a detached site listen.
const extrasFile = "extras.json"

// NewExtras makes both, listening, for the pair in dir.
func NewExtras(ctx context.Context, p *Pair, mail MailOptions) (*Extras, error) {
	if mail.Dir == "" {
		mail.Dir = filepath.Join(p.Dir, "mail")
	}
	if outside := p.network.Outside; outside != "" {
		mail.Listen, mail.Names = net.JoinHostPort(outside, "0"), []string{outside}
	}
	mail.User, mail.Password = smtpUser, smtpPassword
	sink, err := NewMailSink(ctx, mail)
	if err != nil {
		return nil, err
	}
	app, err := NewApp(ctx, AppOptions{Listen: mail.Listen, DSN: MultiDSN("postgres", true, p.Servers[0], p.Servers[1])})
	if err != nil {
		return nil, err
	}
	if err := p.owner.WriteFile(filepath.Join(p.Dir, "mail-ca.pem"), sink.CertPEM()); err != nil {
		return nil, fmt.Errorf("write certificate of the mail server: %w", err)
	}
	data, err := json.Marshal(map[string]string{"smtp": sink.Addr(), "app_url": app.URL()})
	if err != nil {
		return nil, fmt.Errorf("encode addresses: %w", err)
	}
	return &Extras{App: app, Mail: sink}, p.owner.WriteFile(filepath.Join(p.Dir, extrasFile), data)
}

// Run serves both until the context ends.
func (e *Extras) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make(chan error, 2)
	wg.Go(func() { errs <- e.App.Run(ctx) })
	wg.Go(func() { errs <- e.Mail.Run(ctx) })
	wg.Wait()
	return errors.Join(<-errs, <-errs)
}

// startExtras serves the extras: in this process, or in one of their own when
// the site is detached.
func (s *Site) startExtras(ctx context.Context) error {
	if s.options.Pair.Detached {
		return s.detachExtras(ctx)
	}
	e, err := NewExtras(ctx, s.Pair, s.options.Mail)
	if err != nil {
		return err
	}
	s.extras, s.SMTP, s.AppURL = e, e.Mail.Addr(), e.App.URL()
	run, stop := context.WithCancel(context.Background())
	s.stop, s.ended = stop, make(chan error, 1)
	go func() { s.ended <- e.Run(run) }()
	return nil
}

func (s *Site) detachExtras(ctx context.Context) error {
	cmd := s.Pair.owner.Command(context.Background(), s.Binary, "demo", "serve", "--dir", s.Dir)
	p, err := launch(cmd, true, nil)
	if err != nil {
		return fmt.Errorf("start application and mail box: %w", err)
	}
	s.ExtrasPid = cmd.Process.Pid
	var at map[string]string
	if err := s.await(ctx, "application and mail box listen", func() (bool, string) {
		data, err := os.ReadFile(filepath.Join(s.Dir, extrasFile))
		if err == nil {
			err = json.Unmarshal(data, &at)
		}
		return err == nil, fmt.Sprint(err)
	}); err != nil {
		return errors.Join(err, s.end(s.ExtrasPid, p, syscall.SIGKILL))
	}
	s.SMTP, s.AppURL = at["smtp"], at["app_url"]
	return nil
}

func (s *Site) stopExtras() error {
	if s.stop != nil {
		s.stop()
		return <-s.ended
	}
	if s.ExtrasPid != 0 && s.isOurs(s.ExtrasPid, "serve") {
		return s.end(s.ExtrasPid, nil, syscall.SIGTERM)
	}
	return nil
}
