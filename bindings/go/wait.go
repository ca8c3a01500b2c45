// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A waker lets goroutines wait for a client's wake descriptor through Go's network poller, so that a waiting goroutine
// holds no OS thread.
//
// The descriptor is one, the goroutines are many: who holds the token reads it, and then tells all the others. The rule
// that makes this free of lost wake-ups: take generation() first, try the native call next, and only then wait with
// that generation. The library makes a change visible before it signals the descriptor, and the reader advances the
// generation after it took the signal. So a call that was tried before the signal waits with an old generation, which
// wait refuses, and one that was tried after it has seen the change.
type waker struct {
	file   *os.File
	token  chan struct{} // holds one element while somebody reads the descriptor
	closed chan struct{} // closed by close
	count  atomic.Uint64 // the generation

	mu        sync.Mutex
	followers chan struct{} // closed at the next generation; nil while nobody follows

	buffer [8]byte // of who holds the token
}

// newWaker takes over the descriptor, which must be non-blocking.
func newWaker(descriptor int) *waker {
	return &waker{
		file:   os.NewFile(uintptr(descriptor), "pulsews wake-up"),
		token:  make(chan struct{}, 1),
		closed: make(chan struct{}),
	}
}

func (w *waker) generation() uint64 { return w.count.Load() }

// wait returns nil when something may have changed since generation, or the waker was closed; else the context's error.
func (w *waker) wait(ctx context.Context, generation uint64) error {
	select {
	case w.token <- struct{}{}:
		return w.lead(ctx, generation)
	default:
	}
	w.mu.Lock()
	if w.count.Load() != generation {
		w.mu.Unlock()
		return nil
	}
	if w.followers == nil {
		w.followers = make(chan struct{})
	}
	advanced := w.followers
	w.mu.Unlock()
	select {
	case <-advanced:
		return nil
	case w.token <- struct{}{}:
		return w.lead(ctx, generation)
	case <-w.closed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lead reads the descriptor, holding the token.
func (w *waker) lead(ctx context.Context, generation uint64) error {
	defer func() { <-w.token }()
	if w.count.Load() != generation {
		return nil // the signal was taken between the native call and here
	}
	err := w.read(ctx)
	if err != nil {
		select {
		case <-w.closed:
			return nil
		default:
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if os.IsTimeout(err) {
			return nil
		}
		return failure(codeIO, "the wake descriptor can't be read: "+err.Error())
	}
	w.mu.Lock()
	w.count.Add(1)
	followers := w.followers
	w.followers = nil
	w.mu.Unlock()
	if followers != nil {
		close(followers)
	}
	return nil
}

// longAgo is a deadline that ends a read at once.
var longAgo = time.Unix(1, 0)

func (w *waker) read(ctx context.Context) error {
	return underDeadline(ctx, w.file, func() error {
		_, err := w.file.Read(w.buffer[:])
		return err
	})
}

// underDeadline waits for file in wait, until ctx ends. One goroutine at a time waits for a file.
func underDeadline(ctx context.Context, file *os.File, wait func() error) error {
	if ctx.Done() == nil {
		return wait()
	}
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		file.SetReadDeadline(longAgo)
		close(fired)
	})
	err := wait()
	if !stop() {
		<-fired // else a late deadline would end the next reader's wait
		file.SetReadDeadline(time.Time{})
	}
	return err
}

// close ends all waits, now and later. Call it once.
func (w *waker) close() {
	close(w.closed)
	w.file.Close()
}
