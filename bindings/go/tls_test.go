// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority makes a certificate authority, writes it to a PEM file, and gives a certificate for a host name.
func authority(t *testing.T, name, host string) (tls.Certificate, string) {
	t.Helper()
	sign := func(template, parent *x509.Certificate, public any, private any) []byte {
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public, private)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	now := time.Now()
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if ip := net.ParseIP(host); ip != nil {
		leaf.IPAddresses = []net.IP{ip}
	} else {
		leaf.DNSNames = []string{host}
	}
	rootKey, leafKey := key(), key()
	rootDER := sign(root, root, &rootKey.PublicKey, rootKey)
	leafDER := sign(leaf, root, &leafKey.PublicKey, rootKey)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: leafKey}, file
}

func TestTLS(t *testing.T) {
	certificate, ca := authority(t, "one", "127.0.0.1")
	_, otherCA := authority(t, "two", "127.0.0.1")
	_, renewedCA := authority(t, "one", "127.0.0.1") // the same name, another key
	wrongHost, wrongHostCA := authority(t, "three", "example.com")
	start := func(certificate tls.Certificate) string {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if p, err := upgrade(w, r, ""); err == nil {
				defer p.conn.Close()
				echo(p)
			}
		}))
		server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		t.Cleanup(server.Close)
		return strings.Replace(server.URL, "https://", "wss://", 1)
	}
	good, wrong := start(certificate), start(wrongHost)
	for name, test := range map[string]struct {
		url     string
		options []Option
		is      error
	}{
		"own authority":   {good, []Option{WithCAFile(ca)}, nil},
		"not verified":    {good, []Option{WithVerify(false)}, nil},
		"system trust":    {good, nil, ErrUnknownCA},
		"other authority": {good, []Option{WithCAFile(otherCA)}, ErrUnknownCA},
		"renewed":         {good, []Option{WithCAFile(renewedCA)}, ErrUnknownCA},
		"other host":      {wrong, []Option{WithCAFile(wrongHostCA)}, ErrHostname},
		"no TLS there":    {strings.Replace(startServer(t, echo), "ws://", "wss://", 1), nil, ErrTLS},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Dial(within(t, soon), test.url, test.options...)
			if test.is != nil {
				if !errors.Is(err, test.is) {
					t.Errorf("%v, expected %v", err, test.is)
				}
				var e *Error
				if errors.As(err, &e) && e.Retryable() && test.is != ErrTLS {
					t.Errorf("retrying is said to help: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			ctx := within(t, soon)
			for _, size := range []int{0, 1, 16384, 1 << 20} {
				data := bytes.Repeat([]byte{7}, size)
				if err := c.Send(ctx, Binary, data); err != nil {
					t.Fatal(err)
				}
				if msg, err := c.Recv(ctx); err != nil || !bytes.Equal(msg.Data, data) {
					t.Fatalf("%d of %d bytes, %v", len(msg.Data), size, err)
				}
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
