// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"strings"
	"testing"
)

// functionOf gives the Go name of an option: open_timeout is WithOpenTimeout.
func functionOf(option string) string {
	name := "With"
	for _, word := range strings.Split(option, "_") {
		switch word {
		case "ca", "url", "tls", "ttl", "sha256":
			name += strings.ToUpper(word)
		default:
			name += strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return name
}

func TestEachOptionHasItsFunction(t *testing.T) {
	if err := load(); err != nil {
		t.Fatal(err)
	}
	entries := nativeOptions()
	if len(entries) == 0 {
		t.Fatal("the library has no options")
	}
	optionFunctions["WithHeaders"] = WithHeaders(http.Header{"X-Test": {"1"}})
	left := map[string]bool{}
	for name := range optionFunctions {
		left[name] = true
	}
	for _, entry := range entries {
		name := functionOf(entry.name)
		option, ok := optionFunctions[name]
		if !ok {
			t.Errorf("option %s (%s) has no function %s", entry.name, entry.kind, name)
			continue
		}
		delete(left, name)
		var s settings
		option(&s)
		if s.err != nil || len(s.list) != 1 || s.list[0].name != entry.name {
			t.Errorf("%s sets %+v, expected %s", name, s, entry.name)
		}
		if entry.meaning == "" || entry.kind == "" {
			t.Errorf("%+v", entry)
		}
		if n, _, err := createNative("ws://127.0.0.1:1/", append(s.list, setting{"no_such_option", ""})); err == nil {
			n.freeClient()
			n.free()
			t.Error("an unknown option was taken")
		} else if !strings.Contains(err.Error(), "no_such_option") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name := range left {
		t.Errorf("the library has no option for %s", name)
	}
}

func TestPresets(t *testing.T) {
	presets, err := Presets()
	if err != nil || len(presets) < 8 {
		t.Fatal(presets, err)
	}
	for _, preset := range presets {
		if preset.Text == "" || len(preset.Options) == 0 {
			t.Errorf("%+v", preset)
		}
		// The whole preset is taken, and each of its lines by itself.
		for _, options := range [][]Option{{WithPreset(preset.Name)}, nil} {
			if options == nil {
				for _, option := range preset.Options {
					options = append(options, WithOption(option.Name, option.Value))
				}
			}
			var s settings
			for _, option := range options {
				option(&s)
			}
			n, _, err := createNative("ws://127.0.0.1:1/", s.list)
			if err != nil {
				t.Errorf("%s: %v", preset.Name, err)
				continue
			}
			n.freeClient()
			n.free()
		}
	}
	_, err = Dial(context.Background(), "ws://127.0.0.1:1/", WithPreset("no-such-feed"))
	if !errors.Is(err, ErrValue) || !strings.Contains(err.Error(), "no-such-feed") {
		t.Error(err)
	}
}

// The functions of options are those of the table above, and some that are more convenient.
func TestOptionFunctionsAreKnown(t *testing.T) {
	var declarations []ast.Decl
	for _, name := range []string{"options.go", "options_contract.go", "hooks.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		declarations = append(declarations, file.Decls...)
	}
	convenient := map[string]bool{"WithOption": true, "WithHeader": true, "WithHeaders": true, "WithHeartbeat": true,
		"WithLoginFunc": true, "WithHeaderFunc": true, "WithURLFunc": true, "WithWait": true}
	found := 0
	for _, declaration := range declarations {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || !strings.HasPrefix(function.Name.Name, "With") {
			continue
		}
		if optionFunctions[function.Name.Name] != nil {
			found++
		} else if !convenient[function.Name.Name] {
			t.Errorf("%s is in no table of this test", function.Name.Name)
		}
	}
	if found != len(optionFunctions) {
		t.Errorf("%d of %d functions were found", found, len(optionFunctions))
	}
}

func TestErrorTable(t *testing.T) {
	if err := load(); err != nil {
		t.Fatal(err)
	}
	known := map[int]*Error{}
	for _, err := range errorVariables {
		e := err.(*Error)
		known[e.Code] = e
	}
	codes := nativeErrorCodes()
	for _, code := range codes {
		e := known[code]
		if e == nil {
			t.Errorf("%d %s has no variable", code, nativeErrorName(code))
			continue
		}
		if e.Name != nativeErrorName(code) || e.Text != nativeErrorText(code) {
			t.Errorf("%d is %q %q in the library, %q %q here", code, nativeErrorName(code), nativeErrorText(code), e.Name,
				e.Text)
		}
		delete(known, code)
	}
	for code := range known {
		t.Errorf("the library has no code %d", code)
	}
}

func TestErrorTexts(t *testing.T) {
	for expected, err := range map[string]error{
		"pulsews: the outbox is full (PULSEWS_EQUEUEFULL)":            ErrQueueFull,
		"pulsews: the peer closed the connection with code 1005":      &CloseError{Code: 1005},
		"pulsews: the peer closed the connection with code 4000: bye": &CloseError{Code: 4000, Reason: "bye"},
		"pulsews: gave up after 3 attempts":                           &CloseError{Text: "gave up after 3 attempts"},
		"pulsews: panic in OnMessage: oops":                           &PanicError{Function: "OnMessage", Value: "oops"},
		"pulsews: refused":                                            &HandshakeError{Text: "refused"},
	} {
		if err.Error() != expected {
			t.Errorf("%q, expected %q", err, expected)
		}
	}
	if names := fmt.Sprint(Text, Binary, Ping, Pong, EventMessage, Kind(7), State(9)); names !=
		"text binary ping pong event Kind(7) State(9)" {
		t.Error(names)
	}
}

func TestMessageLayout(t *testing.T) {
	expected := []uintptr{40, 0, 8, 16, 20, 24, 32} // size, data, length, kind, flags, received_ns, sequence
	for i, n := range messageLayout() {
		if n != expected[i] {
			t.Errorf("%v, expected %v", messageLayout(), expected)
		}
	}
	if nativeVersion() == "" {
		t.Error("the library has no version")
	}
}
