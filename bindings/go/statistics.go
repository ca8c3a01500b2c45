// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"math"
	"sync"
)

// A Statistic describes one number of Conn.Statistics.
type Statistic struct {
	Name    string // e.g. "messages_received"
	Type    string // "counter", which only grows, or "gauge", the value of this moment
	Unit    string // "messages", "bytes", "seconds" ...
	Meaning string
}

// A Transition is one line of the table of states: in state From, Event leads to state To. What is not in the table
// does nothing.
type Transition struct {
	From    State
	Event   string // as in the field Trigger of an Event
	To      State
	Meaning string
}

// A Preset is a set of options for a known feed, for WithPreset.
type Preset struct {
	Name    string
	Text    string // which feed it is for, and where its facts come from
	Options []PresetOption
}

// A PresetOption is one option that a Preset sets, as WithOption would; an option that takes several values may be
// there several times.
type PresetOption struct{ Name, Value string }

var tables struct {
	once        sync.Once
	statistics  []Statistic
	transitions []Transition
	index       map[string]int // of a statistic
}

func readTables() {
	tables.once.Do(func() {
		tables.statistics, tables.transitions = nativeStatistics(), nativeTransitions()
		tables.index = make(map[string]int, len(tables.statistics))
		for i, entry := range tables.statistics {
			tables.index[entry.Name] = i
		}
	})
}

// StatisticTable lists the statistics. The error is a *LibraryError.
func StatisticTable() ([]Statistic, error) {
	if err := load(); err != nil {
		return nil, err
	}
	readTables()
	return append([]Statistic(nil), tables.statistics...), nil
}

// TransitionTable lists what leads from one State to another. The error is a *LibraryError.
func TransitionTable() ([]Transition, error) {
	if err := load(); err != nil {
		return nil, err
	}
	readTables()
	return append([]Transition(nil), tables.transitions...), nil
}

// Presets lists the presets. The error is a *LibraryError.
func Presets() ([]Preset, error) {
	if err := load(); err != nil {
		return nil, err
	}
	return nativePresets(), nil
}

// Statistics gives the numbers that StatisticTable lists, by name; after Close those at its end. Times are in seconds;
// NaN stands for what is not known yet.
func (c *Conn) Statistics() map[string]float64 {
	readTables()
	c.alive.RLock()
	values := c.last.statistics
	if !c.freed {
		values = c.readStatistics()
	}
	c.alive.RUnlock()
	result := make(map[string]float64, len(values))
	for i, value := range values {
		result[tables.statistics[i].Name] = value
	}
	return result
}

// readStatistics is called while the native client can't be freed.
func (c *Conn) readStatistics() []float64 {
	readTables()
	values := make([]float64, len(tables.statistics))
	return values[:min(max(c.native.statistics(values), 0), len(values))]
}

// statistic gives one of them, which must not be called after Close; NaN if there is none of that name.
func (c *Conn) statistic(name string) float64 {
	c.alive.RLock()
	defer c.alive.RUnlock()
	if values := c.readStatistics(); !c.freed {
		if i, ok := tables.index[name]; ok && i < len(values) {
			return values[i]
		}
	}
	return math.NaN()
}

// Prometheus gives the statistics of this connection in the Prometheus text format, version 0.0.4, with the labels
// client (WithName), endpoint and id; empty after Close.
func (c *Conn) Prometheus() string {
	c.alive.RLock()
	defer c.alive.RUnlock()
	if c.freed {
		return ""
	}
	return string(c.native.prometheus())
}

// Prometheus gives those of all connections of the process, each metric once: what a handler of /metrics answers. Empty
// before the first Dial.
func Prometheus() string {
	if !isLoaded() {
		return ""
	}
	return string(native{}.prometheus())
}
