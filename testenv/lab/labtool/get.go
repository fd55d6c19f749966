package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// runGet is the health check of images that hold no other program.
func runGet(ctx context.Context, c call) error {
	if err := c.parse(1); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.flags.Arg(0), nil)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	// A redirect is not the answer that was asked for.
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	text := strings.TrimSpace(string(body))
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("answer is %s: %s", res.Status, text)
	}
	fmt.Fprintln(c.out, text)
	return nil
}
