// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64 && go1.23

package pulsews

import (
	"context"
	"errors"
	"testing"
)

func TestRangeOverEvents(t *testing.T) {
	h := startHub(t, WithHubEvents(HubConnected, HubMessage, HubClosed))
	c := join(t, h, "/ws/stream")
	must(t, c.Send(within(t, soon), Text, []byte("close")))
	var kinds []HubEventKind
	var last error
	for event, err := range h.Events(within(t, soon)) {
		if last = err; err != nil {
			break
		}
		kinds = append(kinds, event.Kind)
		switch event.Kind {
		case HubMessage: // close while Events runs
			must(t, c.Close())
		case HubClosed:
			must(t, h.Close())
		}
	}
	if len(kinds) != 3 || kinds[0] != HubConnected || kinds[1] != HubMessage || kinds[2] != HubClosed || !errors.Is(last, ErrClosed) {
		t.Error(kinds, last)
	}
	count := 0
	for _, err := range h.Events(context.Background()) { // one pair with the error
		if count++; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
	if count != 1 {
		t.Error(count)
	}
}
