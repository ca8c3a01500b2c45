// SPDX-License-Identifier: Apache-2.0

// gorilla/websocket with ReadMessage and WriteMessage.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"

	"github.com/gorilla/websocket"

	"bench/harness"
)

type client struct{ *websocket.Conn }

func (c client) Flood(bool) int {
	for n := 0; ; n++ {
		if _, _, err := c.ReadMessage(); err != nil {
			return n
		}
	}
}

func (c client) Send(text []byte) error { return c.WriteMessage(websocket.TextMessage, text) }

func (c client) Receive() error {
	_, _, err := c.ReadMessage()
	return err
}

func (c client) Close() { c.Conn.Close() }

func main() {
	harness.Run(func(url, ca string) (harness.Client, error) {
		dialer := websocket.Dialer{}
		if authority, err := os.ReadFile(ca); err == nil {
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(authority)
			dialer.TLSClientConfig = &tls.Config{RootCAs: pool}
		}
		connection, _, err := dialer.Dial(url, nil)
		return client{connection}, err
	}, func(c harness.Client) { go c.Receive() })
}
