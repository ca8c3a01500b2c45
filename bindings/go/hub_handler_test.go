// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"pulsews.dev/go/pulse"
)

// A hub behind a server of net/http.

// muxOf serves a hub at /ws/ and /metrics, and something else beside it; it gives the address.
func muxOf(t *testing.T, h *Hub) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/ws/", h.Handler())
	mux.Handle("/metrics", h.Handler())
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "of Go: "+r.URL.Path) })
	return serveHTTP(t, mux)
}

// handlerHub is a hub that listens nowhere.
func handlerHub(t *testing.T, options ...HubOption) *Hub {
	t.Helper()
	h, err := NewHub(options...)
	must(t, err)
	t.Cleanup(func() { h.Close() })
	must(t, h.Topic("**", WithTopicHistory(100)))
	must(t, h.Route("/ws/orders", WithRouteKind(RouteApplication)))
	must(t, h.Start())
	return h
}

func TestPeersThroughHandler(t *testing.T) {
	h := handlerHub(t, WithHubEvents(HubConnected, HubMessage))
	address := muxOf(t, h)
	c := dial(t, "ws://"+address+"/ws/stream?topics=a%2Fb,c", WithSubprotocols(pulse.Subprotocol), WithHeader("X-Test", "yes"))
	got[pulse.Welcome](t, c)
	for _, topic := range []string{"a/b", "c"} {
		if answer := got[pulse.Subscribed](t, c); answer.Topic != topic {
			t.Errorf("%+v", answer)
		}
	}
	e := happens(t, h, HubConnected)
	if e.Address != "127.0.0.1" || e.Header.Get("X-Test") != "yes" || e.Header.Get("Host") != address {
		t.Errorf("%+v", e)
	}
	publish(t, h, "c", "", "1")
	if m := got[pulse.Published](t, c); m.Topic != "c" {
		t.Errorf("%+v", m)
	}
	must(t, c.Send(within(t, soon), Text, []byte("hello")))
	if e := happens(t, h, HubMessage); string(e.Data) != "hello" {
		t.Errorf("%+v", e)
	}
	if status, _, body := ask(t, "GET", "http://"+address+"/other", "", nil); status != 200 || body != "of Go: /other" {
		t.Error(status, body)
	}
}

func TestRequestsThroughHandler(t *testing.T) {
	h := handlerHub(t, WithHubPublishToken("correct-horse"), WithHubEvents(HubHTTPRequest))
	url := "http://" + muxOf(t, h)
	if status, _, body := ask(t, "GET", url+"/ws/health", "", nil); status != 200 || body != `{"status":"ok"}` {
		t.Error(status, body)
	}
	if status, _, body := ask(t, "GET", url+"/metrics", "", nil); status != 200 || !strings.Contains(body, "pulsews_hub_requests_total") {
		t.Error(status, body)
	}
	// A refusal of the hub, and its sentence.
	if status, _, body := ask(t, "GET", url+"/ws/strem", "", nil); status != 404 || !strings.Contains(body, "no_such_path") {
		t.Error(status, body)
	}
	token := http.Header{"Authorization": {"Bearer correct-horse"}}
	if status, _, body := ask(t, "POST", url+"/ws/publish", `{"topic":"t","data":1}`, token); status != 200 || body != `{"offset":1}` {
		t.Error(status, body)
	}
	go func() {
		for range [3]int{} {
			event, err := h.Next(within(t, soon))
			if err == nil {
				err = h.Answer(event.Request, 200, nil, []byte(fmt.Sprintf("%s %s %d", event.Method, event.Target, len(event.Data))))
			}
			if err != nil {
				t.Error(err)
			}
		}
	}()
	// A body that is larger than the server's buffer; one in chunks, whose head alone has arrived; one that waits for 100.
	large := strings.Repeat("x", 300_000)
	if status, _, body := ask(t, "PUT", url+"/ws/orders?a=%20b", large, nil); status != 200 || body != "PUT /ws/orders?a=%20b 300000" {
		t.Error(status, body)
	}
	reader, writer := io.Pipe()
	go func() {
		for i := 0; i < 3; i++ {
			io.WriteString(writer, large[:1000])
		}
		writer.Close()
	}()
	request, err := http.NewRequestWithContext(within(t, soon), "POST", url+"/ws/orders", reader)
	must(t, err)
	expectBody(t, request, "POST /ws/orders 3000")
	request, err = http.NewRequestWithContext(within(t, soon), "POST", url+"/ws/orders", strings.NewReader("abc"))
	must(t, err)
	request.Header.Set("Expect", "100-continue")
	expectBody(t, request, "POST /ws/orders 3")
}

