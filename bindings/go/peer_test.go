// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What servers do to a client: refuse, speak garbage, fall silent, close, disappear.

func TestDialForbidden(t *testing.T) {
	address := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Why", "origin")
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, "go away\x00"+strings.Repeat("!", 1000))
	}))
	_, err := Dial(within(t, soon), "ws://"+address+"/")
	var refusal *HandshakeError
	if !errors.As(err, &refusal) || !errors.Is(err, ErrHandshake) {
		t.Fatalf("%v, expected a HandshakeError", err)
	}
	if refusal.Status != 403 || refusal.Header.Get("X-Why") != "origin" ||
		string(refusal.Body) != "go away\x00"+strings.Repeat("!", 1000) || !strings.Contains(err.Error(), "403") {
		t.Errorf("%q %#v", err, refusal)
	}
}

func TestRefusalIsRetryableByItsStatus(t *testing.T) {
	for status, retryable := range map[int]bool{401: false, 403: false, 404: false, 429: true, 503: true} {
		status := status // the server reads it, also when the loop goes on
		address := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, `{"msg":"IP banned"}`, status)
		}))
		_, err := Dial(within(t, soon), "ws://"+address+"/", WithReconnect(false))
		var refusal *HandshakeError
		var e *Error
		if !errors.As(err, &refusal) || refusal.Retryable() != retryable || !errors.As(err, &e) || e.Retryable() != retryable ||
			e.Code != codeHandshake || !strings.Contains(err.Error(), `{"msg":"IP banned"}`) {
			t.Errorf("status %d: %v", status, err)
		}
	}
}

func TestDialGarbage(t *testing.T) {
	for name, answer := range map[string]string{
		"noise":           "\x00\x01\x02 nothing like HTTP\r\n\r\n",
		"no accept":       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
		"an endless line": "HTTP/1.1 101 " + strings.Repeat("x", 1<<20),
		"nothing":         "",
	} {
		answer := answer // the server reads it, also when the loop goes on
		t.Run(name, func(t *testing.T) {
			url := serveRaw(t, func(conn net.Conn) {
				readRequest(conn)
				io.WriteString(conn, answer)
			})
			c, err := Dial(within(t, soon), url)
			if err == nil {
				c.Close()
				t.Fatal("Dial succeeded")
			}
			var e *Error
			if !errors.As(err, &e) || e.Text == "" {
				t.Errorf("%#v", err)
			}
			t.Log(err)
		})
	}
}

// readRequest reads the request of a client, up to its empty line.
func readRequest(conn net.Conn) {
	var request []byte
	b := make([]byte, 4096)
	for !bytes.Contains(request, []byte("\r\n\r\n")) {
		n, err := conn.Read(b)
		if err != nil {
			return
		}
		request = append(request, b[:n]...)
	}
}

func TestOverLimit(t *testing.T) {
	url := startServer(t, func(p *peer) {
		p.write(opText, []byte("fits"))
		p.write(opText, make([]byte, 1001))
		p.serve(nil)
	})
	c := dial(t, url, WithMaxMessageSize(1000), WithReconnect(false))
	ctx := within(t, soon)
	if msg, err := c.Recv(ctx); err != nil || msg.Text() != "fits" {
		t.Fatalf("%v, %v", msg, err)
	}
	for i := 0; i < 2; i++ {
		if _, err := c.Recv(ctx); !errors.Is(err, ErrTooBig) {
			t.Fatalf("%v, expected ErrTooBig", err)
		}
	}
}

