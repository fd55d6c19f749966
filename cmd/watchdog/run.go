package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/watchdog"
	"github.com/gestionale-fullstack/watchdog/watchdog/config"
)

func newRun(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "run", Short: "run the service", Args: takes(),
		Long: "run is the always-on service of one node. It runs as PostgreSQL's own user. SIGTERM\nstops it, SIGHUP reads the configuration again, all or nothing.",
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runService(cmd.Context()) },
	}
}

// loadConfig reads the configuration as the service does.
func (a *app) loadConfig() (*config.Config, error) {
	path, _ := a.configPath()
	return config.LoadWith(path, config.Options{CredentialsDir: a.env("CREDENTIALS_DIRECTORY")})
}

// useOneProcessor: the service wakes some ten times a second and has little to
// do each time; with a second processor each waking also wakes a thread that
// looks for work and finds none, which costs about a tenth. GOMAXPROCS in the
// environment still decides.
func (a *app) useOneProcessor() {
	if a.env("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}

func (a *app) runService(ctx context.Context) error {
	a.useOneProcessor()
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	log, level, err := newLogger(cfg.Log, a.stderr)
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }()
	for _, w := range cfg.Warnings {
		log.Warn(w)
	}
	starter, err := a.starter(cfg)
	if err != nil {
		return err
	}
	s, err := watchdog.New(watchdog.Options{Config: cfg, Log: log, Registry: prometheus.NewRegistry(), Version: versionInfo().Version,
		Now: time.Now, Starter: starter, Failpoint: failpoint()})
	if err != nil {
		return fmt.Errorf("start service: %w", err)
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.reloads(ctx, hup, s, log, level)
	}()
	err = s.Run(ctx)
	cancel()
	<-ended
	return err
}

// reloads reads the configuration at each SIGHUP: all or nothing.
func (a *app) reloads(ctx context.Context, hup <-chan os.Signal, s *watchdog.Service, log *zap.Logger, level zap.AtomicLevel) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
		}
		cfg, err := a.loadConfig()
		if err == nil {
			err = s.Reload(cfg)
		}
		if err != nil {
			log.Error("configuration not reloaded, the old one stays", zap.Error(err))
			s.ReloadFailed(err)
			continue
		}
		if l, err := zap.ParseAtomicLevel(cfg.Log.Level); err == nil {
			level.SetLevel(l.Level())
		}
		log.Info("configuration reloaded")
	}
}

// starter is how the pg_ctl driver starts PostgreSQL: through this program's
// own boot gate.
func (a *app) starter(cfg *config.Config) ([]string, error) {
	if cfg.Self().Witness || cfg.Postgres.Driver != config.DriverPgCtl {
		return nil, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	pgctl, err := pgCtl(cfg)
	if err != nil {
		return nil, err
	}
	file, err := filepath.Abs(cfg.File)
	if err != nil {
		return nil, fmt.Errorf("find configuration file: %w", err)
	}
	argv := []string{self, "gate", "--config", file, "--exec", "--", pgctl, "start", "-w", "-t", "300", "-D", cfg.Postgres.DataDir}
	if cfg.Postgres.LogFile != "" {
		argv = append(argv, "-l", cfg.Postgres.LogFile)
	}
	return argv, nil
}
