// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// The levels of the library's log.
const (
	logOff = iota
	logError
	logWarning
	logInfo
	logDebug
)

const (
	logCapacity = 10000
	logLine     = 4096
	// How long the goroutine waits in the library at a time. Turning the log off wakes it; this is for the case that
	// other code of the process has sent the log elsewhere.
	logWait = time.Second
)

var logging struct {
	mu       sync.Mutex
	on       bool
	turns    int          // how often it was turned on
	logger   *slog.Logger // the last one that was set
	since    time.Time    // for lines from here on ...
	previous *slog.Logger // ... and for those before, which may still be under way
	reading  bool         // the goroutine is there
}

// SetLogger sends what the library has to say from level on to logger, for all connections of the process:
// slog.LevelError when trying to connect has ended, LevelWarn when a connection is lost, LevelInfo when it is there,
// LevelDebug for each step. A nil logger turns it off, which it is at first. URLs stand without user and query, headers
// by name only, messages not at all; a text that a server refuses with is quoted, unless it repeats what may be a key.
// One goroutine reads the library's queue; the record's time is that of the event. Its attribute "client" is what
// WithName has set, or else the URL; a panic has "function" and "stack", too. The error is a *LibraryError.
func SetLogger(logger *slog.Logger, level slog.Level) error {
	if logger == nil && !isLoaded() {
		return nil
	}
	if err := load(); err != nil {
		return err
	}
	if logger == nil {
		buffer := make([]byte, logLine)
		for i := 0; i < logCapacity && isOn() && passOn(buffer, 0) == logPassed; i++ { // what is still in the queue
		}
	}
	logging.mu.Lock()
	defer logging.mu.Unlock()
	if logger == nil {
		if logging.on {
			logging.on = false
			nativeLogQueue(logOff, 1)
		}
		return nil
	}
	now := time.Now()
	if status := nativeLogQueue(libraryLevel(level), logCapacity); status != 0 {
		return errorOf(status, "")
	}
	logging.previous, logging.logger, logging.since = logging.logger, logger, now
	logging.on = true
	logging.turns++
	if !logging.reading {
		logging.reading = true
		go readLog()
	}
	return nil
}

func libraryLevel(level slog.Level) int {
	switch {
	case level <= slog.LevelDebug:
		return logDebug
	case level <= slog.LevelInfo:
		return logInfo
	case level <= slog.LevelWarn:
		return logWarning
	}
	return logError
}

func slogLevel(level int) slog.Level {
	switch level {
	case logError:
		return slog.LevelError
	case logWarning:
		return slog.LevelWarn
	case logInfo:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

func isOn() bool {
	logging.mu.Lock()
	defer logging.mu.Unlock()
	return logging.on
}

// readLog runs until the log is off, or elsewhere.
func readLog() {
	buffer := make([]byte, logLine)
	gone := 0 // the turn whose log is over
	for {
		logging.mu.Lock()
		if !logging.on || gone == logging.turns {
			logging.reading = false
			logging.mu.Unlock()
			return
		}
		turn := logging.turns
		logging.mu.Unlock()
		if passOn(buffer, logWait) == logGone {
			gone = turn
		}
	}
}

// What passOn found.
const (
	logPassed = iota
	logEmpty  // no line in time
	logGone   // the log is off, or elsewhere
)

// passOn waits for a line and logs it.
func passOn(buffer []byte, wait time.Duration) int {
	length, level, at := nativeLogNext(buffer, wait)
	switch {
	case length == codeTimeout:
		return logEmpty
	case length < 0:
		return logGone
	}
	when := time.Unix(0, at)
	logging.mu.Lock()
	logger := logging.logger
	if when.Before(logging.since) && logging.previous != nil {
		logger = logging.previous
	}
	logging.mu.Unlock()
	if client, text := clientOf(string(buffer[:min(length, len(buffer))])); client != "" {
		write(logger, when, slogLevel(level), text, slog.String("client", client))
	} else {
		write(logger, when, slogLevel(level), text)
	}
	return logPassed
}

// clientOf takes the client off the front of a line of the library, where it stands in brackets. A name may have
// brackets itself: those that are in pairs belong to it.
func clientOf(line string) (client, text string) {
	if !strings.HasPrefix(line, "[") {
		return "", line
	}
	open := 0
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '[':
			open++
		case ']':
			if open--; open == 0 && strings.HasPrefix(line[i+1:], " ") {
				return line[1:i], line[i+2:]
			}
		}
	}
	if client, text, found := strings.Cut(line[1:], "] "); found { // the pairs do not come out even
		return client, text
	}
	return "", line
}

// write logs one line; a handler that panics loses it, and nothing else.
func write(logger *slog.Logger, at time.Time, level slog.Level, text string, about ...slog.Attr) {
	defer func() { recover() }()
	ctx := context.Background()
	if handler := logger.Handler(); handler.Enabled(ctx, level) {
		record := slog.NewRecord(at, level, text, 0)
		record.AddAttrs(about...)
		handler.Handle(ctx, record)
	}
}

// report logs what this package itself has to say about a connection. False if there is no logger.
func (c *Conn) report(level slog.Level, text string, about ...slog.Attr) bool {
	logging.mu.Lock()
	on, logger := logging.on, logging.logger
	logging.mu.Unlock()
	if on {
		write(logger, time.Now(), level, text, append(about, slog.String("client", c.logName()))...)
	}
	return on
}

// logName is what the log calls this connection.
func (c *Conn) logName() string {
	if c.name != "" {
		return c.name
	}
	status, _ := c.Status()
	return status.Endpoint
}
