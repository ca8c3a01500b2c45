// SPDX-License-Identifier: Apache-2.0
/// Clients, their configurations and loops, and what they receive. pulsews.h says of each call what it does; here stands
/// what C++ does differently.
#ifndef PULSEWS_CLIENT_HPP
#define PULSEWS_CLIENT_HPP

#include <initializer_list>
#include <memory>
#include <optional>
#include <utility>

#include "values.hpp"

namespace pulsews {

/// A set of options, for any number of clients; they keep what they need of it. One thread at a time.
class Config {
  public:
    struct Option {
        Text name, value;
    };

    Config() : handle_(pulsews_config_create()) {}
    /// Config{{"preset", "kraken"}, {"heartbeat_interval", "30s"}}; a failed option throws, as set does.
    Config(std::initializer_list<Option> options) : Config() {
        for (const Option &option : options) {
            set(option.name, option.value);
        }
    }

    Config &set(const Text &name, const Text &value) {
        detail::Sentence why;
        detail::check(pulsews_config_set(handle(), name.c_str(), value.c_str(), why.text, why.size), why.text);
        return *this;
    }
    [[nodiscard]] pulsews_config *handle() const noexcept { return handle_.get(); }

  private:
    std::unique_ptr<pulsews_config, detail::Free> handle_;
};

/// An event loop for clients and hubs that should not share a thread with others. They keep it alive: it may be destroyed
/// before them.
class Loop {
  public:
    /// With a thread of its own.
    Loop() : Loop(LoopFlags{}) {}
    /// LoopFlags::no_thread: the application drives it, with run_once.
    explicit Loop(LoopFlags flags) {
        detail::Sentence why;
        pulsews_loop *made = nullptr;
        detail::check(pulsews_loop_create(static_cast<std::uint32_t>(flags), &made, why.text, why.size), why.text);
        handle_.reset(made);
    }
    /// Takes over a handle.
    explicit Loop(pulsews_loop *handle) noexcept : handle_(handle) {}

    [[nodiscard]] int fd() const { return detail::check(pulsews_loop_fd(handle())); }
    /// Throws Error with Code::busy when another thread drives the loop at this moment.
    void run_once(Duration timeout = forever) { detail::check(pulsews_loop_run_once(handle(), timeout.count())); }
    [[nodiscard]] pulsews_loop *handle() const noexcept { return handle_.get(); }

  private:
    std::unique_ptr<pulsews_loop, detail::Free> handle_;
};

/// A message: a view of what the client or the batch that it came from holds, as long as that holds it.
class Message {
  public:
    explicit Message(const pulsews_message &message) noexcept : message_(message) {}
    /// One to send, with Client::send_batch; a view of `data`.
    Message(Kind kind, const Bytes &data) noexcept
        : message_{data.data(), data.size(), static_cast<std::uint32_t>(kind), 0, 0, 0} {}

    [[nodiscard]] Kind kind() const noexcept { return static_cast<Kind>(message_.kind); }
    /// The JSON text of an event, the text of a message, the bytes of a binary one.
    [[nodiscard]] std::string_view text() const noexcept { return bytes().view(); }
    [[nodiscard]] Bytes bytes() const noexcept { return {message_.data, message_.length}; }
    [[nodiscard]] const void *data() const noexcept { return message_.data; }
    [[nodiscard]] std::size_t size() const noexcept { return message_.length; }
    [[nodiscard]] bool is_ascii() const noexcept { return (message_.flags & PULSEWS_ASCII) != 0; }
    [[nodiscard]] bool was_compressed() const noexcept { return (message_.flags & PULSEWS_COMPRESSED) != 0; }
    [[nodiscard]] Time received() const noexcept { return detail::time_of(message_.received_ns); }
    [[nodiscard]] std::uint64_t sequence() const noexcept { return message_.sequence; }
    [[nodiscard]] const pulsews_message &raw() const noexcept { return message_; }

  private:
    pulsews_message message_;
};

/// Holds the messages of one call; they live until the batch is used again or destroyed. One thread at a time.
class Batch {
  public:
    using Iterator = detail::Cursor<Message, pulsews_message>;

    Batch() : handle_(pulsews_batch_create()) {}
    Batch(Batch &&other) noexcept
        : handle_(std::move(other.handle_)), messages_(std::exchange(other.messages_, nullptr)),
          size_(std::exchange(other.size_, 0)) {}
    Batch &operator=(Batch &&other) noexcept {
        handle_ = std::move(other.handle_);
        messages_ = std::exchange(other.messages_, nullptr);
        size_ = std::exchange(other.size_, 0);
        return *this;
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] Iterator begin() const noexcept { return Iterator(messages_); }
    [[nodiscard]] Iterator end() const noexcept { return Iterator(messages_ + size_); }
    [[nodiscard]] Message operator[](std::size_t index) const noexcept { return Message(messages_[index]); }
    /// What holds for all messages: `batch.traits() & BatchTraits::all_text`.
    [[nodiscard]] BatchTraits traits() const {
        return static_cast<BatchTraits>(detail::check(pulsews_batch_traits(handle_.get())));
    }

