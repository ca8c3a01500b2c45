// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// A HubStatus is the state and the statistics of a hub. Statistics gives the numbers alone, and cheaper.
type HubStatus struct {
	Name       string             `json:"hub"`        // WithHubName
	State      string             `json:"state"`      // "made", "running", "draining" ...
	Version    string             `json:"version"`    // of the library
	Epoch      string             `json:"epoch"`      // the life of the hub, which offsets belong to
	Uptime     time.Duration      `json:"-"`          // since the start
	Loops      int                `json:"loops"`      // how many share the connections
	Statistics map[string]float64 `json:"statistics"` // as Hub.Statistics gives them
}

// Status reads the state and the statistics; after Close those at its end.
func (h *Hub) Status() (HubStatus, error) {
	h.alive.RLock()
	text := h.last.status
	if !h.freed {
		text = h.native.status()
	}
	h.alive.RUnlock()
	var status struct {
		HubStatus
		Seconds json.Number `json:"uptime"`
	}
	if err := json.Unmarshal(text, &status); err != nil {
		return HubStatus{}, fmt.Errorf("pulsews: the status of the hub is no JSON object: %w", err)
	}
	status.Uptime = seconds(status.Seconds)
	return status.HubStatus, nil
}

// A HubPeer is what a hub knows about one of its peers. Its books balance: Offered is Written + Conflated + Dropped +
// Queued, at every moment. They count messages of topics, and none of Send.
type HubPeer struct {
	Peer          uint64        `json:"peer"` // its number
	Address       string        `json:"address"`
	Route         string        `json:"route"`
	Protocol      string        `json:"protocol"`    // "pulse.v1" or "plain"
	Compression   bool          `json:"compression"` // whether permessage-deflate was agreed on
	Age           time.Duration `json:"-"`           // since it is open
	Subscriptions int           `json:"subscriptions"`
	Offered       int64         `json:"offered"`   // due to it
	Written       int64         `json:"written"`   // of these: handed to the system whole
	Conflated     int64         `json:"conflated"` // replaced by a newer one of their key
	Dropped       int64         `json:"dropped"`   // lost to a full queue
	Queued        int64         `json:"queued"`    // waiting
}

// Snapshot gives what a topic has for a newcomer, as the JSON text of its snapshot message: the latest of each key with
// WithTopicLatest, else its history. ErrInvalid if there is no such topic yet.
func (h *Hub) Snapshot(topic string) ([]byte, error) {
	if err := noNUL("topic", topic); err != nil {
		return nil, err
	}
	var text []byte
	err := h.call(fmt.Sprintf("the hub does not show topic %.80q", topic), func() (status int) {
		text, status = h.native.topicJSON(topic)
		return status
	})
	return text, err
}

// Peers lists the peers.
func (h *Hub) Peers() ([]HubPeer, error) {
	var text []byte
	err := h.call("the hub does not tell of its peers", func() (status int) {
		text, status = h.native.peers()
		return status
	})
	if err != nil {
		return nil, err
	}
	var rows []struct {
		HubPeer
		Seconds json.Number `json:"seconds"`
	}
	if err := json.Unmarshal(text, &rows); err != nil {
		return nil, fmt.Errorf("pulsews: the peers of the hub are no JSON array: %w", err)
	}
	peers := make([]HubPeer, len(rows))
	for i, row := range rows {
		peers[i] = row.HubPeer
		peers[i].Age = seconds(row.Seconds)
	}
	return peers, nil
}

var hubTables struct {
	once       sync.Once
	statistics []Statistic
}

func hubStatistics() []Statistic {
	hubTables.once.Do(func() { hubTables.statistics = nativeHubStatistics() })
	return hubTables.statistics
}

// HubStatisticTable lists the statistics of hubs. The error is a *LibraryError.
func HubStatisticTable() ([]Statistic, error) {
	if err := load(); err != nil {
		return nil, err
	}
	return append([]Statistic(nil), hubStatistics()...), nil
}

// Statistics gives the numbers that HubStatisticTable lists, by name; after Close those at its end. messages_offered is
// messages_written + messages_conflated + messages_dropped + messages_queued, at every moment.
func (h *Hub) Statistics() map[string]float64 {
	h.alive.RLock()
	values := h.last.statistics
	if !h.freed {
		values = h.readStatistics()
	}
	h.alive.RUnlock()
	result := make(map[string]float64, len(values))
	for i, value := range values {
		result[hubStatistics()[i].Name] = value
	}
	return result
}

// readStatistics is called while the native hub can't be freed.
func (h *Hub) readStatistics() []float64 {
	values := make([]float64, len(hubStatistics()))
	return values[:min(max(h.native.statistics(values), 0), len(values))]
}

// Prometheus gives the statistics in the Prometheus text format, version 0.0.4, with the label hub (WithHubName): what
// the hub itself answers at /metrics. Empty after Close.
func (h *Hub) Prometheus() string {
	h.alive.RLock()
	defer h.alive.RUnlock()
	if h.freed {
		return ""
	}
	return string(h.native.prometheus())
}
