// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

// A diary keeps what a manager's handlers were called with, in order. It fails the test when two run at once.
type diary struct {
	t       *testing.T
	busy    sync.Mutex
	mu      sync.Mutex
	entries []string
	errs    []error
	changed chan struct{}
}

func newDiary(t *testing.T) *diary { return &diary{t: t, changed: make(chan struct{})} }

func (d *diary) add(entry string, err error) {
	if !d.busy.TryLock() {
		d.t.Error("two handlers run at once")
	} else {
		defer d.busy.Unlock()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = append(d.entries, entry)
	if err != nil {
		d.errs = append(d.errs, err)
	}
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *diary) handlers() Handlers {
	return Handlers{
		OnMessage:    func(m Message) { d.add("message "+m.Text(), nil) },
		OnConnect:    func(e Event) { d.add("connect", nil) },
		OnDisconnect: func(e Event) { d.add("disconnect "+e.State, nil) },
		OnError:      func(err error) { d.add("error", err) },
	}
}

// until waits for these entries, errors left out, to be all that there are after the first `from`.
func (d *diary) until(from int, entries ...string) {
	d.t.Helper()
	limit := time.After(soon)
	for {
		d.mu.Lock()
		var seen []string
		for _, entry := range d.entries {
			if entry != "error" {
				seen = append(seen, entry)
			}
		}
		changed := d.changed
		d.mu.Unlock()
		if len(seen) >= from && strings.Join(seen[from:], ", ") == strings.Join(entries, ", ") {
			return
		}
		select {
		case <-changed:
		case <-limit:
			d.t.Fatalf("the handlers were called for %q, expected %q after %d", seen, entries, from)
		}
	}
}

// errors waits for one of this kind.
func (d *diary) error(is error) {
	d.t.Helper()
	limit := time.After(soon)
	for {
		d.mu.Lock()
		changed := d.changed
		for _, err := range d.errs {
			if errors.Is(err, is) {
				d.mu.Unlock()
				return
			}
		}
		d.mu.Unlock()
		select {
		case <-changed:
		case <-limit:
			d.t.Fatalf("OnError was called with %v, expected %v", d.errs, is)
		}
	}
}
