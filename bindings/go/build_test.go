// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// How programs get this module: from a vendored copy, from the zip of a module proxy; and where they can't have it.

// application is a module with one program, which needs the library to end well.
func application(t *testing.T, mod string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example.com/app\n\ngo 1.21\n\n" + mod,
		"main.go": `package main

import (
	"context"
	"errors"
	"fmt"

	"pulsews.dev/go"
)

func main() {
	_, err := pulsews.Dial(context.Background(), "http://not a URL/")
	fmt.Println(errors.Is(err, pulsews.ErrURL), err)
}
`} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// The module where the tests run, in place of one from the network.
func replaced(t *testing.T) string {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return "require pulsews.dev/go v0.0.0\n\nreplace pulsews.dev/go => " + here + "\n"
}

// command runs a command in folder, with variables in place of those of the environment; its output in one.
func command(t *testing.T, folder string, variables []string, words ...string) (string, error) {
	t.Helper()
	c := exec.Command(words[0], words[1:]...)
	c.Dir = folder
	c.Env = append(append(os.Environ(), "GOFLAGS=", "GOWORK=off", "PWD="+folder), variables...)
	output, err := c.CombinedOutput()
	return string(output), err
}

func mustRun(t *testing.T, folder string, variables []string, words ...string) string {
	t.Helper()
	output, err := command(t, folder, variables, words...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, output)
	}
	return output
}

// checkRuns runs the program of application.
func checkRuns(t *testing.T, folder string, variables ...string) {
	t.Helper()
	if output := mustRun(t, folder, variables, "./app"); !strings.HasPrefix(output, "true ") {
		t.Errorf("the program said %s", output)
	}
}

func TestHeadersAreThoseOfTheLibrary(t *testing.T) {
	for _, name := range []string{"pulsews.h", "pulsews_hub.h"} {
		original, err := os.ReadFile(filepath.Join("..", "..", "include", name))
		if os.IsNotExist(err) {
			t.Skip("this is a copy of the module without the library's source")
		}
		copied, _ := os.ReadFile(name)
		if !bytes.Equal(original, copied) {
			t.Errorf("bindings/go/%s differs from include/%s: run go generate in bindings/go", name, name)
		}
	}
}

// The program of docs/HUB.md runs, and what README.md shows of hubs compiles.
func TestProgramsOfThePages(t *testing.T) {
	folder := application(t, replaced(t))
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "HUB.md"))
	if os.IsNotExist(err) {
		t.Skip("this is a copy of the module without the pages")
	}
	must(t, err)
	write := func(code string) {
		must(t, os.WriteFile(filepath.Join(folder, "main.go"), []byte(code), 0o600))
		mustRun(t, folder, nil, "go", "vet", ".")
	}
	programs := goBlocks(string(page))
	if len(programs) != 1 {
		t.Fatalf("docs/HUB.md has %d programs in Go", len(programs))
	}
	write(strings.Replace(programs[0], "127.0.0.1:8080", "127.0.0.1:0", 1))
	mustRun(t, folder, nil, "go", "run", ".") // its input is at its end, so it goes at once
	readme, err := os.ReadFile("README.md")
	must(t, err)
	mustRun(t, folder, nil, "go", "mod", "edit", "-go=1.23") // for ranging over events
	parts := 0
	for _, part := range goBlocks(string(readme)) {
		if !strings.Contains(part, "NewHub") {
			continue
		}
		parts++
		write("package main\n\nimport (\n\"context\"\n\"errors\"\n\"log\"\n\n\"pulsews.dev/go\"\n)\n\n" +
			"func part(ctx context.Context, feed func(*pulsews.Hub), answer func([]byte) []byte) error {\n" + part + "}\n\n" +
			"func main() { log.Print(part(context.Background(), nil, nil)) }\n")
	}
	if parts != 1 {
		t.Errorf("README.md has %d parts about hubs", parts)
	}
}

func goBlocks(page string) (blocks []string) {
	for _, block := range strings.Split(page, "```go\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		blocks = append(blocks, block)
	}
	return blocks
}