  private:
    friend class Client;
    std::unique_ptr<pulsews_batch, detail::Free> handle_;
    const pulsews_message *messages_ = nullptr;
    std::size_t size_ = 0;
};

/// How a message is sent: Client::send_with and Client::send_batch.
struct Sending {
    SendFlags flags{};
    Duration ttl{0}; // 0: option message_ttl; forever: never
    Duration timeout = forever;
};
struct Accepted {
    std::size_t count;
    std::uint64_t first_id;
};

/// One connection, kept alive. Any thread may call any member at any time, but those that receive one message serve one
/// thread at a time (Error with Code::busy). The destructor wakes the threads that are blocked in a call, which throw Closed,
/// and waits until they have left; none may begin one from there on. A move is as for any object: no other thread may
/// begin a call on either side meanwhile; one that is blocked in a call goes on with the client in its new place.
class Client {
  public:
    explicit Client(const Text &url) : Client(url, nullptr, nullptr) {}
    Client(const Text &url, const Config &config) : Client(url, config.handle(), nullptr) {}
    Client(const Text &url, const Loop &loop) : Client(url, nullptr, loop.handle()) {}
    Client(const Text &url, const Config &config, const Loop &loop) : Client(url, config.handle(), loop.handle()) {}
    /// Takes over a handle.
    explicit Client(pulsews_client *handle) noexcept : handle_(handle) {}

    /// Throws why the attempt failed: ConnectError, HandshakeError ...; Timeout when the time is over, the attempt going on.
    void open(Duration timeout = forever) {
        detail::Sentence why;
        detail::check(pulsews_open(handle(), timeout.count(), why.text, why.size), why.text);
    }
    void start() { detail::check(pulsews_start(handle())); }
    void reconnect() { detail::check(pulsews_reconnect(handle())); }
    void wait_ready(Duration timeout = forever) {
        detail::Sentence why;
        detail::check(pulsews_wait_ready(handle(), timeout.count(), why.text, why.size), why.text);
    }
    void close(int code = 1000, const Text &reason = nullptr, Duration timeout = forever) {
        detail::check(pulsews_close(handle(), code, reason.c_str(), timeout.count()));
    }
    void disconnect(Duration timeout = forever) { detail::check(pulsews_disconnect(handle(), timeout.count())); }

    void send(std::string_view text, Duration timeout = forever) { send(Kind::text, text, timeout); }
    void send(Kind kind, const Bytes &data, Duration timeout = forever) {
        detail::check(
            pulsews_send(handle(), static_cast<std::uint32_t>(kind), data.data(), data.size(), timeout.count()));
    }
    /// Returns the message's number, which events name.
    std::uint64_t send_with(Kind kind, const Bytes &data, const Sending &how) {
        std::uint64_t id = 0;
        detail::check(pulsews_send_with(handle(), static_cast<std::uint32_t>(kind), data.data(), data.size(),
                                        static_cast<std::uint32_t>(how.flags), how.ttl.count(), how.timeout.count(),
                                        &id));
        return id;
    }
    /// Fewer than `messages` are accepted when the outbox is full or the time is over; throws if the first was not.
    Accepted send_batch(const std::vector<Message> &messages, const Sending &how = {}) {
        std::vector<pulsews_message> raw;
        raw.reserve(messages.size());
        for (const Message &message : messages) {
            raw.push_back(message.raw());
        }
        return send_batch(raw.data(), raw.size(), how);
    }
    Accepted send_batch(const pulsews_message *messages, std::size_t count, const Sending &how = {}) {
        std::uint64_t id = 0;
        const auto accepted = detail::check(pulsews_send_batch(handle(), messages, count,
                                                               static_cast<std::uint32_t>(how.flags), how.ttl.count(),
                                                               how.timeout.count(), &id));
        return {static_cast<std::size_t>(accepted), id};
    }
    void flush(Duration timeout = forever) { detail::check(pulsews_flush(handle(), timeout.count())); }
    std::size_t purge() { return static_cast<std::size_t>(detail::check(pulsews_purge(handle()))); }

