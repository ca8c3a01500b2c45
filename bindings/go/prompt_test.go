// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// What would not end with its context lasts for soon.
const promptly = soon / 4

// Calls that end a connection return as soon as their context ends, whatever they wait for.
func TestEndingCallsEndWithTheirContext(t *testing.T) {
	deaf := func(p *peer) { io.Copy(io.Discard, p.reader) } // never answers a close frame
	stuck := func(p *peer) { <-p.request.Context().Done() } // reads nothing, so that the outbox fills
	fill := func(t *testing.T, c *Conn) {
		for i := 0; i < 60; i++ {
			if err := c.Send(within(t, soon), Binary, make([]byte, 1<<18)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, wait := range map[string]struct {
		server func(*peer)
		before func(t *testing.T, c *Conn)
	}{
		"for the close frame": {deaf, func(*testing.T, *Conn) {}},
		"for the outbox":      {stuck, fill},
		"behind a Flush": {stuck, func(t *testing.T, c *Conn) {
			fill(t, c)
			go c.Flush(context.Background())
			eventually(t, "Flush waits", func() bool { return c.patient.Load() > 0 })
		}},
		"behind a Disconnect": {stuck, func(t *testing.T, c *Conn) {
			fill(t, c)
			go c.Disconnect(context.Background())
			eventually(t, "Disconnect waits", func() bool { return c.patient.Load() > 0 })
		}},
		"for the next attempt": {stuck, func(t *testing.T, c *Conn) {
			c.Reconnect()
			fill(t, c)
		}},
	} {
		wait := wait // the server reads it, also when the loop goes on
		for call, end := range map[string]func(context.Context, *Conn) error{
			"CloseWith":  func(ctx context.Context, c *Conn) error { return c.CloseWith(ctx, 1000, "") },
			"Disconnect": func(ctx context.Context, c *Conn) error { return c.Disconnect(ctx) },
			"Flush":      func(ctx context.Context, c *Conn) error { return c.Flush(ctx) },
		} {
			if call == "Flush" && name == "for the close frame" {
				continue // it has nothing to wait for
			}
			t.Run(call+" "+name, func(t *testing.T) {
				ends, end0 := context.WithCancel(context.Background())
				url := startServer(t, func(p *peer) {
					p.request = p.request.WithContext(ends)
					wait.server(p)
				})
				t.Cleanup(end0)
				c := dial(t, url, quickly(WithCloseTimeout(soon), WithMessageQueueBytes(64<<20), WithMessageQueueSize(1000))...)
				wait.before(t, c)
				for _, how := range []string{"cancelled", "deadline"} {
					ctx, cancel := context.WithCancel(context.Background())
					if how == "deadline" {
						ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
					} else {
						time.AfterFunc(50*time.Millisecond, cancel)
					}
					defer cancel()
					start := time.Now()
					err := end(ctx, c)
					if took := time.Since(start); took > promptly {
						t.Errorf("%s: it took %v", how, took)
					}
					if err != ctx.Err() && how == "cancelled" {
						t.Errorf("%s: %v", how, err)
					}
					if call == "CloseWith" {
						break
					}
				}
				start := time.Now()
				c.CloseWith(context.Background(), 0, "")
				if took := time.Since(start); took > promptly {
					t.Errorf("the cut took %v", took)
				}
			})
		}
	}
}

// The same while a connection is being made.
func TestEndingCallsEndWhileConnecting(t *testing.T) {
	silent := serveRaw(t, func(conn net.Conn) { io.Copy(io.Discard, conn) })
	for name, url := range map[string]string{"handshake": silent, "TLS": "wss" + silent[2:],
		"name": "ws://a-name-that-no-resolver-knows.invalid/"} {
		for call, end := range map[string]func(context.Context, *Manager) error{
			"Close":      func(_ context.Context, m *Manager) error { return m.Close() },
			"CloseWith":  func(ctx context.Context, m *Manager) error { return m.Conn().CloseWith(ctx, 1000, "") },
			"Disconnect": func(ctx context.Context, m *Manager) error { return m.Disconnect(ctx) },
		} {
			t.Run(call+" "+name, func(t *testing.T) {
				m, err := NewManager(url, Handlers{}, WithOpenTimeout(soon))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
				defer cancel()
				m.Connect(ctx)
				ctx, cancel = context.WithCancel(context.Background())
				defer cancel()
				time.AfterFunc(20*time.Millisecond, cancel)
				start := time.Now()
				end(ctx, m)
				m.Conn().CloseWith(ctx, 0, "")
				if took := time.Since(start); took > promptly {
					t.Errorf("it took %v", took)
				}
			})
		}
	}
}
