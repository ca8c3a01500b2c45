// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import "time"

// The options of feeds and of the way to them: presets, delivery, sequence numbers, rotation, TLS, proxies.

// WithPreset sets the options of a known feed, such as "binance-spot" (Presets lists them). Options that are set with
// other functions win, whatever comes first.
func WithPreset(name string) Option {
	return WithOption("preset", name)
}

// WithJournal names a file that keeps the outbox over a crash of the process: what was accepted and not sent is queued
// again, once and in order, when a connection is made with it. One connection at a time may use it.
func WithJournal(path string) Option {
	return WithOption("journal", path)
}

// WithJournalSize sets the size of a new journal in bytes, reserved on the disk at once. Default 64 MiB.
func WithJournalSize(bytes int64) Option {
	return withInteger("journal_size", bytes)
}

// A ReceivePolicy says what a full queue of received messages does.
type ReceivePolicy string

const (
	ReceivePause      ReceivePolicy = "pause"       // reading pauses, which slows the peer
	ReceiveDropOldest ReceivePolicy = "drop_oldest" // the oldest messages are dropped
	ReceiveConflate   ReceivePolicy = "conflate"    // of each WithKeyPath only the latest message is kept
	ReceiveDisconnect ReceivePolicy = "disconnect"  // the connection is left until half of the queue is free
)

// WithReceiveQueuePolicy sets what a full queue of received messages does (WithReceiveQueueBytes). Default ReceivePause.
func WithReceiveQueuePolicy(policy ReceivePolicy) Option {
	return WithOption("receive_queue_policy", string(policy))
}

// WithKeyPath says where a message has its key, such as data.s, for ReceiveConflate and WithStaleKeyTimeout; with
// several paths (at most 4) the key is what all of them find.
func WithKeyPath(paths ...string) Option {
	return withList("key_path", paths)
}

// WithStaleKeyTimeout sets the time without a message of a key after which that key is stale: an event, and another when
// it comes again. 0, the default, turns that off.
func WithStaleKeyTimeout(d time.Duration) Option {
	return withDuration("stale_key_timeout", d)
}

// WithSequencePath says where a message has its sequence number, such as data.u, or the first and the last number in it:
// data.U,data.u. Gaps, repeats and steps back are events.
func WithSequencePath(path string) Option {
	return WithOption("sequence_path", path)
}

// WithSequencePrevious says where a message has the sequence number of the one before it.
func WithSequencePrevious(path string) Option {
	return WithOption("sequence_previous", path)
}

// WithSequenceKey says which messages are numbered together: those with the same values there; without it, all.
func WithSequenceKey(paths ...string) Option {
	return withList("sequence_key", paths)
}

// A SequenceRule says how sequence numbers follow one another.
type SequenceRule string

const (
	Consecutive SequenceRule = "consecutive" // each follows the one before
	Increasing  SequenceRule = "increasing"  // each is greater than the one before
)

// WithSequenceRule sets how sequence numbers follow one another. Default Consecutive.
func WithSequenceRule(rule SequenceRule) Option {
	return WithOption("sequence_rule", string(rule))
}

// A SequenceScope says how long sequence numbers go on.
type SequenceScope string

const (
	ScopeFeed       SequenceScope = "feed"       // from one connection to the next
	ScopeConnection SequenceScope = "connection" // they begin anew with each connection
)

// WithSequenceScope sets how long sequence numbers go on. Default ScopeFeed.
func WithSequenceScope(scope SequenceScope) Option {
	return WithOption("sequence_scope", string(scope))
}

// WithMaxAge sets the age at which a connection is replaced: a second one connects, logs in, subscribes and delivers
// before the first is closed. Shortened at random by up to 5 %. 0, the default, never.
func WithMaxAge(d time.Duration) Option {
	return withDuration("max_age", d)
}

// WithRotateOn says which message of the server announces its end: the connection is replaced at once.
func WithRotateOn(patterns ...string) Option {
	return withList("rotate_on", patterns)
}

// WithRotationOverlap sets how long the old and the new connection deliver side by side when one is replaced. Default
// 1 s.
func WithRotationOverlap(d time.Duration) Option {
	return withDuration("rotation_overlap", d)
}

// WithTwin adds a second endpoint with the same feed, used at the same time; of each number of WithSequencePath the
// first copy counts.
func WithTwin(url string) Option {
	return WithOption("twin", url)
}

// WithTwinWait sets how long a message that is ahead of its sequence waits for the other connection to bring those
// before it. Default 50 ms.
func WithTwinWait(d time.Duration) Option {
	return withDuration("twin_wait", d)
}

// WithClientCertificate names a PEM file with the certificate that this side shows, and those between it and its root.
func WithClientCertificate(path string) Option {
	return WithOption("client_certificate", path)
}

// WithClientKey names the PEM file with its private key; without it, the key is in the file of WithClientCertificate.
func WithClientKey(path string) Option {
	return WithOption("client_key", path)
}

// WithClientKeyPassword sets what the private key is encrypted with.
func WithClientKeyPassword(password string) Option {
	return WithOption("client_key_password", password)
}

// WithPinSHA256 sets keys of which the certificate of the server, or one above it, must have one, besides being valid:
// the SHA-256 of the SubjectPublicKeyInfo in base64.
func WithPinSHA256(pins ...string) Option {
	return withList("pin_sha256", pins)
}

// WithTLSMinVersion sets the oldest version of TLS to accept, "1.2" or "1.3". Default "1.2".
func WithTLSMinVersion(version string) Option {
	return WithOption("tls_min_version", version)
}

// WithServerName sets the name to ask for and to check the certificate against, in place of the host in the URL.
func WithServerName(name string) Option {
	return WithOption("server_name", name)
}

// WithTLSResumption says whether later connects resume TLS sessions. Default true.
func WithTLSResumption(on bool) Option {
	return withBoolean("tls_resumption", on)
}

// WithProxy sets the proxy to connect through: a URL with http, https, socks5 or socks5h, or "none". Not set, the
// environment decides: https_proxy or http_proxy by the scheme of the URL, then all_proxy, but for no_proxy.
func WithProxy(url string) Option {
	return WithOption("proxy", url)
}

// WithProxyCAFile names a PEM file with the certificate authorities to trust for a proxy with https.
func WithProxyCAFile(path string) Option {
	return WithOption("proxy_ca_file", path)
}

// WithMaxRedirects sets how many redirects of the server one attempt follows, 0 to 5. Default 5.
func WithMaxRedirects(redirects int) Option {
	return withInteger("max_redirects", int64(redirects))
}