    /// The message lives until the next call that receives one. Throws Timeout; when the client has stopped trying or was
    /// closed, and all that had arrived was received, why: Closed and others. error() has the sentence.
    Message receive(Duration timeout = forever) {
        pulsews_message message{};
        detail::check(pulsews_recv(handle(), &message, timeout.count()));
        return Message(message);
    }
    /// The same, but nothing when the time is over.
    std::optional<Message> try_receive(Duration timeout = Duration::zero()) {
        pulsews_message message{};
        if (!detail::in_time(pulsews_recv(handle(), &message, timeout.count()))) {
            return std::nullopt;
        }
        return Message(message);
    }
    /// Up to `max` messages into a batch, which is empty when this throws. Several threads may, each with its own batch.
    std::size_t receive(Batch &batch, std::size_t max, Duration timeout = forever) {
        return fill(batch, max, timeout, [](std::int32_t result) { return detail::check(result) > 0; });
    }
    /// The same, but 0 when the time is over.
    std::size_t try_receive(Batch &batch, std::size_t max, Duration timeout = Duration::zero()) {
        return fill(batch, max, timeout, detail::in_time);
    }
    void acknowledge(std::uint64_t sequence) { detail::check(pulsews_acknowledge(handle(), sequence)); }

    /// Belongs to the client: do not close it.
    [[nodiscard]] int wake_fd() { return detail::check(pulsews_wake_fd(handle())); }
    void wake_clear() { detail::check(pulsews_wake_clear(handle())); }

    /// A header of the handshake from the next attempt on; without a value it is removed.
    void set_header(const Text &name, const Text &value = nullptr) {
        detail::Sentence why;
        detail::check(pulsews_set_header(handle(), name.c_str(), value.c_str(), why.text, why.size), why.text);
    }
    void set_url(const Text &url) {
        detail::Sentence why;
        detail::check(pulsews_set_url(handle(), url.c_str(), why.text, why.size), why.text);
    }
    /// Ends a hold (options hold_connect, hold_login).
    void resume() { detail::check(pulsews_release(handle())); }
    void subscribe(const Text &key, const Text &message = nullptr, const Text &unsubscribe = nullptr) {
        detail::Sentence why;
        detail::check(pulsews_subscribe(handle(), key.c_str(), message.c_str(), unsubscribe.c_str(), why.text,
                                        why.size),
                      why.text);
    }
    void unsubscribe(const Text &key) { detail::check(pulsews_unsubscribe(handle(), key.c_str())); }

    [[nodiscard]] State state() const { return static_cast<State>(detail::check(pulsews_client_state(handle()))); }
    /// Why the last connection, or the last attempt, ended; nothing if none has.
    [[nodiscard]] std::optional<Error> error() const {
        detail::Sentence why;
        const std::int32_t code = pulsews_client_error(handle(), why.text, why.size);
        if (code == PULSEWS_OK) {
            return std::nullopt;
        }
        return Error(code, why.text);
    }
    [[nodiscard]] bool retryable() const { return detail::check(pulsews_client_retryable(handle())) == 1; }
    [[nodiscard]] int close_code() const { return detail::check(pulsews_close_code(handle())); }
    [[nodiscard]] std::string close_reason() const { return text(pulsews_close_reason); }
    [[nodiscard]] std::string server_message() const { return text(pulsews_server_message); }
    [[nodiscard]] int handshake_status() const { return detail::check(pulsews_handshake_status(handle())); }
    [[nodiscard]] std::string handshake_headers() const { return text(pulsews_handshake_headers); }
    [[nodiscard]] std::string handshake_body() const { return text(pulsews_handshake_body); }
    [[nodiscard]] std::string subprotocol() const { return text(pulsews_subprotocol); }
    [[nodiscard]] std::string status_json() const { return text(pulsews_status_json); }
    [[nodiscard]] std::string prometheus() const { return text(pulsews_prometheus); }
    /// In the order of statistic_table(); NaN is not known yet.
    [[nodiscard]] std::vector<double> statistics() const {
        return detail::numbers_of(
            [this](double *to, std::size_t count) { return pulsews_statistics(handle(), to, count); });
    }

    [[nodiscard]] pulsews_client *handle() const noexcept { return handle_.get(); }

  private:
    Client(const Text &url, const pulsews_config *config, pulsews_loop *loop) {
        detail::Sentence why;
        pulsews_client *made = nullptr;
        detail::check(pulsews_client_create(url.c_str(), config, loop, &made, why.text, why.size), why.text);
        handle_.reset(made);
    }
    template <class Function> std::string text(Function function) const {
        return detail::text_of([&](char *to, std::size_t size) { return function(handle(), to, size); });
    }
    template <class Judge> std::size_t fill(Batch &batch, std::size_t max, Duration timeout, Judge is_filled) {
        batch.size_ = 0;
        const std::int32_t result = pulsews_recv_batch(handle(), batch.handle_.get(), max, timeout.count(),
                                                       &batch.messages_);
        if (is_filled(result)) {
            batch.size_ = static_cast<std::size_t>(result);
        }
        return batch.size_;
    }
    std::unique_ptr<pulsews_client, detail::Free> handle_;
};

} // namespace pulsews
#endif
