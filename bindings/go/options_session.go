// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64

package pulsews

import (
	"strconv"
	"time"
)

// The options of everything beyond one connection: staying connected, endpoints, heartbeats, outbox, login.

// WithReconnect says whether a lost connection is made again. Default true. With false a lost connection ends the Conn:
// Recv returns what had arrived, and then why.
func WithReconnect(on bool) Option {
	return withBoolean("reconnect", on)
}

// WithMaxReconnectAttempts sets after how many failed attempts in a row trying ends: the state is Failed, and Recv
// returns why. 0 never ends. Default 10.
func WithMaxReconnectAttempts(attempts int) Option {
	return withInteger("max_reconnect_attempts", int64(attempts))
}

// WithReconnectBaseDelay sets the delay before the first attempt to come back; each further one waits twice as long.
// Default 1 s.
func WithReconnectBaseDelay(d time.Duration) Option {
	return withDuration("reconnect_base_delay", d)
}

// WithReconnectMaxDelay sets the longest delay between two attempts. Default 60 s.
func WithReconnectMaxDelay(d time.Duration) Option {
	return withDuration("reconnect_max_delay", d)
}

// WithJitter shortens each delay at random by up to this share, 0 to 1 with at most three decimals, so that many
// clients do not come back in step. Default 0.5; 0 gives the exact formula.
func WithJitter(share float64) Option {
	return WithOption("jitter", strconv.FormatFloat(share, 'f', -1, 64))
}

// WithStableTime sets how long a connection must have been ready for the count of attempts to begin again. Default 10
// s.
func WithStableTime(d time.Duration) Option {
	return withDuration("stable_time", d)
}

// WithRestartDelay sets the least delay after the close codes 1012 (restart) and 1013 (try again later); with jitter it
// is up to six times that, at random. Default 5 s.
func WithRestartDelay(d time.Duration) Option {
	return withDuration("restart_delay", d)
}

// WithRetryFatal also retries after failures that a retry can hardly mend: status 401, 403 and 404, and a certificate
// that does not verify. Default false.
func WithRetryFatal(on bool) Option {
	return withBoolean("retry_fatal", on)
}

// WithFatalCloseCodes sets the close codes of the server after which the client does not try again: state Failed.
func WithFatalCloseCodes(codes ...int) Option {
	return func(s *settings) {
		for _, code := range codes {
			s.add("fatal_close_codes", strconv.Itoa(code))
		}
	}
}

// WithEndpoints adds endpoints that serve the same feed, in the order of preference; the URL of Dial is the first one.
// All are ws, or all wss; at most 16.
func WithEndpoints(urls ...string) Option {
	return withList("endpoints", urls)
}

// WithEndpointReturn sets after which time on another endpoint the preferred one is connected to, and changed over to
// once that is open; 0 never. Default 5 min.
func WithEndpointReturn(d time.Duration) Option {
	return withDuration("endpoint_return", d)
}

// WithBreakerFailures sets after how many failures in a row an endpoint is passed over for a while, if another one is
// usable; 0 never. Default 5.
func WithBreakerFailures(failures int) Option {
	return withInteger("breaker_failures", int64(failures))
}

// WithBreakerTimeout sets how long an endpoint is passed over, until one attempt may try it again. Default 30 s.
func WithBreakerTimeout(d time.Duration) Option {
	return withDuration("breaker_timeout", d)
}

// WithHostConnects sets how many attempts to one host and port may be on their way at once, over all connections of the
// process. Default 32.
func WithHostConnects(attempts int) Option {
	return withInteger("host_connects", int64(attempts))
}

// WithHostConnectRate sets the most attempts to one host and port in any such time, over all connections of the
// process: "300/5m". Default "50/s".
func WithHostConnectRate(rate string) Option {
	return WithOption("host_connect_rate", rate)
}

// WithHeartbeatMessage sends this text as the heartbeat in place of a ping, such as ping or {"type":"ping"}. ${id},
// ${ms}, ${s} and ${time} stand for a new number and the present time.
func WithHeartbeatMessage(text string) Option {
	return WithOption("heartbeat_message", text)
}