func expectBody(t *testing.T, request *http.Request, expected string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: soon}}
	answer, err := client.Do(request)
	must(t, err)
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != 200 || string(body) != expected {
		t.Errorf("%d %q, %v, expected %q", answer.StatusCode, body, err, expected)
	}
}

// What a client sends right behind its request is handed over, too: more requests, and frames.
func TestBytesBehindTheRequest(t *testing.T) {
	h := handlerHub(t, WithHubEvents(HubMessage))
	address := muxOf(t, h)
	conn, err := net.Dial("tcp", address)
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(soon)))
	// Two requests, an upgrade, and a masked frame (RFC 6455 §5.7), all at once.
	fmt.Fprintf(conn, "GET /ws/health HTTP/1.1\r\nHost: h\r\nX-Empty:\r\n\r\nGET /ws/health HTTP/1.1\r\nhost: h\r\n\r\n"+
		"GET /ws/stream HTTP/1.1\r\nHost: h\r\n%s\r\n\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", upgradeLines)
	answers := bufio.NewReader(conn)
	for _, status := range []int{200, 200, 101} {
		answer, err := http.ReadResponse(answers, nil)
		must(t, err)
		if answer.StatusCode != status {
			t.Fatalf("status %d, expected %d", answer.StatusCode, status)
		}
		_, err = io.Copy(io.Discard, answer.Body)
		must(t, err)
	}
	if e := happens(t, h, HubMessage); string(e.Data) != "Hello" {
		t.Errorf("%+v", e)
	}
}

// A connection that has served a request of Go is handed over by a later one.
func TestKeptConnectionIsHandedOver(t *testing.T) {
	h := handlerHub(t)
	address := muxOf(t, h)
	conn, err := net.Dial("tcp", address)
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(soon)))
	answers := bufio.NewReader(conn)
	const health = `{"status":"ok"}`
	for _, step := range []struct{ target, body string }{{"/other", "of Go: /other"}, {"/ws/health", health}, {"/ws/health", health}} {
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", step.target)
		answer, err := http.ReadResponse(answers, nil)
		must(t, err)
		if body, err := io.ReadAll(answer.Body); err != nil || string(body) != step.body {
			t.Errorf("%q, %v, expected %q", body, err, step.body)
		}
	}
}

func TestStripPrefixAndMiddleware(t *testing.T) {
	h := handlerHub(t)
	var wrapped http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.Handler().ServeHTTP(unwrappable{w}, r)
	})
	address := serveHTTP(t, http.StripPrefix("/live", wrapped))
	c := dial(t, "ws://"+address+"/live/ws/stream?topics=a%2Fb", WithSubprotocols(pulse.Subprotocol))
	got[pulse.Welcome](t, c)
	if answer := got[pulse.Subscribed](t, c); answer.Topic != "a/b" {
		t.Errorf("%+v", answer)
	}
}

type unwrappable struct{ http.ResponseWriter }

func (w unwrappable) Unwrap() http.ResponseWriter { return w.ResponseWriter }

type hiding struct{ http.ResponseWriter }

// refusedWith asks for an upgrade, and looks that the answer is JSON that says why.
func refusedWith(t *testing.T, client *http.Client, url, code, sentence string, status int) {
	t.Helper()
	request, err := http.NewRequestWithContext(within(t, soon), "GET", url, nil)
	must(t, err)
	answer, err := client.Do(request)
	must(t, err)
	defer answer.Body.Close()
	var body struct {
		Error struct {
			Code, Message string
			Status        int
		}
	}
	must(t, json.NewDecoder(answer.Body).Decode(&body))
	if e := body.Error; answer.StatusCode != status || e.Status != status || e.Code != code || !strings.Contains(e.Message, sentence) ||
		answer.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %+v %v", answer.StatusCode, e, answer.Header)
	}
}

