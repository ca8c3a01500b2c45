// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// A small WebSocket server (RFC 6455, no extensions), so that the tests need nothing but the standard library.

const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

type frame struct {
	opcode  byte
	payload []byte
}

// A peer is the server's side of one connection. Several goroutines may write; one reads.
type peer struct {
	request *http.Request
	conn    net.Conn
	reader  *bufio.Reader
	writing sync.Mutex
	partial frame // the fragments of a message so far
}

// read gives the next control frame, or the next message, of its fragments put together.
func (p *peer) read() (frame, error) {
	for {
		var final bool
		f, err := p.readFrame(&final)
		switch {
		case err != nil || f.opcode >= opClose:
			return f, err
		case f.opcode == opContinuation:
			p.partial.payload = append(p.partial.payload, f.payload...)
		default:
			p.partial = f
		}
		if final {
			return p.partial, nil
		}
	}
}

func (p *peer) readFrame(final *bool) (frame, error) {
	var head [14]byte
	if _, err := io.ReadFull(p.reader, head[:2]); err != nil {
		return frame{}, err
	}
	if head[0]&0x70 != 0 {
		return frame{}, fmt.Errorf("first byte %#x: no reserved bits were expected", head[0])
	}
	*final = head[0]&0x80 != 0
	if head[1]&0x80 == 0 {
		return frame{}, errors.New("a client's frame is not masked (RFC 6455 §5.1)")
	}
	length := uint64(head[1] & 0x7f)
	switch length {
	case 126:
		if _, err := io.ReadFull(p.reader, head[2:4]); err != nil {
			return frame{}, err
		}
		length = uint64(binary.BigEndian.Uint16(head[2:]))
	case 127:
		if _, err := io.ReadFull(p.reader, head[2:10]); err != nil {
			return frame{}, err
		}
		length = binary.BigEndian.Uint64(head[2:])
	}
	if length > 64<<20 {
		return frame{}, errors.New("the frame is too long for this test")
	}
	body := make([]byte, 4+length)
	if _, err := io.ReadFull(p.reader, body); err != nil {
		return frame{}, err
	}
	key, payload := body[:4], body[4:]
	for i := range payload {
		payload[i] ^= key[i&3]
	}
	return frame{head[0] & 0x0f, payload}, nil
}

func appendFrame(b []byte, opcode byte, payload []byte) []byte {
	b = append(b, 0x80|opcode)
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = append(b, 126, byte(n>>8), byte(n))
	default:
		b = append(b, 127)
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return append(b, payload...)
}

func (p *peer) writeRaw(b []byte) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	_, err := p.conn.Write(b)
	return err
}

func (p *peer) write(opcode byte, payload []byte) error {
	return p.writeRaw(appendFrame(nil, opcode, payload))
}

func (p *peer) writeClose(code int, reason string) error {
	return p.write(opClose, append([]byte{byte(code >> 8), byte(code)}, reason...))
}

// serve reads to the end, answers pings and the close frame, and gives the rest to handle.
func (p *peer) serve(handle func(frame)) {
	for {
		f, err := p.read()
		if err != nil {
			return
		}
		switch f.opcode {
		case opPing:
			p.write(opPong, f.payload)
		case opClose:
			p.write(opClose, f.payload)
			return
		default:
			if handle != nil {
				handle(f)
			}
		}
	}
}

func echo(p *peer) { p.serve(func(f frame) { p.write(f.opcode, f.payload) }) }

// upgrade takes over the connection of a request and answers 101.
func upgrade(w http.ResponseWriter, r *http.Request, subprotocol string) (*peer, error) {
	key := r.Header.Get("Sec-WebSocket-Key")
	if r.Method != "GET" || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || key == "" ||
		r.Header.Get("Sec-WebSocket-Version") != "13" {
		http.Error(w, "not an upgrade", http.StatusBadRequest)
		return nil, errors.New("not an upgrade")
	}
	conn, buffer, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return nil, err
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Server: test\r\n" +
		"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n"
	if subprotocol != "" {
		answer += "Sec-WebSocket-Protocol: " + subprotocol + "\r\n"
	}
	if _, err := conn.Write([]byte(answer + "\r\n")); err != nil {
		conn.Close()
		return nil, err
	}
	return &peer{request: r, conn: conn, reader: buffer.Reader}, nil
}

// serveHTTP answers every request with handler on a free port, until the test ends. It returns the address.
func serveHTTP(t testing.TB, handler http.Handler) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	done := make(chan struct{})
	go func() {
		server.Serve(listener)
		close(done)
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return listener.Addr().String()
}

// startServer runs handle for each connection, until the test ends. It returns the URL.
func startServer(t testing.TB, handle func(*peer)) string {
	t.Helper()
	var running sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	t.Cleanup(func() { // runs after the clean-up of serveHTTP, so that none is added meanwhile
		mu.Lock()
		for conn := range open {
			conn.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	address := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := upgrade(w, r, r.URL.Query().Get("subprotocol"))
		if err != nil {
			return
		}
		mu.Lock()
		open[p.conn] = true
		running.Add(1)
		mu.Unlock()
		defer func() {
			p.conn.Close()
			mu.Lock()
			delete(open, p.conn)
			running.Done()
			mu.Unlock()
		}()
		handle(p)
	}))
	return "ws://" + address + "/"
}

// serveRaw gives every TCP connection to handle, until the test ends.
func serveRaw(t testing.TB, handle func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	running.Add(1)
	go func() {
		defer running.Done()
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			running.Add(1)
			mu.Unlock()
			go func() {
				defer running.Done()
				defer conn.Close()
				handle(conn)
			}()
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, conn := range open {
			conn.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return "ws://" + listener.Addr().String() + "/"
}