// WithHeartbeatReply says which message answers WithHeartbeatMessage; to ping and {"type":"ping"} that is pong and
// {"type":"pong"} unless set.
func WithHeartbeatReply(patterns ...string) Option {
	return withList("heartbeat_reply", patterns)
}

// WithHeartbeatRequest says which message of the server asks for WithHeartbeatAnswer.
func WithHeartbeatRequest(patterns ...string) Option {
	return withList("heartbeat_request", patterns)
}

// WithHeartbeatAnswer answers WithHeartbeatRequest. Besides ${id}, ${ms}, ${s} and ${time}, ${path} stands for a value
// of the request.
func WithHeartbeatAnswer(text string) Option {
	return WithOption("heartbeat_answer", text)
}

// WithServerHeartbeat says which message is the heartbeat of the server.
func WithServerHeartbeat(patterns ...string) Option {
	return withList("server_heartbeat", patterns)
}

// WithServerHeartbeatTimeout sets the time without a WithServerHeartbeat after which the connection counts as dead; 0,
// the default, turns that off.
func WithServerHeartbeatTimeout(d time.Duration) Option {
	return withDuration("server_heartbeat_timeout", d)
}

// WithDeliverHeartbeats delivers the messages that WithHeartbeatReply, WithHeartbeatRequest and WithServerHeartbeat
// match, instead of only counting them. Default false.
func WithDeliverHeartbeats(on bool) Option {
	return withBoolean("deliver_heartbeats", on)
}

// WithStaleTimeout sets the time without a data message after which the feed is stale; pongs and the messages of a
// heartbeat do not count as data. 0, the default, turns that off.
func WithStaleTimeout(d time.Duration) Option {
	return withDuration("stale_timeout", d)
}

// A StaleAction says what a stale feed leads to.
type StaleAction string

const (
	StaleEvent     StaleAction = "event"     // an event "stale", and "fresh" when data comes again
	StaleReconnect StaleAction = "reconnect" // the connection is made anew, too
)

// WithStaleAction sets what a stale feed leads to. Default StaleEvent.
func WithStaleAction(action StaleAction) Option {
	return WithOption("stale_action", string(action))
}

// A QueuePolicy says what a full outbox does.
type QueuePolicy string

const (
	DropOldest QueuePolicy = "drop_oldest" // drops the oldest message: right for market data
	DropNewest QueuePolicy = "drop_newest" // drops the new message
	Reject     QueuePolicy = "reject"      // Send returns ErrQueueFull
	Block      QueuePolicy = "block"       // Send waits for room
)

// WithMessageQueuePolicy sets what a full outbox does. Default DropOldest.
func WithMessageQueuePolicy(policy QueuePolicy) Option {
	return WithOption("message_queue_policy", string(policy))
}

// WithMessageTTL sets the time to live of messages: one that is not written by then expires, unsent, unless TTL says
// otherwise. 0, the default, is for ever.
func WithMessageTTL(d time.Duration) Option {
	return withDuration("message_ttl", d)
}

// WithBacklogInterval sets the time between two messages of those that waited for the connection; later ones line up
// behind. Default 100 ms; 0 sends them at full speed.
func WithBacklogInterval(d time.Duration) Option {
	return withDuration("backlog_interval", d)
}

// WithRateLimit sets the most messages to send in any such time, several limits at once: "100/60s", "5/s". What is over
// waits in the outbox, unless it is sent with InLimit.
func WithRateLimit(limits ...string) Option {
	return withList("rate_limit", limits)
}

// WithRateLimitControl counts pings and pongs in WithRateLimit, too. A pong is never held up; messages wait for it.
// Default false.
func WithRateLimitControl(on bool) Option {
	return withBoolean("rate_limit_control", on)
}