func TestPeersBadFrames(t *testing.T) {
	for name, test := range map[string]struct {
		bytes []byte
		is    error
	}{
		"reserved bit": {[]byte{0xc1, 0}, ErrProtocol},
		"not UTF-8":    {[]byte{0x81, 1, 0xff}, ErrPayload},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, startServer(t, func(p *peer) { p.writeRaw(test.bytes); p.serve(nil) }), WithReconnect(false))
			if _, err := c.Recv(within(t, soon)); !errors.Is(err, test.is) {
				t.Errorf("%v, expected %v", err, test.is)
			}
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

func TestPeerCloses(t *testing.T) {
	c := dial(t, startServer(t, func(p *peer) {
		p.write(opText, []byte("last words"))
		p.writeClose(4001, "bye")
		p.serve(nil)
	}), WithReconnect(false))
	ctx := within(t, soon)
	if msg, err := c.Recv(ctx); err != nil || msg.Text() != "last words" {
		t.Fatalf("%v, %v", msg, err)
	}
	for i := 0; i < 2; i++ {
		_, err := c.Recv(ctx)
		var closed *CloseError
		if !errors.As(err, &closed) || closed.Code != 4001 || closed.Reason != "bye" || !errors.Is(err, ErrPeerClosed) {
			t.Fatalf("%v, expected a CloseError", err)
		}
	}
	if _, err := c.RecvBatch(ctx, 5); !errors.Is(err, ErrPeerClosed) {
		t.Errorf("RecvBatch: %v", err)
	}
	if err := c.Send(ctx, Text, nil); err == nil {
		t.Error("Send succeeded")
	}
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// The connection may have ended before Dial looks: it was open all the same, and what arrived is there.
func TestPeerClosesAtOnce(t *testing.T) {
	url := startServer(t, func(p *peer) {
		p.writeRaw(append(appendFrame(nil, opText, []byte("only words")), 0x88, 2, 0x03, 0xe8))
	})
	for i := 0; i < 100; i++ {
		c, err := Dial(within(t, soon), url, WithReconnect(false), WithHostConnectRate("10000/s"))
		if err != nil {
			t.Fatalf("Dial: %v", err)
		}
		if msg, err := c.Recv(within(t, soon)); err != nil || msg.Text() != "only words" {
			t.Fatalf("%v, %v", msg, err)
		}
		var closed *CloseError
		if _, err := c.Recv(within(t, soon)); !errors.As(err, &closed) || closed.Code != 1000 {
			t.Fatalf("%v, expected a CloseError", err)
		}
		c.Close()
	}
}

func TestDeadPeer(t *testing.T) {
	c := dial(t, startServer(t, func(p *peer) { io.Copy(io.Discard, p.reader) }), WithHeartbeat(10*time.Millisecond),
		WithHeartbeatTimeout(60*time.Millisecond), WithReconnect(false))
	if _, err := c.Recv(within(t, soon)); !errors.Is(err, ErrDead) {
		t.Errorf("%v, expected ErrDead", err)
	}
}

func TestHeartbeatMeasuresLatency(t *testing.T) {
	pinged := make(chan struct{}, 1000)
	c := dial(t, startServer(t, func(p *peer) {
		for {
			f, err := p.read()
			if err != nil {
				return
			}
			if f.opcode == opPing {
				p.write(opPong, f.payload)
				p.write(opText, []byte("pinged"))
				pinged <- struct{}{}
			}
		}
	}), WithHeartbeat(10*time.Millisecond), WithCloseTimeout(10*time.Millisecond))
	if _, err := c.Recv(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	status, err := c.Status()
	if err != nil || status.Stats.Latency <= 0 || status.Stats.Latency > soon {
		t.Errorf("%+v, %v", status, err)
	}
}

func TestResetInsideAFrame(t *testing.T) {
	c := dial(t, startServer(t, func(p *peer) {
		p.writeRaw([]byte{0x82, 100, 1, 2, 3})
		p.conn.(*net.TCPConn).SetLinger(0)
	}), WithReconnect(false))
	_, err := c.Recv(within(t, soon))
	var e *Error
	if !errors.Is(err, ErrReset) && !errors.Is(err, ErrEOF) || !errors.As(err, &e) || !e.Retryable() {
		t.Errorf("%v, expected ErrReset or ErrEOF", err)
	}
}

func TestByteByByte(t *testing.T) {
	c := dial(t, startServer(t, func(p *peer) {
		for _, b := range appendFrame(appendFrame(nil, opText, []byte("grüße")), opBinary, make([]byte, 200)) {
			if p.writeRaw([]byte{b}) != nil {
				return
			}
		}
		p.serve(nil)
	}))
	ctx := within(t, soon)
	if msg, err := c.Recv(ctx); err != nil || msg.Text() != "grüße" {
		t.Errorf("%v, %v", msg, err)
	}
	if msg, err := c.Recv(ctx); err != nil || len(msg.Data) != 200 {
		t.Errorf("%v, %v", msg, err)
	}
}

func TestPeerDisappears(t *testing.T) {
	c := dial(t, startServer(t, func(p *peer) {}), WithReconnect(false))
	if _, err := c.Recv(within(t, soon)); !errors.Is(err, ErrEOF) && !errors.Is(err, ErrReset) {
		t.Errorf("%v, expected ErrEOF or ErrReset", err)
	}
}
