package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	// readyMax is how long k6 may take to make its users.
	readyMax   = 10 * time.Minute
	readyEvery = 200 * time.Millisecond

	// statusPausedBeforeRun is what k6's REST API says when all users are made.
	statusPausedBeforeRun = 4
)

// freeAddress returns a loopback address that nobody listens on.
func freeAddress(ctx context.Context) (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a port for k6: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// resume waits until each process has made its users, and then starts them all
// at once, so that their ramps are one.
func (ps *processes) resume(ctx context.Context, starting func()) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyMax, fmt.Errorf("k6 did not make its users within %s", readyMax))
	defer cancel()
	api := &http.Client{Timeout: 30 * time.Second}
	defer api.CloseIdleConnections()
	for _, p := range ps.list {
		if err := p.awaitUsers(ctx, api); err != nil {
			return err
		}
	}
	starting()
	for _, p := range ps.list {
		body := []byte(`{"data":{"type":"status","id":"default","attributes":{"paused":false}}}`)
		if _, _, err := p.status(ctx, api, http.MethodPatch, body); err != nil {
			return fmt.Errorf("start the users of k6 process %d: %w", p.Number, err)
		}
	}
	return nil
}

func (p *process) awaitUsers(ctx context.Context, api *http.Client) error {
	ticker := time.NewTicker(readyEvery)
	defer ticker.Stop()
	for {
		// Until k6 listens there is no answer: then it is asked again.
		if status, _, err := p.status(ctx, api, http.MethodGet, nil); err == nil && status == statusPausedBeforeRun {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("k6 process %d ended before its users started", p.Number)
		case <-ctx.Done():
			return fmt.Errorf("wait for k6 process %d: %w", p.Number, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// status asks a process's REST API for its status, or sets it.
func (p *process) status(ctx context.Context, api *http.Client, method string, body []byte) (status, users int, err error) {
	q, err := http.NewRequestWithContext(ctx, method, "http://"+p.api+"/v1/status", bytes.NewReader(body))
	if err != nil {
		return 0, 0, fmt.Errorf("ask k6: %w", err)
	}
	response, err := api.Do(q)
	if err != nil {
		return 0, 0, fmt.Errorf("ask k6: %w", err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	var answer struct {
		Data struct {
			Attributes struct {
				Status int `json:"status"`
				Users  int `json:"vus"`
			} `json:"attributes"`
		} `json:"data"`
	}
	if response.StatusCode != http.StatusOK {
		return 0, 0, fmt.Errorf("ask k6: it answered %s", response.Status)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<16)).Decode(&answer); err != nil {
		return 0, 0, fmt.Errorf("ask k6: %w", err)
	}
	return answer.Data.Attributes.Status, answer.Data.Attributes.Users, nil
}

// countUsers notes each second how many users a process has, until it ends.
// (Its metrics tell that too, but late while it is busy.)
func (p *process) countUsers(ctx context.Context, note func(users int)) error {
	api := &http.Client{Timeout: 30 * time.Second}
	defer api.CloseIdleConnections()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		if _, users, err := p.status(ctx, api, http.MethodGet, nil); err == nil {
			note(users)
		}
		select {
		case <-p.done:
			note(0)
			return nil
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
