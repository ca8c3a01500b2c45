// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func count(t *testing.T, folder string) int {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func descriptors(t *testing.T) int { return count(t, "/proc/self/fd") }
func threads(t *testing.T) int     { return count(t, "/proc/self/task") }

// eventually waits until something is true that no event announces.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(soon); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", soon, what)
		}
	}
}

func TestNothingLeaks(t *testing.T) {
	t.Run("beside another connection", func(t *testing.T) {
		dial(t, startServer(t, echo))
		dialAndCloseOften(t)
	})
	t.Run("alone", dialAndCloseOften)
}

// dialAndCloseOften checks that a hundred connections leave nothing behind.
func dialAndCloseOften(t *testing.T) {
	url := startServer(t, echo)
	address := strings.TrimSuffix(strings.TrimPrefix(url, "ws://"), "/")
	refused := "ws://" + strings.Replace(address, "127.0.0.1", "127.0.0.2", 1) + "/"
	round := func() {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		c, err := Dial(ctx, url, WithHostConnectRate("10000/s"))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Send(ctx, Text, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Recv(ctx); err != nil {
			t.Fatal(err)
		}
		short, cancelShort := context.WithTimeout(ctx, time.Millisecond)
		defer cancelShort()
		if _, err := c.Recv(short); err != context.DeadlineExceeded {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Dial(ctx, refused, WithHostConnectRate("10000/s")); err == nil {
			t.Fatal("Dial to a closed port succeeded")
		}
		if _, err := Dial(ctx, "ws://"); err == nil {
			t.Fatal("Dial without a host succeeded")
		}
	}
	round() // what is made once is made here
	fds, tasks, goroutines := descriptors(t), threads(t), runtime.NumGoroutine()
	for i := 0; i < 100; i++ {
		round()
	}
	// The server's side of the last connections ends a moment later.
	eventually(t, "descriptors and goroutines are as few as before", func() bool {
		return descriptors(t) <= fds+1 && runtime.NumGoroutine() <= goroutines+1
	})
	if now := threads(t); now > tasks+10 {
		t.Errorf("%d threads, %d before", now, tasks)
	}
}

func TestForgottenConnIsCollected(t *testing.T) {
	gone := make(chan struct{}, 10)
	url := startServer(t, func(p *peer) { p.serve(nil); gone <- struct{}{} })
	for i := 0; i < 10; i++ {
		c, err := Dial(within(t, soon), url)
		if err != nil {
			t.Fatal(err)
		}
		_ = c
	}
	eventually(t, "the connections end", func() bool { runtime.GC(); return len(gone) >= 9 })
}

func TestWaitingCostsNoThreads(t *testing.T) {
	const clients = 500
	url := startServer(t, echo)
	conns := make([]*Conn, clients)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var waiting sync.WaitGroup
	for i := range conns {
		conns[i] = dial(t, url, WithHostConnectRate("10000/s"))
		waiting.Add(1)
		go func(c *Conn) {
			defer waiting.Done()
			if msg, err := c.Recv(ctx); err != nil || msg.Text() != "now" {
				t.Errorf("%v, %v", msg, err)
			}
		}(conns[i])
	}
	if n := threads(t); n > 60 {
		t.Errorf("%d threads while %d goroutines wait", n, clients)
	}
	for _, c := range conns {
		if err := c.Send(ctx, Text, []byte("now")); err != nil {
			t.Error(err)
		}
	}
	waiting.Wait()
	if n := threads(t); n > 60 {
		t.Errorf("%d threads after %d goroutines waited", n, clients)
	}
	var closing sync.WaitGroup
	for _, c := range conns {
		closing.Add(1)
		go func(c *Conn) { defer closing.Done(); c.Close() }(c)
	}
	closing.Wait()
}

// The pinging server runs in a process of its own, so that this one can be busy.
const serverVariable = "PULSEWS_TEST_PINGING_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) != "" {
		pingingServer()
		os.Exit(0)
	}
	if url := os.Getenv("PULSEWS_TEST_DYING"); url != "" {
		dyingSender(url, os.Getenv("PULSEWS_TEST_JOURNAL"))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

type mainTB struct {
	testing.TB
	cleanups []func()
}

func (tb *mainTB) Helper()          {}
func (tb *mainTB) Cleanup(f func()) { tb.cleanups = append(tb.cleanups, f) }
func (tb *mainTB) Fatal(v ...any)   { panic(fmt.Sprint(v...)) }

// pingingServer prints its URL, pings its client every 50 ms, and prints a line for each pong with the nanoseconds that
// it took. It ends with its input.
func pingingServer() {
	url := startServer(&mainTB{}, func(p *peer) {
		start := time.Now()
		stop := make(chan struct{})
		defer close(stop)
		go func() {
			for ticker := time.NewTicker(50 * time.Millisecond); ; {
				select {
				case <-ticker.C:
					p.write(opPing, strconv.AppendInt(nil, int64(time.Since(start)), 10))
				case <-stop:
					return
				}
			}
		}()
		p.serve(func(f frame) {
			if f.opcode == opPong {
				sent, _ := strconv.ParseInt(string(f.payload), 10, 64)
				fmt.Println("pong", int64(time.Since(start))-sent)
			}
		})
	})
	fmt.Println(url)
	os.Stdin.Read(make([]byte, 1))
}

func TestPingsAreAnsweredWhileGoIsBusy(t *testing.T) {
	server := exec.Command(os.Args[0])
	server.Env = append(os.Environ(), serverVariable+"=1")
	input, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	reader, writer, err := os.Pipe() // read only when the busy time is over
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	server.Stdout = writer
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	defer func() { input.Close(); server.Wait() }()
	lines := bufio.NewScanner(reader)
	if !lines.Scan() {
		t.Fatal("the server did not start")
	}
	c := dial(t, lines.Text())

	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	start := time.Now()
	x := uint32(1)
	for time.Since(start) < 2*time.Second {
		for i := 0; i < 1000; i++ {
			x = x*1664525 + 1013904223
		}
	}
	runtime.KeepAlive(x)
	c.Close()
	input.Close()
	pongs, slowest := 0, time.Duration(0)
	for lines.Scan() {
		var took int64
		if n, _ := fmt.Sscanf(lines.Text(), "pong %d", &took); n == 1 {
			pongs++
			if d := time.Duration(took); d > slowest {
				slowest = d
			}
		}
	}
	if pongs < 10 || slowest > time.Second { // the machine may be busy too
		t.Errorf("%d pongs in 2 s, the slowest after %v; expected about 40, each at once", pongs, slowest)
	}
	t.Logf("%d pongs, the slowest after %v", pongs, slowest)
}

func TestLibraryPaths(t *testing.T) {
	if paths := libraryPaths("/some/where.so"); len(paths) != 1 || paths[0] != "/some/where.so" {
		t.Errorf("%v", paths)
	}
	paths := libraryPaths("")
	if paths[len(paths)-1] != "libpulsews.so.0" {
		t.Errorf("%v", paths)
	}
	for _, path := range paths[:len(paths)-1] {
		if !filepath.IsAbs(path) {
			t.Errorf("%v is searched in the current folder", path)
		}
	}
}

func TestMissingPackage(t *testing.T) {
	const path, gone = "/lib/libpulsews.so.0", ": cannot open shared object file: No such file or directory"
	for why, expected := range map[string]string{
		"libssl.so.3" + gone:      "it was found, but needs libssl.so.3, which is in the package libssl3 or libssl3t64 (Debian, Ubuntu), ",
		"libz.so.1" + gone:        "it was found, but needs libz.so.1, which is in the package zlib1g (Debian, Ubuntu), ",
		"libother.so.1" + gone:    "it was found, but needs libother.so.1, which was not",
		path + gone:               path + gone,
		path + ": file too short": path + ": file too short",
	} {
		if told := missingPackage(path, why); !strings.HasPrefix(told, expected) {
			t.Errorf("%q became %q", why, told)
		}
	}
}

// A program that can't find the library, or finds something else, gets an error from Dial.
func TestMissingLibrary(t *testing.T) {
	if linked {
		t.Skip("this program is linked with the library")
	}
	if os.Getenv("PULSEWS_TEST_MISSING") != "" {
		_, err := Dial(context.Background(), "ws://127.0.0.1/")
		var missing *LibraryError
		if !errors.As(err, &missing) {
			t.Fatalf("%v, expected a LibraryError", err)
		}
		fmt.Println("LIBRARY ERROR:", err)
		return
	}
	folder := t.TempDir()
	text := filepath.Join(folder, "text.so")
	if err := os.WriteFile(text, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{
		filepath.Join(folder, "absent.so"): "No such file",
		text:                               "file too short",
		"libm.so.6":                        "it is not libpulsews",
	}
	if other := otherVersion(t, folder); other != "" {
		paths[other] = "it is version 9.8.7, and this program was built for 0.1"
	}
	for path, expected := range paths {
		command := exec.Command(os.Args[0], "-test.run=^TestMissingLibrary$", "-test.v")
		command.Env = append(os.Environ(), "PULSEWS_TEST_MISSING=1", "PULSEWS_LIBRARY="+path)
		output, err := command.CombinedOutput()
		_, line, _ := strings.Cut(string(output), "LIBRARY ERROR: ")
		line, _, _ = strings.Cut(line, "\n")
		if err != nil || !strings.Contains(line, path) || !strings.Contains(line, expected) {
			t.Errorf("%s: %v\n%s", path, err, output)
		}
		t.Log(line)
	}
}

// otherVersion builds a library of another version, if there is a C compiler.
func otherVersion(t *testing.T, folder string) string {
	source, library := filepath.Join(folder, "other.c"), filepath.Join(folder, "other.so")
	err := os.WriteFile(source, []byte(`const char *pulsews_version(void) { return "9.8.7"; }
unsigned pulsews_version_number(void) { return 9u << 16 | 8 << 8 | 7; }
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("cc", "-shared", "-fPIC", "-o", library, source).CombinedOutput(); err != nil {
		t.Logf("not tried with another version: %v %s", err, output)
		return ""
	}
	return library
}
