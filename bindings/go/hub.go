// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A Hub is the other end of the wire: a server that takes a feed once and serves many browsers and services. It
// listens, answers HTTP requests, and holds WebSocket peers; what is published to a topic goes to every peer that is
// subscribed to it. It runs on threads of the library, which a busy Go program does not hold up.
//
// The order is NewHub; Listen, Route, Topic, Key; Load; Start; then Publish and all the rest; Drain; Close. What is set
// after the start is refused with ErrBusy. All methods may be called from any goroutine at any time; none waits for a
// peer, and only Drain and Next wait at all. Peers and requests are numbers: one that has gone is no error, the call
// then does nothing.
//
// A hub that was started runs until Close, also if nobody holds it any more.
type Hub struct {
	// alive guards the native hub: calls hold it for reading, Close for writing.
	alive  sync.RWMutex
	native nativeHub
	freed  bool
	last   hubSnapshot // what is told after Close

	freeing sync.Once
	running atomic.Bool // started, and not closed

	file    *os.File        // the wake descriptor: readable while events wait, and read by nobody
	wake    syscall.RawConn // of file
	reading chan struct{}   // holds one element while somebody fetches events
	ready   []HubEvent      // fetched, and handed out up to position; for who fetches
	place   int
}

type hubSnapshot struct {
	status     []byte
	statistics []float64
}

// A HubOption sets one option of a hub, for NewHub; a RouteOption one of a route, a TopicOption one of the topics that
// a pattern names. The library checks the values; a bad one is an error that names the option, the value and what is
// allowed. docs/HUB_OPTIONS.md has all of them; names, defaults and ranges are the same in all languages.
type (
	HubOption   func(*settings)
	RouteOption func(*settings)
	TopicOption func(*settings)
)

// WithHubOption sets an option of a hub by its name and a text, e.g. WithHubOption("queue_bytes", "4MiB"), as in a
// configuration file. A list takes one value, and adds it.
func WithHubOption(name, value string) HubOption { return HubOption(WithOption(name, value)) }

// WithRouteOption is WithHubOption for a route.
func WithRouteOption(name, value string) RouteOption { return RouteOption(WithOption(name, value)) }

// WithTopicOption is WithHubOption for topics.
func WithTopicOption(name, value string) TopicOption { return TopicOption(WithOption(name, value)) }

func withKinds(name string, kinds []HubEventKind) Option {
	names := make([]string, len(kinds))
	for i, kind := range kinds {
		names[i] = kind.String()
	}
	return withList(name, names)
}

func collect[T ~func(*settings)](options []T) ([]setting, error) {
	var s settings
	for _, option := range options {
		if option != nil {
			option(&s)
		}
	}
	return s.list, s.err
}

// NewHub makes a hub, which does nothing yet. The errors are those of bad options, ErrOption and ErrValue, and
// *LibraryError.
func NewHub(options ...HubOption) (*Hub, error) {
	if err := load(); err != nil {
		return nil, err
	}
	list, err := collect(options)
	if err != nil {
		return nil, err
	}
	n, descriptor, err := createNativeHub()
	if err != nil {
		return nil, err
	}
	h := &Hub{native: n, file: os.NewFile(uintptr(descriptor), "pulsews hub"), reading: make(chan struct{}, 1)}
	if h.wake, err = h.file.SyscallConn(); err != nil {
		h.Close()
		return nil, failure(codeIO, "the wake descriptor can't be waited for: "+err.Error())
	}
	for _, s := range list {
		if err := n.set(s.name, s.value); err != nil {
			h.Close()
			return nil, err
		}
	}
	runtime.SetFinalizer(h, func(h *Hub) { go h.Close() })
	return h, nil
}

// Listen adds an address to listen at: "host:port", "[address]:port", "wss://host:port" (TLS; needs WithHubCertificate)
// or "unix:/path". The host is an address, "localhost", or "*" for all of IPv4 and IPv6; port 0 picks a free one, which
// Address tells after the start.
func (h *Hub) Listen(address string) error {
	if err := noNUL("address", address); err != nil {
		return err
	}
	return h.do(func() error { return h.native.listen(address) })
}

// Route makes the route at path, or sets options of one: WithRouteKind says what is there. A path that ends with "/"
// stands for all beneath it. After an error the options before the bad one are set.
func (h *Hub) Route(path string, options ...RouteOption) error {
	list, err := collect(options)
	if err != nil {
		return err
	}
	return h.setEach("path", path, list, h.native.route)
}

// Topic sets options of the topics that pattern names: "price.SOL", "price.*" (one more word), "price.**" (one or
// more). Peers may subscribe to what a pattern matches, and to nothing else. A topic has its options from the time when
// it is made: this comes before Load and Publish. After an error the options before the bad one are set.
func (h *Hub) Topic(pattern string, options ...TopicOption) error {
	list, err := collect(options)
	if err != nil {
		return err
	}
	return h.setEach("pattern", pattern, list, h.native.topic)
}

