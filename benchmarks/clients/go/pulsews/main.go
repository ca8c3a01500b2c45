// SPDX-License-Identifier: Apache-2.0

// PulseWS from Go.
package main

import (
	"context"
	"log"
	"strings"

	"bench/harness"

	pulsews "pulsews.dev/go"
)

const batch = 1024

var background = context.Background()

type client struct{ *pulsews.Conn }

func (c client) Flood(one bool) int {
	n := 0
	for {
		if one {
			if _, err := c.Recv(background); err != nil {
				return n
			}
			n++
			continue
		}
		messages, err := c.RecvBatch(background, batch)
		if err != nil {
			return n
		}
		n += len(messages)
	}
}

func (c client) Send(text []byte) error { return c.Conn.Send(background, pulsews.Text, text) }

func (c client) Receive() error {
	_, err := c.Recv(background)
	return err
}

func (c client) Close() { c.Conn.Close() }

func publish() error {
	hub, err := pulsews.NewHub()
	if err != nil {
		return err
	}
	if err := hub.Topic("price.*"); err != nil {
		return err
	}
	if err := hub.Start(); err != nil {
		return err
	}
	harness.Publish(func(text []byte) error {
		_, err := hub.Publish(background, "price.SOL", "SOL", text)
		return err
	})
	return hub.Close()
}

func main() {
	if harness.Measure() == "publish" {
		if err := publish(); err != nil {
			log.Fatal(err)
		}
		return
	}
	harness.Run(func(url, ca string) (harness.Client, error) {
		// One connection, no pacing, and a send that waits for room: what the other clients do, too.
		options := []pulsews.Option{pulsews.WithCompression(false), pulsews.WithReconnect(false),
			pulsews.WithMessageQueuePolicy(pulsews.Block), pulsews.WithHostConnectRate("100000/s")}
		if strings.HasPrefix(url, "wss:") {
			options = append(options, pulsews.WithCAFile(ca))
		}
		connection, err := pulsews.Dial(background, url, options...)
		return client{connection}, err
	}, func(harness.Client) {})
}
