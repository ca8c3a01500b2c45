// SPDX-License-Identifier: Apache-2.0

package pulse

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// page gives the examples of docs/PROTOCOL.md, each a line, by the part of the page that they stand in.
func page(t *testing.T) (fromHub, toHub []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "PROTOCOL.md"))
	if os.IsNotExist(err) {
		t.Skip("this is a copy of the module without the pages")
	}
	before, after, found := strings.Cut(string(text), "\n## From a peer")
	if !found {
		t.Fatal("docs/PROTOCOL.md has no part \"From a peer\"")
	}
	examples := func(part string) (lines []string) {
		for _, block := range strings.Split(part, "```json\n")[1:] {
			block, _, _ = strings.Cut(block, "```")
			lines = append(lines, strings.Split(strings.TrimSpace(block), "\n")...)
		}
		return lines
	}
	return examples(before), examples(after)
}

// same says whether two texts are the same JSON.
func same(t *testing.T, one, other []byte) bool {
	t.Helper()
	var values [2]any
	for i, text := range [][]byte{one, other} {
		if err := json.Unmarshal(text, &values[i]); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}

// Every example of the page is decoded as a type of its own, and nothing of it is lost.
func TestMessagesOfThePage(t *testing.T) {
	fromHub, toHub := page(t)
	seen := map[string]bool{}
	for _, line := range fromHub {
		message, err := Decode([]byte(line))
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		name := reflect.TypeOf(message).Name()
		seen[name] = true
		if unknown, is := message.(Unknown); is {
			if unknown.Type != "ping" || string(unknown.Text) != line { // reserved
				t.Errorf("%s has no type", line)
			}
			continue
		}
		if text, err := json.Marshal(message); err != nil || !same(t, text, []byte(line)) {
			t.Errorf("%s\nbecame %s\n%s, %v", line, name, text, err)
		}
	}
	for _, name := range []string{"Welcome", "Published", "Subscribed", "Unsubscribed", "Snapshot", "Gap", "TopicState",
		"Feed", "Error", "Pong", "Heartbeat", "Authenticated", "AuthExpiring"} {
		if !seen[name] {
			t.Errorf("the page has no %s", name)
		}
	}
	targets := map[string]any{"subscribe": &Subscribe{}, "unsubscribe": &Unsubscribe{}, "ping": &Ping{}, "auth": &Auth{}}
	for _, line := range toHub {
		var head struct{ Type string }
		// The short form of a topic is not one of these types.
		line = strings.Replace(line, `"price.SOL",{`, `{"topic":"price.SOL"},{`, 1)
		if err := json.Unmarshal([]byte(line), &head); err != nil {
			t.Fatal(err)
		}
		target := targets[head.Type]
		if target == nil {
			t.Errorf("%s has no type", line)
			continue
		}
		delete(targets, head.Type)
		if err := json.Unmarshal([]byte(line), target); err != nil {
			t.Fatal(err)
		}
		if text, err := json.Marshal(target); err != nil || !same(t, text, []byte(line)) {
			t.Errorf("%s\nbecame %s, %v", line, text, err)
		}
	}
	if len(targets) != 0 {
		t.Errorf("the page does not show %v", targets)
	}
}

func TestPublishedMayHaveAnyType(t *testing.T) {
	message, err := Decode([]byte(`{"type":"gap","topic":"t","o":7,"p":6,"t":[null,null,1.5],"data":[1]}`))
	published, is := message.(Published)
	if err != nil || !is || published.O != 7 || string(published.Data) != "[1]" || published.T[0] != nil || *published.T[2] != 1.5 {
		t.Errorf("%#v, %v", message, err)
	}
}

func TestWhatIsNoMessage(t *testing.T) {
	for _, text := range []string{"", "[1]", `{"type":7}`, `{"type":"gap","to":"x"}`, `{"o":1,"t":5}`} {
		if message, err := Decode([]byte(text)); err == nil {
			t.Errorf("%s became %#v", text, message)
		}
	}
	message, err := Decode([]byte(`{"type":"order_received","order":5}`))
	if unknown, is := message.(Unknown); err != nil || !is || unknown.Type != "order_received" {
		t.Errorf("%#v, %v", message, err)
	}
}

func TestWhatIsSent(t *testing.T) {
	for expected, message := range map[string]any{
		`{"type":"subscribe","topics":[{"topic":"a"},{"topic":"b"}]}`: NewSubscribe("a", "b"),
		`{"type":"unsubscribe","topics":["a"]}`:                       NewUnsubscribe("a"),
		`{"type":"auth","data":{"token":"x"}}`:                        NewAuth("x"),
		`{"type":"ping"}`:                                             NewPing(),
	} {
		if text, err := json.Marshal(message); err != nil || string(text) != expected {
			t.Errorf("%s, %v, expected %s", text, err, expected)
		}
	}
}
