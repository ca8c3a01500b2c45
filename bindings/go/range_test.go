// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64 && go1.23

package pulsews

import (
	"errors"
	"testing"
)

func TestRangeOverMessages(t *testing.T) {
	const count = 1000
	next := 0
	for msg, err := range dial(t, startServer(t, flood(count)), WithReconnect(false)).Messages(within(t, soon)) {
		if err != nil {
			if !errors.Is(err, ErrPeerClosed) {
				t.Error(err)
			}
			break
		}
		if err := check(msg, next); err != nil {
			t.Fatal(err)
		}
		next++
	}
	if next != count {
		t.Errorf("%d of %d messages", next, count)
	}
}