func TestWhatHandlerCantTake(t *testing.T) {
	h := handlerHub(t)
	secure := httptest.NewTLSServer(h.Handler())
	defer secure.Close()
	refusedWith(t, secure.Client(), secure.URL+"/ws/stream", "not_adoptable", "wss://", 500)
	second := httptest.NewUnstartedServer(h.Handler())
	second.EnableHTTP2 = true
	second.StartTLS()
	defer second.Close()
	refusedWith(t, second.Client(), second.URL+"/ws/stream", "not_adoptable", "wss://", 500)

	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	hidden := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.Handler().ServeHTTP(hiding{w}, r) }))
	refusedWith(t, plain, "http://"+hidden+"/ws/stream", "not_adoptable", "Unwrap", 500)
	// HTTP/2 without TLS, as a proxy may speak it.
	spoken := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
		h.Handler().ServeHTTP(w, r)
	}))
	refusedWith(t, plain, "http://"+spoken+"/ws/stream", "not_adoptable", "HTTP/2.0", 500)

	// A listener whose connections hide what is below them.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := &http.Server{Handler: h.Handler()}
	go server.Serve(hidingListener{listener})
	defer server.Close()
	refusedWith(t, plain, "http://"+listener.Addr().String()+"/ws/stream", "not_adoptable", "hidingConn", 500)

	made, err := NewHub()
	must(t, err)
	defer made.Close()
	refusedWith(t, plain, "http://"+muxOf(t, made)+"/ws/stream", "unavailable", "does not run", 503)
	address := muxOf(t, h)
	must(t, h.Drain(within(t, soon), 0))
	refusedWith(t, plain, "http://"+address+"/ws/health", "unavailable", "does not run", 503)
	must(t, h.Close())
	refusedWith(t, plain, "http://"+address+"/ws/health", "unavailable", "does not run", 503)
}

type hidingListener struct{ net.Listener }

func (l hidingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return hidingConn{conn}, err
}

type hidingConn struct{ net.Conn }

func TestAdopt(t *testing.T) {
	h := handlerHub(t)
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	must(t, err)
	defer listener.Close()
	theirs, err := net.Dial("unix", listener.Addr().String())
	must(t, err)
	defer theirs.Close()
	ours, err := listener.Accept()
	must(t, err)
	must(t, h.Adopt(ours, []byte("GET /ws/health HTTP/1.1\r\nHost: h\r\nConn")))
	if _, err := ours.Write(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the connection is still Go's: %v", err)
	}
	_, err = io.WriteString(theirs, "ection: close\r\n\r\n")
	must(t, err)
	must(t, theirs.SetDeadline(time.Now().Add(soon)))
	if answer, err := io.ReadAll(theirs); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
		t.Errorf("%q, %v", answer, err)
	}
	here, there := net.Pipe()
	defer there.Close()
	datagrams, err := net.Dial("udp", "127.0.0.1:9")
	must(t, err)
	defer datagrams.Close()
	before := descriptors(t)
	for _, conn := range []net.Conn{here, datagrams, hidingConn{here}} {
		if err := h.Adopt(conn, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("%T: %v", conn, err)
		}
	}
	// The one that was taken over goes when the hub has closed it.
	eventually(t, "no copy of a descriptor is left", func() bool { return descriptors(t) <= before })
	if _, err := datagrams.Write(nil); err != nil {
		t.Errorf("the connection was taken: %v", err)
	}
	must(t, h.Close())
	late, err := net.Dial("unix", listener.Addr().String())
	must(t, err)
	defer late.Close()
	if err := h.Adopt(late, nil); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestHandlerLeaksNothing(t *testing.T) {
	h := handlerHub(t)
	address := muxOf(t, h)
	round := func() {
		c := dial(t, "ws://"+address+"/ws/stream", WithHostConnectRate("10000/s"))
		must(t, c.Close())
		ask(t, "GET", "http://"+address+"/ws/health", "", nil)
	}
	round()
	eventually(t, "the first connections are gone", func() bool { return h.Statistics()["peers_closed"] == 1 })
	fds, goroutines := descriptors(t), runtime.NumGoroutine()
	for i := 0; i < 50; i++ {
		round()
	}
	eventually(t, "descriptors and goroutines are as few as before", func() bool {
		return descriptors(t) <= fds+2 && runtime.NumGoroutine() <= goroutines+2
	})
}
