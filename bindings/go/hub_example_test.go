// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	pulsews "pulsews.dev/go"
	"pulsews.dev/go/pulse"
)

func ExampleNewHub() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	hub, err := pulsews.NewHub(pulsews.WithHubEvents(pulsews.HubConnected))
	if err != nil {
		log.Fatal(err)
	}
	defer hub.Close()
	for _, err := range []error{
		hub.Listen("127.0.0.1:0"),
		hub.Topic("price.*", pulsews.WithTopicHistory(1000), pulsews.WithTopicConflate("symbol")),
		hub.Start(),
	} {
		if err != nil {
			log.Fatal(err)
		}
	}
	offset, err := hub.Publish(ctx, "price.SOL", "", []byte(`{"type":"price_update","symbol":"SOL","price":"187.23"}`))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("published", offset)

	// A peer, which asks for the past.
	address := hub.Addresses()[0]
	c, err := pulsews.Dial(ctx, "ws://"+address+"/ws/stream", pulsews.WithSubprotocols(pulse.Subprotocol))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	event, err := hub.Next(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(event.Kind, event.Subprotocol)
	if err := c.Send(ctx, pulsews.Text, []byte(`{"type":"subscribe","topics":[{"topic":"price.SOL","history":10}]}`)); err != nil {
		log.Fatal(err)
	}
	for {
		received, err := c.Recv(ctx)
		if err != nil {
			log.Fatal(err)
		}
		message, err := pulse.Decode(received.Data)
		if err != nil {
			log.Fatal(err)
		}
		if m, is := message.(pulse.Snapshot); is {
			fmt.Println(m.Topic, m.Items[0].O, string(m.Items[0].Data))
			return
		}
	}
	// Output:
	// published 1
	// connected pulse.v1
	// price.SOL 1 {"type":"price_update","symbol":"SOL","price":"187.23"}
}

func ExampleHub_Handler() {
	hub, err := pulsews.NewHub()
	if err != nil {
		log.Fatal(err)
	}
	defer hub.Close()
	if err := hub.Start(); err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/ws/", hub.Handler())
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "my own page") })
	server := httptest.NewServer(mux) // plain HTTP: the TLS ends in the proxy in front
	defer server.Close()
	for _, path := range []string{"/", "/ws/health"} {
		answer, err := http.Get(server.URL + path)
		if err != nil {
			log.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(body))
	}
	// Output:
	// my own page
	// {"status":"ok"}
}
