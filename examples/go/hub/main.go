// SPDX-License-Identifier: Apache-2.0

// Hub serves prices to browsers: a newcomer gets the latest price of each symbol, a slow page the latest that it has
// missed. It shares the port with other handlers of net/http.
//
//	go run ./hub 127.0.0.1:8080
//
// Then, in a page: new WebSocket("ws://127.0.0.1:8080/ws/stream?topics=price.all")
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"math/rand"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	pulsews "pulsews.dev/go"
)

type price struct {
	Type   string `json:"type"`
	Symbol string `json:"symbol"`
	Price  string `json:"price"` // a text, so that it stays exact
}

func newHub() (*pulsews.Hub, error) {
	hub, err := pulsews.NewHub(pulsews.WithHubOrigin("*"), pulsews.WithHubEvents(pulsews.HubMessage))
	if err != nil {
		return nil, err
	}
	return hub, errors.Join(
		hub.Topic("price.*", pulsews.WithTopicConflate("symbol"), pulsews.WithTopicLatest(true),
			pulsews.WithTopicHistory(1000), pulsews.WithTopicStaleAfter(3*time.Second)),
		hub.Start())
}

// publish makes up prices, until ctx ends.
func publish(ctx context.Context, hub *pulsews.Hub) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		text, _ := json.Marshal(price{"price_update", []string{"SOL", "BTC"}[rand.Intn(2)], fmt.Sprintf("%.2f", 180+10*rand.Float64())})
		if _, err := hub.Publish(ctx, "price.all", "", text); err != nil && ctx.Err() == nil {
			log.Print(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// answer says to each peer what it has sent.
func answer(ctx context.Context, hub *pulsews.Hub) {
	for event, err := range hub.Events(ctx) {
		if err != nil {
			return // the program ends
		}
		text, _ := json.Marshal(map[string]string{"type": "order_received", "order": string(event.Data)})
		if err := hub.Send(event.Peer, pulsews.Text, text); err != nil {
			log.Print(err)
		}
	}
}

func run(ctx context.Context, address string) error {
	hub, err := newHub()
	if err != nil {
		return err
	}
	defer hub.Close()
	mux := http.NewServeMux()
	mux.Handle("/ws/", hub.Handler())
	mux.Handle("/metrics", hub.Handler())
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "prices at /ws/stream") })
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(listener)
	go publish(ctx, hub)
	go answer(ctx, hub)
	fmt.Printf("ws://%s/ws/stream?topics=price.all\n", listener.Addr())
	<-ctx.Done()
	end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(end), hub.Drain(end, 0)) // the peers are told, with 1012
}

func main() {
	address := "127.0.0.1:8080"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	if err := pulsews.SetLogger(slog.Default(), slog.LevelInfo); err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, address); err != nil {
		log.Fatal(err)
	}
}
