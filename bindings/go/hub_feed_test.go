// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"encoding/json"
	"errors"
	"testing"

	"pulsews.dev/go/pulse"
)

// What a client receives goes to topics.

const quoteMap = `rule=price
match={"e":"quote"}
topic=price.${s|strip(USDT)}
key=${s}
publish={"type":"price_update","symbol":${s|strip(USDT)},"price":${mid(b,a)}}
`

func TestHubFeed(t *testing.T) {
	exchange, h := startHub(t), startHub(t)
	client := dial(t, hubURL(exchange, "/ws/stream"), WithName("binance"))
	must(t, h.Feed(client, quoteMap))
	peer := join(t, h, "/ws/stream?topics=price.SOL")
	got[pulse.Subscribed](t, peer)
	must(t, exchange.Broadcast(Text, []byte(`{"e":"quote","s":"SOLUSDT","b":"1.10","a":"1.20"}`)))
	if state := got[pulse.TopicState](t, peer); state.Feed != "binance" {
		t.Fatalf("%+v", state)
	}
	price := got[pulse.Published](t, peer)
	var data struct{ Symbol, Price string }
	must(t, json.Unmarshal(price.Data, &data))
	if data.Symbol != "SOL" || data.Price != "1.15" {
		t.Fatalf("%s", price.Data)
	}
	if err := h.Feed(client, "kraken"); !errors.Is(err, ErrBusy) {
		t.Fatal(err)
	}
}

func TestHubFeedRefuses(t *testing.T) {
	h := startHub(t)
	client := dial(t, hubURL(h, "/ws/stream"))
	for lines, want := range map[string]error{"nothing": ErrValue, "topic=x": ErrValue, "a\x00b": ErrInvalid} {
		if err := h.Feed(client, lines); !errors.Is(err, want) {
			t.Fatalf("%q: %v", lines, err)
		}
	}
	if err := h.Feed(nil, "kraken"); !errors.Is(err, ErrInvalid) {
		t.Fatal(err)
	}
	client.Close()
	if err := h.Feed(client, "kraken"); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	h.Close()
	if err := h.Feed(dial(t, hubURL(startHub(t), "/ws/stream")), "kraken"); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}

func TestFeedMaps(t *testing.T) {
	maps, err := FeedMaps()
	must(t, err)
	if len(maps) < 8 || maps[0].Name == "" || maps[0].Text == "" || maps[0].Map == "" {
		t.Fatal(maps)
	}
}
