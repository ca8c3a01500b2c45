// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// Options, statistics and events of hubs are those of the library.

func TestEachHubOptionHasItsFunction(t *testing.T) {
	must(t, load())
	left := map[string]bool{}
	for _, entry := range nativeHubOptions() {
		left[entry.of+" "+entry.name] = true
	}
	if len(left) < 50 {
		t.Fatalf("%d options", len(left))
	}
	try := func(of, name string, option func(*settings), set func(setting) error) {
		t.Helper()
		var s settings
		option(&s)
		if s.err != nil || len(s.list) != 1 || !left[of+" "+s.list[0].name] {
			t.Errorf("%s sets %+v", name, s)
			return
		}
		if expected := strings.Replace(functionOf(s.list[0].name), "With", "With"+strings.ToUpper(of[:1])+of[1:], 1); expected != name {
			t.Errorf("%s sets %s, which is for %s", name, s.list[0].name, expected)
		}
		delete(left, of+" "+s.list[0].name)
		if err := set(s.list[0]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, option := range hubOptionFunctions {
		try("hub", name, option, func(s setting) error {
			h, err := NewHub(WithHubOption(s.name, s.value))
			if err == nil {
				h.Close()
			}
			return err
		})
	}
	h := newHub(t)
	for name, option := range routeOptionFunctions {
		try("route", name, option, func(s setting) error { return h.Route("/a/", WithRouteOption(s.name, s.value)) })
	}
	for name, option := range topicOptionFunctions {
		try("topic", name, option, func(s setting) error { return h.Topic("a.*", WithTopicOption(s.name, s.value)) })
	}
	for name := range left {
		t.Errorf("option %s has no function", name)
	}
}

func TestBadHubOptions(t *testing.T) {
	for name, options := range map[string][]HubOption{
		"no_such_option":        {WithHubOption("no_such_option", "1")},
		"loops":                 {nil, WithHubLoops(65)},
		"slow_policy":           {WithHubSlowPolicy("fast")},
		"events":                {WithHubEvents(HubEventKind(99))},
		"certificate":           {WithHubCertificate("a\x00b")},
		"compression_threshold": {WithHubCompressionThreshold(-1)},
	} {
		h, err := NewHub(options...)
		if err == nil {
			h.Close()
		}
		if (!errors.Is(err, ErrOption) && !errors.Is(err, ErrValue)) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h := newHub(t)
	for i, test := range []struct{ err, is error }{
		{h.Route("no-slash"), ErrValue}, {h.Route("/a", WithRouteKind("file")), ErrValue}, {h.Route("/a\x00"), ErrInvalid},
		{h.Route("/a", WithRouteOption("no_such", "")), ErrOption}, {h.Topic("**.a"), ErrValue}, {h.Topic("a\x00"), ErrInvalid},
		{h.Topic("a", WithTopicHistory(-1)), ErrValue}, {h.Topic("a", WithTopicConflate("\x00")), ErrValue}, {h.Listen("nowhere"), ErrValue},
		{h.Listen("\x00"), ErrInvalid}, {h.Key("k", "HS256", []byte("short")), ErrValue}, {h.Key("k", "none", make([]byte, 32)), ErrValue},
		{h.Key("k\x00", "HS256", make([]byte, 32)), ErrInvalid},
	} {
		if !errors.Is(test.err, test.is) {
			t.Errorf("number %d: %v, expected %v", i, test.err, test.is)
		}
	}
}

func TestHubTables(t *testing.T) {
	table, err := HubStatisticTable()
	must(t, err)
	var names []string
	for _, entry := range table {
		names = append(names, entry.Name)
		if entry.Meaning == "" || entry.Unit == "" || entry.Type != "counter" && entry.Type != "gauge" {
			t.Errorf("%+v", entry)
		}
	}
	if !reflect.DeepEqual(names, hubStatisticNames) {
		t.Errorf("%v, expected %v", names, hubStatisticNames)
	}
	h := startHub(t)
	if s := h.Statistics(); len(s) != len(names) {
		t.Error(s)
	}
	if text := fmt.Sprint(HubHTTPRequest, HubEventKind(99), TopicDegraded, TopicState(99)); text !=
		"http_request HubEventKind(99) degraded TopicState(99)" {
		t.Error(text)
	}
	expected := []uintptr{128, 8, 40, 104, 64, 24, 56}
	if layout := hubLayout(); !reflect.DeepEqual(layout, expected) {
		t.Errorf("%v, expected %v", layout, expected)
	}
}

// Every member that an event fills, as the contract says, has a field of its own here.
func TestEachKeyOfAHubEventHasAField(t *testing.T) {
	fields := map[string]func(HubEvent) bool{
		"peer": func(e HubEvent) bool { return e.Peer == 7 }, "request": func(e HubEvent) bool { return e.Request == 7 },
		"count": func(e HubEvent) bool { return e.Count == 7 }, "address": func(e HubEvent) bool { return e.Address == "address" },
		"route": func(e HubEvent) bool { return e.Route == "route" }, "target": func(e HubEvent) bool { return e.Target == "target" },
		"method":  func(e HubEvent) bool { return e.Method == "method" },
		"headers": func(e HubEvent) bool { return e.Header.Get("Name") == "value" },
		"topic":   func(e HubEvent) bool { return e.Topic == "topic" }, "data": func(e HubEvent) bool { return string(e.Data) == "data" },
		"text": func(e HubEvent) bool { return e.Reason+e.Token+e.Subprotocol+e.User == "text" },
		"code": func(e HubEvent) bool {
			return e.CloseCode == 2 || e.MessageKind == Binary || e.Policy == SlowDisconnect
		},
	}
	for kind, keys := range hubEventKeys {
		event := madeUpEvent(kind)
		for _, key := range keys {
			if is := fields[key]; is == nil || !is(event) {
				t.Errorf("event %v has no field for %s: %+v", kind, key, event)
			}
		}
	}
}
