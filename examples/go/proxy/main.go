// SPDX-License-Identifier: Apache-2.0

// Proxy takes an exchange's feed once, and serves its prices, candles and trades to any number of browsers.
//
//	go run ./proxy wss://stream.binance.com:9443/stream binance-spot 127.0.0.1:8080 solusdt@bookTicker btcusdt@kline_1m
//
// Then, in a page: new WebSocket("ws://127.0.0.1:8080/ws/stream?topics=price.SOL,candle.BTC.1m").
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	pulsews "pulsews.dev/go"
)

func newHub(address string) (*pulsews.Hub, error) {
	hub, err := pulsews.NewHub(pulsews.WithHubOrigin("*"))
	if err != nil {
		return nil, err
	}
	return hub, errors.Join(
		hub.Listen(address),
		hub.Topic("price.*", pulsews.WithTopicLatest(true), pulsews.WithTopicStaleAfter(5*time.Second)),
		hub.Topic("candle.**", pulsews.WithTopicHistory(500)),
		hub.Topic("trade.*", pulsews.WithTopicHistory(100)),
		hub.Start())
}

func run(ctx context.Context, url, preset, address string, keys []string) error {
	hub, err := newHub(address)
	if err != nil {
		return err
	}
	defer hub.Close()
	client, err := pulsews.Dial(ctx, url, pulsews.WithPreset(preset), pulsews.WithName(preset))
	if err != nil {
		return err
	}
	defer client.Close()
	if err := hub.Feed(client, preset); err != nil {
		return err
	}
	for _, key := range keys {
		if err := client.Subscribe(key); err != nil {
			return err
		}
	}
	fmt.Printf("ws://%s/ws/stream\n", hub.Addresses()[0])
	<-ctx.Done()
	end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return hub.Drain(end, 0)
}

func main() {
	if len(os.Args) < 5 {
		log.Fatal("usage: proxy URL PRESET ADDRESS KEY...")
	}
	if err := pulsews.SetLogger(slog.Default(), slog.LevelInfo); err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1], os.Args[2], os.Args[3], os.Args[4:]); err != nil {
		log.Fatal(err)
	}
}