func (h *Hub) setEach(what, of string, list []setting, set func(of string, name, value *string) error) error {
	if err := noNUL(what, of); err != nil {
		return err
	}
	return h.do(func() error {
		err := set(of, nil, nil)
		for i := 0; i < len(list) && err == nil; i++ {
			err = set(of, &list[i].name, &list[i].value)
		}
		return err
	})
}

// Key adds a key that tokens (JWT) of peers and publishers are verified with. The algorithm is HS256 with the secret
// itself as material, at least 32 bytes; or RS256, ES256 or EdDSA with a public key or certificate in PEM. A token is
// taken only with the algorithm of its key. The material is copied, and shown by nothing.
func (h *Hub) Key(name, algorithm string, material []byte) error {
	if err := noNUL("name", name, "algorithm", algorithm); err != nil {
		return err
	}
	return h.do(func() error { return h.native.key(name, algorithm, material) })
}

// Start binds the addresses and begins to accept: ErrIO, ErrTrust (the certificate) and others. A hub whose start has
// failed can only be closed. Without an address it serves what Handler and Adopt give it.
func (h *Hub) Start() error {
	return h.do(func() error {
		err := h.native.start()
		if err == nil {
			runtime.SetFinalizer(h, nil)
			h.running.Store(true)
		}
		return err
	})
}

// Address is the address number i that the hub listens at, in the order of Listen and with the port that was picked.
// ErrInvalid before the start, and if there is none; ErrClosed after Close.
func (h *Hub) Address(i int) (address string, err error) {
	err = h.do(func() error {
		found := false
		if address, found = h.native.address(i); !found {
			return invalid(fmt.Sprintf("the hub listens at no address number %d, or not yet", i))
		}
		return nil
	})
	return address, err
}

// Addresses are all of them; none before the start and after Close.
func (h *Hub) Addresses() (addresses []string) {
	for {
		address, err := h.Address(len(addresses))
		if err != nil {
			return addresses
		}
		addresses = append(addresses, address)
	}
}

// Reload reads certificate and key anew, for connections that come from now on. If they can't be used the old ones
// stay, and the error says why.
func (h *Hub) Reload() error { return h.do(h.native.reload) }

// drainWait is how long a native drain waits at a time: Close has to wait for it.
const drainWait = 20 * time.Millisecond

// Drain stops accepting, and closes the peers with 1012 over spread (negative: WithHubDrainSpread), behind what waits
// for them; it waits until the last connection is gone. When ctx ends before, the error is ctx.Err(), and the drain
// goes on: a second call only waits. Behind the last event Next then returns ErrClosed. ErrNotConnected for a hub that
// does not run. A drain can't be undone; Close comes after it.
func (h *Hub) Drain(ctx context.Context, spread time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	drain := func(wait time.Duration) error {
		return h.call("the hub can't drain", func() int { return h.native.drain(max(spread, -1), wait) })
	}
	err := drain(0)
	if !isLate(err) {
		return err
	}
	result := make(chan error, 1)
	go func() {
		for isLate(err) && ctx.Err() == nil {
			err = drain(drainWait)
		}
		result <- err
	}()
	select {
	case err := <-result:
		if isLate(err) {
			return ctx.Err()
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func isLate(err error) bool {
	e, ok := err.(*Error)
	return ok && e.Code == codeTimeout
}

// Close ends the hub at once, cutting what is open without a close frame: Drain comes before it where peers are to be
// told. Whoever waits in another call gets ErrClosed, and so do all later calls. Closing again does nothing; the result
// is always nil.
func (h *Hub) Close() error {
	h.freeing.Do(func() {
		runtime.SetFinalizer(h, nil)
		h.alive.Lock()
		h.last = hubSnapshot{h.native.status(), h.readStatistics()}
		h.freed = true
		h.running.Store(false)
		h.alive.Unlock()
		h.file.Close()
		h.native.free()
	})
	return nil
}

// errHubClosed is ErrClosed of a hub.
var errHubClosed error = &Error{Code: codeClosed, Name: "PULSEWS_ECLOSED", Text: "the hub is closed"}

// do makes a native call while the hub can't be freed.
func (h *Hub) do(call func() error) error {
	h.alive.RLock()
	defer h.alive.RUnlock()
	if h.freed {
		return errHubClosed
	}
	return call()
}

// check says whether the hub is closed.
func (h *Hub) check() error { return h.do(func() error { return nil }) }

// call is do for a native call that gives a status and no sentence: what says what it was for.
func (h *Hub) call(what string, call func() int) error {
	return h.do(func() error {
		if status := call(); status < 0 {
			return hubError(status, what)
		}
		return nil
	})
}

func hubError(status int, what string) error {
	return errorOf(status, what+": "+strings.TrimSuffix(nativeErrorText(status), "."))
}
