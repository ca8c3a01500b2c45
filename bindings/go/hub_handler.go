// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
)

// Adopt takes over an open TCP connection, or one of a Unix socket, that another server has accepted, with the bytes
// that were read from it already: the request. On success the hub serves a copy of the descriptor, and conn is closed;
// after an error conn is as before. ErrInvalid for a connection of another kind, such as one whose TLS Go has begun;
// ErrNotConnected if the hub does not run.
func (h *Hub) Adopt(conn net.Conn, first []byte) error {
	file, ok := conn.(syscall.Conn)
	if _, isTLS := conn.(*tls.Conn); !ok || isTLS {
		return invalid(fmt.Sprintf("argument conn is a %T; allowed: a connection of TCP or a Unix socket, without TLS of Go", conn))
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	result := err
	err = raw.Control(func(descriptor uintptr) {
		copied, _, number := syscall.Syscall(syscall.SYS_FCNTL, descriptor, syscall.F_DUPFD_CLOEXEC, 0)
		if number != 0 {
			result = failure(codeFiles, "the descriptor of the connection can't be duplicated: "+number.Error())
			return
		}
		result = h.call("the connection was not taken over", func() int { return h.native.adopt(int(copied), first) })
		if result != nil {
			syscall.Close(int(copied))
		}
	})
	if err == nil {
		err = result
	}
	if err != nil {
		return err
	}
	return conn.Close()
}

// Handler lets a hub share the port of a server of net/http: it hands each connection whose request comes here over to
// the hub, which answers that request and what follows on the connection. So the paths are those of the hub's routes,
// and of what it answers by itself:
//
//	mux.Handle("/ws/", hub.Handler())
//
// The hub has to run, but need not listen anywhere. It can take plain HTTP/1 over TCP or a Unix socket only: where Go's
// server has ended the TLS, speaks HTTP/2, or a middleware hides the connection (http.Hijacker, or an Unwrap method for
// http.ResponseController), the answer is status 500 and JSON that says why, and the way out. Behind a proxy that ends
// the TLS all is well. Nothing may have read the request's body before. Server.Shutdown does not wait for the
// connections that the hub has; Drain does.
func (h *Hub) Handler() http.Handler { return http.HandlerFunc(h.serveHTTP) }

// A refusal is an answer that Handler gives itself, in the form of those of the hub.
type refusal struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Status  int    `json:"status"`
}

func notAdoptable(message string) refusal {
	return refusal{"not_adoptable", message, http.StatusInternalServerError}
}

func (h *Hub) serveHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case !h.running.Load():
		refusal{"unavailable", "the hub does not run", http.StatusServiceUnavailable}.answer(w)
		return
	case r.TLS != nil:
		notAdoptable("Go's server has ended the TLS of this connection, which a hub can't take over then: let the hub " +
			"listen itself, at wss://, or end the TLS in a proxy in front of this server").answer(w)
		return
	case r.ProtoMajor != 1:
		notAdoptable("this connection speaks " + r.Proto + ", and a hub takes over HTTP/1 only: connect with that").answer(w)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if errors.Is(err, errors.ErrUnsupported) {
		notAdoptable(fmt.Sprintf("the http.ResponseWriter is a %T that hides the connection: the middleware that made it "+
			"needs the method Hijack or Unwrap, or has to leave out the paths of the hub", w)).answer(w)
		return
	} else if err != nil {
		notAdoptable("the connection can't be had: " + err.Error()).answer(w)
		return
	}
	first := requestHead(r)
	rest, err := buffered.Reader.Peek(buffered.Reader.Buffered())
	if err == nil {
		err = h.Adopt(conn, append(first, rest...))
	}
	if err == nil {
		return
	}
	defer conn.Close()
	why := notAdoptable(err.Error())
	if errors.Is(err, ErrNotConnected) || errors.Is(err, ErrClosed) {
		why = refusal{"unavailable", "the hub does not run any more", http.StatusServiceUnavailable}
	}
	why.write(conn, r)
}

func (why refusal) body() []byte {
	text, _ := json.Marshal(map[string]refusal{"error": why})
	return text
}

func (why refusal) answer(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(why.Status)
	w.Write(why.body())
}

// write answers on a connection that Go's server has given away.
func (why refusal) write(conn net.Conn, r *http.Request) {
	body := why.body()
	answer := http.Response{StatusCode: why.Status, ProtoMajor: 1, ProtoMinor: 1, Request: r, Close: true,
		Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: int64(len(body)),
		Body: io.NopCloser(bytes.NewReader(body))}
	answer.Write(conn)
}

// requestHead makes the head of a request anew, as it came: but for the order of its headers, the case of their names,
// and what a middleware such as http.StripPrefix has changed.
func requestHead(r *http.Request) []byte {
	var head bytes.Buffer
	fmt.Fprintf(&head, "%s %s HTTP/%d.%d\r\nHost: %s\r\n", r.Method, targetOf(r), r.ProtoMajor, r.ProtoMinor, r.Host)
	// What the parser takes out of the headers.
	if len(r.TransferEncoding) > 0 {
		fmt.Fprintf(&head, "Transfer-Encoding: %s\r\n", r.TransferEncoding[0])
	}
	if r.Close && len(r.Header["Connection"]) == 0 {
		head.WriteString("Connection: close\r\n")
	}
	r.Header.Write(&head)
	head.WriteString("\r\n")
	return head.Bytes()
}

// targetOf gives the target of a request as it came, unless its URL was changed since.
func targetOf(r *http.Request) string {
	was, err := url.ParseRequestURI(r.RequestURI)
	if err == nil && was.Path == r.URL.Path && was.RawQuery == r.URL.RawQuery {
		return r.RequestURI
	}
	return r.URL.RequestURI()
}