// WithLogin sends these texts on every connect, before everything else, in this order. ${id}, ${ms}, ${s} and ${time}
// stand for a new number and the present time. See WithLoginFunc for what must be made anew.
func WithLogin(messages ...string) Option {
	return withList("login", messages)
}

// WithLoginConfirm says which message confirms the login; until then only login messages are sent.
func WithLoginConfirm(patterns ...string) Option {
	return withList("login_confirm", patterns)
}

// WithLoginReject says which message rejects the login while that is not confirmed: the attempt has failed, and
// WithLoginRejectAction says what follows.
func WithLoginReject(patterns ...string) Option {
	return withList("login_reject", patterns)
}

// A LoginRejectAction says what a rejected login leads to.
type LoginRejectAction string

const (
	LoginRetry LoginRejectAction = "retry" // further attempts
	LoginStop  LoginRejectAction = "stop"  // none: state Failed, since the key is not accepted any more
)

// WithLoginRejectAction sets what a rejected login leads to. Default LoginRetry.
func WithLoginRejectAction(action LoginRejectAction) Option {
	return WithOption("login_reject_action", string(action))
}

// WithLoginTimeout sets how long a hold may last, and how long a login may wait for its confirmation. Default 10 s.
func WithLoginTimeout(d time.Duration) Option {
	return withDuration("login_timeout", d)
}

// WithHoldLogin makes every connect wait, after the messages of WithLogin, until the application has sent its own
// (First) and called Release; the event "hold" asks for it. It turns events on. WithLoginFunc does all of it.
func WithHoldLogin(on bool) Option {
	return withBoolean("hold_login", on)
}

// WithHoldConnect makes every attempt wait, before it connects, until the application has called Release, after
// SetHeader or SetURL; the event "hold" asks for it. It turns events on. WithHeaderFunc and WithURLFunc do all of it.
func WithHoldConnect(on bool) Option {
	return withBoolean("hold_connect", on)
}

// WithSubscribeMessage sets the text that subscribes keys (Subscribe), such as
// {"method":"SUBSCRIBE","params":[${keys}],"id":${id}}.
func WithSubscribeMessage(text string) Option {
	return WithOption("subscribe_message", text)
}

// WithUnsubscribeMessage sets the text that ends the subscription of keys.
func WithUnsubscribeMessage(text string) Option {
	return WithOption("unsubscribe_message", text)
}

// WithSubscribeBatch sets the most keys in one WithSubscribeMessage. Default 100.
func WithSubscribeBatch(keys int) Option {
	return withInteger("subscribe_batch", int64(keys))
}

// WithSubscribeInterval sets the least time between two messages that subscribe. Default 0.
func WithSubscribeInterval(d time.Duration) Option {
	return withDuration("subscribe_interval", d)
}

// WithSubscribeConfirm says which message confirms a message that subscribes, one for each. ${id} in it is the id of a
// message that waits for its confirmation, ${key} one of its keys, which are then confirmed one by one.
func WithSubscribeConfirm(patterns ...string) Option {
	return withList("subscribe_confirm", patterns)
}

// WithSubscribeReject says which message rejects one that waits for its confirmation; WithSubscribeRejectAction says
// what follows.
func WithSubscribeReject(patterns ...string) Option {
	return withList("subscribe_reject", patterns)
}

// A SubscribeRejectAction says what a rejected subscription leads to.
type SubscribeRejectAction string

const (
	SubscribeDrop      SubscribeRejectAction = "drop"      // the key is dropped (event "subscription_rejected"), the rest goes on
	SubscribeReconnect SubscribeRejectAction = "reconnect" // the connection is left, and made anew
)

// WithSubscribeRejectAction sets what a rejected subscription leads to. Default SubscribeDrop.
func WithSubscribeRejectAction(action SubscribeRejectAction) Option {
	return WithOption("subscribe_reject_action", string(action))
}

// WithSubscribeTimeout sets how long a message that subscribes may wait for its confirmation. Default 10 s.
func WithSubscribeTimeout(d time.Duration) Option {
	return withDuration("subscribe_timeout", d)
}
