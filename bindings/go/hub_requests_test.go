// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pulsews.dev/go/pulse"
)

// How peers come: requests, tokens, TLS, Unix sockets.

const upgradeLines = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// upgradeRaw opens a WebSocket by hand, and reads nothing behind the answer.
func upgradeRaw(t testing.TB, network, address, target string) net.Conn {
	t.Helper()
	conn, err := net.Dial(network, address)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: h\r\n%s\r\n", target, upgradeLines)
	must(t, err)
	status, err := bufio.NewReaderSize(conn, 16).ReadString('\n')
	if err != nil || !strings.Contains(status, " 101 ") {
		t.Fatalf("%q, %v", status, err)
	}
	return conn
}

// ask makes a request with net/http, and gives status, headers and body.
func ask(t testing.TB, method, url, body string, header http.Header) (int, http.Header, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(within(t, soon), method, url, strings.NewReader(body))
	must(t, err)
	for name, values := range header {
		request.Header[name] = values
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	must(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(t, err)
	return answer.StatusCode, answer.Header, string(text)
}

func TestRequestsAreAnsweredLater(t *testing.T) {
	h := newHub(t, WithHubEvents(HubHTTPRequest), WithHubRequestTimeout(time.Minute))
	must(t, h.Route("/orders/", WithRouteKind(RouteApplication)))
	must(t, h.Start())
	done := make(chan error, 1)
	go func() {
		var requests []HubEvent
		for len(requests) < 2 {
			event, err := h.Next(context.Background())
			if err != nil {
				done <- err
				return
			}
			requests = append(requests, event)
		}
		for i := range requests { // the last one first
			request := requests[len(requests)-1-i]
			body := fmt.Sprintf("%s %s %s %s", request.Method, request.Target, request.Header.Get("X-Test"), request.Data)
			if err := h.Answer(request.Request, 201, http.Header{"Content-Type": {"text/x"}, "X-Two": {"a", "b"}}, []byte(body)); err != nil {
				done <- err
				return
			}
			done <- h.Answer(request.Request, 200, nil, nil) // it is gone, which is no error
		}
	}()
	var asking sync.WaitGroup
	for i := 0; i < 2; i++ {
		asking.Add(1)
		go func(i int) {
			defer asking.Done()
			url := fmt.Sprintf("http://%s/orders/%d?x=1", h.Addresses()[0], i)
			status, header, body := ask(t, "POST", url, "body", http.Header{"X-Test": {"yes"}})
			if status != 201 || header.Get("Content-Type") != "text/x" || fmt.Sprint(header["X-Two"]) != "[a b]" ||
				body != fmt.Sprintf("POST /orders/%d?x=1 yes body", i) {
				t.Error(status, header, body)
			}
		}(i)
	}
	asking.Wait()
	for i := 0; i < 2; i++ {
		must(t, <-done)
	}
	for _, err := range []error{h.Answer(1, 99, nil, nil), h.Answer(1, 1<<40+200, nil, nil),
		h.Answer(1, 200, http.Header{"A": {"b\r\nC: d"}}, nil),
		h.Answer(1, 200, http.Header{"A\n": {"b"}}, nil), h.Answer(1, 200, http.Header{"": {"b"}}, nil), h.Refuse(1, 200, "")} {
		if !errors.Is(err, ErrValue) {
			t.Error(err)
		}
	}
}

func TestAuthorize(t *testing.T) {
	h := startHub(t, WithHubEvents(HubAuthorize, HubConnected))
	result := make(chan error, 2)
	go func() {
		event, err := h.Next(context.Background())
		if err == nil && (event.Token != "let-me-in" || event.Header.Get("X-Test") != "yes" || event.Address != "127.0.0.1") {
			err = fmt.Errorf("%+v", event)
		}
		if err == nil {
			err = h.Admit(event.Request)
		}
		result <- err
		if event, err = h.Next(context.Background()); err == nil && event.Kind == HubConnected {
			event, err = h.Next(context.Background())
		}
		if err == nil {
			err = h.Refuse(event.Request, 403, "your account is closed")
		}
		result <- err
	}()
	join(t, h, "/ws/stream", WithHeader("Authorization", "Bearer let-me-in"), WithHeader("X-Test", "yes"))
	must(t, <-result)
	_, err := Dial(within(t, soon), hubURL(h, "/ws/stream"), WithReconnect(false))
	must(t, <-result)
	var refused *HandshakeError
	if !errors.As(err, &refused) || refused.Status != 403 || !strings.Contains(string(refused.Body), "your account is closed") {
		t.Error(err)
	}
}

func TestTokens(t *testing.T) {
	secret := []byte(strings.Repeat("s", 32))
	h := newHub(t, WithHubAuth(AuthRequired), WithHubEvents(HubAuthenticated))
	must(t, h.Key("main", "HS256", secret))
	must(t, h.Start())
	part := func(value any) string {
		text, err := json.Marshal(value)
		must(t, err)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	token := func(secret []byte) string {
		body := part(map[string]string{"alg": "HS256"}) + "." + part(map[string]any{"sub": "u", "exp": time.Now().Add(time.Hour).Unix()})
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(body))
		return body + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	join(t, h, "/ws/stream", WithHeader("Authorization", "Bearer "+token(secret)))
	if e := happens(t, h, HubAuthenticated); e.Peer == 0 || e.User != "u" || !strings.HasPrefix(string(e.Data), `{"exp":`) {
		t.Errorf("%+v", e)
	}
	wrong := WithHeader("Authorization", "Bearer "+token(secret[1:]))
	_, err := Dial(within(t, soon), hubURL(h, "/ws/stream"), WithReconnect(false), wrong)
	var refused *HandshakeError
	if !errors.As(err, &refused) || refused.Status != 401 {
		t.Error(err)
	}
	late := join(t, h, "/ws/stream")
	say(t, late, pulse.NewAuth(token(secret)))
	if answer := got[pulse.Authenticated](t, late); answer.Data.User != "u" || answer.Data.Expires == "" {
		t.Errorf("%+v", answer)
	}
	if e := happens(t, h, HubAuthenticated); e.User != "u" {
		t.Errorf("%+v", e)
	}
}

func TestPublishOverHTTP(t *testing.T) {
	h := startHub(t, WithHubPublishToken("correct-horse"))
	url := "http://" + h.Addresses()[0]
	token := http.Header{"Authorization": {"Bearer correct-horse"}}
	status, _, body := ask(t, "POST", url+"/ws/publish", `{"topic":"t","data":{"n":1}}`, token)
	if status != 200 || body != `{"offset":1}` {
		t.Error(status, body)
	}
	if status, _, body := ask(t, "GET", url+"/metrics", "", nil); status != 200 ||
		!strings.Contains(body, "pulsews_hub_messages_published_total{hub=\"hub\"} 1\n") {
		t.Error(status, body)
	}
}

func TestUnixSocket(t *testing.T) {
	h, err := NewHub(WithHubEvents(HubConnected))
	must(t, err)
	defer h.Close()
	path := filepath.Join(t.TempDir(), "hub")
	must(t, h.Listen("unix:"+path))
	must(t, h.Start())
	if addresses := h.Addresses(); len(addresses) != 1 || addresses[0] != "unix:"+path {
		t.Error(addresses)
	}
	upgradeRaw(t, "unix", path, "/ws/stream")
	if e := happens(t, h, HubConnected); e.Address != "unix" || e.Subprotocol != "" {
		t.Errorf("%+v", e)
	}
}

// pemFiles writes a certificate and its key.
func pemFiles(t *testing.T, folder string, certificate tls.Certificate) (string, string) {
	t.Helper()
	key, err := x509.MarshalECPrivateKey(certificate.PrivateKey.(*ecdsa.PrivateKey))
	must(t, err)
	paths := [2]string{filepath.Join(folder, "hub.pem"), filepath.Join(folder, "hub.key")}
	for i, block := range []pem.Block{{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}, {Type: "EC PRIVATE KEY", Bytes: key}} {
		must(t, os.WriteFile(paths[i], pem.EncodeToMemory(&block), 0o600))
	}
	return paths[0], paths[1]
}

func TestHubTLSAndReload(t *testing.T) {
	folder := t.TempDir()
	first, firstCA := authority(t, "first", "127.0.0.1")
	second, secondCA := authority(t, "second", "127.0.0.1")
	certificate, key := pemFiles(t, folder, first)
	h, err := NewHub(WithHubCertificate(certificate), WithHubCertificateKey(key))
	must(t, err)
	defer h.Close()
	must(t, h.Listen("wss://127.0.0.1:0"))
	must(t, h.Start())
	url := "wss://" + strings.TrimPrefix(h.Addresses()[0], "wss://") + "/ws/stream"
	old := dial(t, url, WithCAFile(firstCA))
	pemFiles(t, folder, second)
	must(t, h.Reload())
	if c, err := Dial(within(t, soon), url, WithCAFile(firstCA)); !errors.Is(err, ErrUnknownCA) {
		if err == nil {
			c.Close()
		}
		t.Error(err)
	}
	dial(t, url, WithCAFile(secondCA))
	must(t, os.WriteFile(certificate, []byte("nothing"), 0o600))
	if err := h.Reload(); err == nil || !strings.Contains(err.Error(), "hub.pem") {
		t.Error(err)
	}
	dial(t, url, WithCAFile(secondCA)) // with what was good
	must(t, h.Broadcast(Text, []byte("all")))
	if m, err := old.RecvBatch(within(t, soon), 1); err != nil || !strings.Contains(m[0].Text(), "welcome") {
		t.Error(m, err)
	}
	if m, err := old.Recv(within(t, soon)); err != nil || m.Text() != "all" {
		t.Error(m, err)
	}
}

func TestStartWithoutACertificate(t *testing.T) {
	h, err := NewHub()
	must(t, err)
	must(t, h.Listen("wss://127.0.0.1:0"))
	if err := h.Start(); !errors.Is(err, ErrTrust) {
		t.Error(err)
	}
	must(t, h.Close())
}