func TestVendoredCopy(t *testing.T) {
	folder := application(t, replaced(t))
	mustRun(t, folder, nil, "go", "mod", "vendor")
	mustRun(t, folder, nil, "go", "build", "-mod=vendor", "-o", "app", ".")
	checkRuns(t, folder)

	// Linked with an installed library, which needs no header.
	library, err := filepath.EvalSymlinks(os.Getenv("PULSEWS_LIBRARY"))
	if err != nil {
		t.Fatal(err)
	}
	libraries := filepath.Dir(library)
	config := "Name: pulsews\nDescription: -\nVersion: 0.1\nLibs: -L" + libraries + " -lpulsews\n"
	if err := os.WriteFile(filepath.Join(folder, "pulsews.pc"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	mustRun(t, folder, []string{"PKG_CONFIG_PATH=" + folder}, "go", "build", "-mod=vendor", "-tags=pulsews_link", "-o",
		"app", ".")
	checkRuns(t, folder, "LD_LIBRARY_PATH="+libraries, "PULSEWS_LIBRARY=/absent")
}

func TestModuleZip(t *testing.T) {
	proxy, cache := t.TempDir(), t.TempDir()
	versions := filepath.Join(proxy, "pulsews.dev", "go", "@v")
	if err := os.MkdirAll(versions, 0o700); err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"v0.1.0.info": []byte(`{"Version":"v0.1.0"}`), "v0.1.0.mod": mod,
		"v0.1.0.zip": moduleZip(t, "pulsews.dev/go@v0.1.0/")} {
		if err := os.WriteFile(filepath.Join(versions, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	folder := application(t, "require pulsews.dev/go v0.1.0\n")
	mustRun(t, folder, []string{"GOPROXY=file://" + proxy, "GOSUMDB=off", "GOMODCACHE=" + cache,
		"GOFLAGS=-mod=mod -modcacherw"}, "go", "build", "-o", "app", ".")
	checkRuns(t, folder)
}

// moduleZip packs this module as a proxy does: regular files, without folders that are vendored copies or other
// modules, each under the module's path and version.
func moduleZip(t *testing.T, prefix string) []byte {
	t.Helper()
	var packed bytes.Buffer
	archive := zip.NewWriter(&packed)
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			_, nested := os.Stat(filepath.Join(path, "go.mod"))
			if path != "." && (nested == nil || entry.Name() == "vendor" || entry.Name() == ".git") {
				return fs.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := archive.Create(prefix + filepath.ToSlash(path))
		if err == nil {
			_, err = file.Write(content)
		}
		return err
	})
	if err == nil {
		err = archive.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// Where the module can't be built one sentence says why, and nothing else.
func TestBuildSaysWhatItNeeds(t *testing.T) {
	folder := application(t, replaced(t))
	const cgo = "pulsews_needs_cgo__set_CGO_ENABLED_1_and_install_a_C_compiler"
	const linux = "pulsews_is_for_linux_on_amd64_only"
	for _, test := range []struct{ variables, sentence, commands string }{
		{"CGO_ENABLED=0", cgo, "build vet test"},
		{"CGO_ENABLED=0 GOARCH=arm64", linux, "build vet"},
		{"CGO_ENABLED=1 GOARCH=arm64", linux, "build vet"},
		{"CGO_ENABLED=0 GOOS=darwin", linux, "build vet"},
		{"CGO_ENABLED=0 GOOS=windows", linux, "build vet"},
	} {
		variables := strings.Fields(test.variables)
		for _, word := range strings.Fields(test.commands) {
			output, err := command(t, folder, variables, "go", word, "pulsews.dev/go")
			if err == nil || strings.Count(output, "undefined: "+test.sentence) != 1 ||
				strings.Count(output, ".go:") != 1 {
				t.Errorf("%s go %s: %v\n%s", test.variables, word, err, output)
			}
		}
		// Tools that only look at the package need none of it.
		mustRun(t, folder, variables, "go", "list", "pulsews.dev/go")
		mustRun(t, folder, variables, "go", "doc", "pulsews.dev/go")
	}
}

// A static program has no loader for the library, which would bring a second libc: an error, and no crash.
func TestStaticProgram(t *testing.T) {
	folder := application(t, replaced(t))
	for _, how := range []string{"-static", "-static-pie"} {
		words := []string{"go", "build", "-ldflags=-linkmode=external -extldflags=" + how, "-o", "app", "."}
		if how == "-static-pie" {
			words = append(words[:2:2], append([]string{"-buildmode=pie"}, words[2:]...)...)
		}
		mustRun(t, folder, nil, words...)
		output := mustRun(t, folder, nil, "./app")
		if !strings.HasPrefix(output, "false ") || !strings.Contains(output, "this program is linked statically") {
			t.Errorf("a program linked with %s said %s", how, output)
		}
	}
}
