// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// dyingSender is the process that leaves a message in doubt.
func dyingSender(url, journal string) {
	c, err := Dial(context.Background(), url, WithJournal(journal), WithCompression(false))
	if err == nil {
		err = c.Send(context.Background(), Binary, make([]byte, 15<<20))
	}
	for end := time.Now().Add(soon); err == nil && time.Now().Before(end); time.Sleep(time.Millisecond) {
		if c.Statistics()["bytes_sent"] > 1<<16 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}
	fmt.Println("no part has left:", err)
}

// journalInDoubt makes a journal with a message in doubt.
func journalInDoubt(t *testing.T) string {
	t.Helper()
	journal := filepath.Join(t.TempDir(), "journal")
	ended, end := context.WithCancel(context.Background())
	url := startServer(t, func(*peer) { <-ended.Done() }) // reads nothing
	t.Cleanup(end)
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), "PULSEWS_TEST_DYING="+url, "PULSEWS_TEST_JOURNAL="+journal)
	output, err := command.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("%v\n%s", err, output)
	}
	return journal
}

// inDoubt says how many messages a new connection with the journal tells to be in doubt.
func inDoubt(t *testing.T, journal string) float64 {
	t.Helper()
	c, err := newConn("ws://127.0.0.1:1/", []Option{WithJournal(journal)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.Statistics()["journal_in_doubt"]
}

// A message in doubt is told again to the next process until the application has received the event, also while this
// package reads ahead for a login.
func TestReadingAheadTakesNoEventOfTheJournal(t *testing.T) {
	for _, takes := range []bool{false, true} {
		t.Run(fmt.Sprint("taken: ", takes), func(t *testing.T) {
			journal := journalInDoubt(t)
			e := newExchange(t)
			c := dial(t, e.url(), quickly(WithJournal(journal), WithEvents(true), WithLoginFunc(
				func(context.Context) ([]Message, error) { return []Message{{Data: []byte("login")}}, nil }))...)
			if err := c.Send(within(t, soon), Text, []byte("next")); err != nil {
				t.Fatal(err)
			}
			e.got("1:login", "1:next")
			for round := 1; round <= 3; round++ { // much is read ahead
				e.say("tick")
				e.cut(round)
				e.connections(round + 1)
			}
			eventually(t, "it was read ahead", func() bool {
				c.receiving.Lock()
				defer c.receiving.Unlock()
				ticks := 0
				for _, message := range c.ready[c.position:] {
					if message.Kind == Text {
						ticks++
					}
				}
				return ticks == 3
			})
			if takes {
				report := nextEvent(t, c, "journal", nil)
				if report.Journal.InDoubt != 1 || len(report.Journal.InDoubtIDs) != 1 {
					t.Errorf("%+v", report.Journal)
				}
				for {
					short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
					_, err := c.Recv(short)
					cancel()
					if err != nil {
						break
					}
				}
			}
			c.CloseWith(context.Background(), 0, "")
			expected := 1.0
			if takes {
				expected = 0
			}
			if count := inDoubt(t, journal); count != expected {
				t.Errorf("%v messages are in doubt, expected %v", count, expected)
			}
		})
	}
}
