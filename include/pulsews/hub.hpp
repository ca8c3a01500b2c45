// SPDX-License-Identifier: Apache-2.0
/// Hubs and their events. pulsews_hub.h says of each call what it does; here stands what C++ does differently.
#ifndef PULSEWS_HUB_HPP
#define PULSEWS_HUB_HPP

#include "client.hpp"

namespace pulsews {

/// An event of a hub: a view, which lives until the next call that fetches events. docs/HUB_EVENTS.md says which members
/// an event fills; the others are 0 or empty.
class Event {
  public:
    explicit Event(const pulsews_hub_event &event) noexcept : event_(&event) {}

    [[nodiscard]] EventKind kind() const noexcept { return static_cast<EventKind>(event_->kind); }
    [[nodiscard]] int code() const noexcept { return event_->code; }
    [[nodiscard]] std::uint64_t peer() const noexcept { return event_->peer; }
    [[nodiscard]] std::uint64_t request() const noexcept { return event_->request; }
    [[nodiscard]] Time time() const noexcept { return detail::time_of(event_->time_ns); }
    [[nodiscard]] std::uint64_t count() const noexcept { return event_->count; }
    [[nodiscard]] std::string_view address() const noexcept { return event_->address; }
    [[nodiscard]] std::string_view route() const noexcept { return event_->route; }
    [[nodiscard]] std::string_view target() const noexcept { return event_->target; }
    [[nodiscard]] std::string_view method() const noexcept { return event_->method; }
    [[nodiscard]] std::string_view headers() const noexcept { return event_->headers; }
    [[nodiscard]] std::string_view topic() const noexcept { return event_->topic; }
    [[nodiscard]] std::string_view text() const noexcept { return event_->text; }
    [[nodiscard]] std::string_view data() const noexcept { return bytes().view(); }
    [[nodiscard]] Bytes bytes() const noexcept { return {event_->data, event_->length}; }
    [[nodiscard]] const pulsews_hub_event &raw() const noexcept { return *event_; }

  private:
    const pulsews_hub_event *event_;
};

/// Room for the events of one call. One thread at a time.
class Events {
  public:
    using Iterator = detail::Cursor<Event, pulsews_hub_event>;

    explicit Events(std::size_t capacity = 256) : events_(capacity) {}
    Events(Events &&other) noexcept : events_(std::move(other.events_)), size_(std::exchange(other.size_, 0)) {}
    Events &operator=(Events &&other) noexcept {
        events_ = std::move(other.events_);
        size_ = std::exchange(other.size_, 0);
        return *this;
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] Iterator begin() const noexcept { return Iterator(events_.data()); }
    [[nodiscard]] Iterator end() const noexcept { return Iterator(events_.data() + size_); }
    [[nodiscard]] Event operator[](std::size_t index) const noexcept { return Event(events_[index]); }

  private:
    friend class Hub;
    std::vector<pulsews_hub_event> events_;
    std::size_t size_ = 0;
};

/// A message of a topic. `data` is a view.
struct Publication {
    Text topic;
    Bytes data;
    Text key = nullptr;       // none: what option conflate finds in the message
    std::uint64_t offset = 0; // Hub::load only; 0: the next one
    Time exchange{};          // when it was made at its source
    Time received{};          // when it was received here
    Time published{};         // Hub::load only
};

/// The other end of the wire. Any thread may call any member at any time, but next and try_next serve one thread. The
/// destructor cuts what is open: no thread may be in a call then, so drain first, and end the thread that fetches events
/// (its next throws Closed behind the last one). A move is as for any object.
class Hub {
  public:
    Hub() : Hub(static_cast<pulsews_loop *>(nullptr)) {}
    /// On that loop alone, which it keeps alive from its start on.
    explicit Hub(const Loop &loop) : Hub(loop.handle()) {}
    /// Takes over a handle.
    explicit Hub(pulsews_hub *handle) noexcept : handle_(handle) {}

    Hub &set(const Text &name, const Text &value) {
        detail::Sentence why;
        detail::check(pulsews_hub_set(handle(), name.c_str(), value.c_str(), why.text, why.size), why.text);
        return *this;
    }
    Hub &listen(const Text &address) {
        detail::Sentence why;
        detail::check(pulsews_hub_listen(handle(), address.c_str(), why.text, why.size), why.text);
        return *this;
    }
    /// Where it listens, with the port that was picked, in the order of listen. Throws before the start.
    [[nodiscard]] std::string address(std::size_t index = 0) const {
        return text([index](const pulsews_hub *hub, char *to, std::size_t size) {
            return pulsews_hub_address(hub, index, to, size);
        });
    }
    Hub &route(const Text &path, const Text &name = nullptr, const Text &value = nullptr) {
        detail::Sentence why;
        detail::check(pulsews_hub_route(handle(), path.c_str(), name.c_str(), value.c_str(), why.text, why.size),
                      why.text);
        return *this;
    }
    Hub &topic(const Text &pattern, const Text &name = nullptr, const Text &value = nullptr) {
        detail::Sentence why;
        detail::check(pulsews_hub_topic(handle(), pattern.c_str(), name.c_str(), value.c_str(), why.text, why.size),
                      why.text);
        return *this;
    }
    Hub &key(const Text &name, const Text &algorithm, const Bytes &material) {
        detail::Sentence why;
        detail::check(pulsews_hub_key(handle(), name.c_str(), algorithm.c_str(), material.data(), material.size(),
                                      why.text, why.size),
                      why.text);
        return *this;
    }
    void start() {
        detail::Sentence why;
        detail::check(pulsews_hub_start(handle(), why.text, why.size), why.text);
    }
    void reload() {
        detail::Sentence why;
        detail::check(pulsews_hub_reload(handle(), why.text, why.size), why.text);
    }
    /// Throws Timeout; a second call only waits. A negative spread is that of option drain_spread.
    void drain(Duration spread = forever, Duration timeout = forever) {
        detail::check(pulsews_hub_drain(handle(), spread.count(), timeout.count()));
    }

    /// Returns the message's offset. Throws QueueFull when the hub's budget is spent; it never waits.
    std::uint64_t publish(const Text &topic, const Bytes &data, const Text &key = nullptr) {
        std::uint64_t offset = 0;
        detail::check(pulsews_hub_publish(handle(), topic.c_str(), key.c_str(), data.data(), data.size(), &offset));
        return offset;
    }
    /// How many were taken, from the first on; throws if the first was not.
    std::size_t publish(const std::vector<Publication> &publications) {
        const auto rows = raw(publications);
        return static_cast<std::size_t>(detail::check(pulsews_hub_publish_batch(handle(), rows.data(), rows.size())));
    }
    /// Fills a topic's history before the start; the topics of the publications are not looked at.
    void load(const Text &topic, const std::vector<Publication> &publications) {
        const auto rows = raw(publications);
        detail::check(pulsews_hub_load(handle(), topic.c_str(), rows.data(), rows.size()));
    }
    void topic_state(const Text &topic, TopicState state, const Text &cause = nullptr) {
        detail::check(
            pulsews_hub_topic_state(handle(), topic.c_str(), static_cast<std::int32_t>(state), cause.c_str()));
    }
    [[nodiscard]] std::string topic_json(const Text &topic) const {
        return text([&topic](const pulsews_hub *hub, char *to, std::size_t size) {
            return pulsews_hub_topic_json(hub, topic.c_str(), to, size);
        });
    }

    /// To one peer; 0: to all.
    void send(std::uint64_t peer, std::string_view text) { send(peer, Kind::text, text); }
    void send(std::uint64_t peer, Kind kind, const Bytes &data) {
        detail::check(pulsews_hub_send(handle(), peer, static_cast<std::uint32_t>(kind), data.data(), data.size()));
    }
    void close_peer(std::uint64_t peer, int code = 1000, const Text &reason = nullptr) {
        detail::check(pulsews_hub_close_peer(handle(), peer, code, reason.c_str()));
    }
    void subscribe(std::uint64_t peer, const Text &topic) {
        detail::check(pulsews_hub_subscribe(handle(), peer, topic.c_str()));
    }
    void unsubscribe(std::uint64_t peer, const Text &topic) {
        detail::check(pulsews_hub_unsubscribe(handle(), peer, topic.c_str()));
    }
    /// `headers`: lines "Name: value\n".
    void answer(std::uint64_t request, int status, const Text &headers = nullptr, const Bytes &body = {}) {
        detail::check(pulsews_hub_answer(handle(), request, status, headers.c_str(), body.data(), body.size()));
    }
    /// Takes over an open connection. The descriptor is the hub's when this returns, and still yours when it throws.
    void adopt(int descriptor, const Bytes &first = {}) {
        detail::check(pulsews_hub_adopt(handle(), descriptor, first.data(), first.size()));
    }
    /// Publishes what `client` receives. Either may be destroyed first.
    void feed(Client &client, const Text &map) {
        detail::Sentence why;
        detail::check(pulsews_hub_feed(handle(), client.handle(), map.c_str(), why.text, why.size), why.text);
    }

    /// Fetches events into `events`, which is empty when this throws: Timeout, and Closed behind the last one.
    std::size_t next(Events &events, Duration timeout = forever) {
        return fill(events, timeout, [](std::int32_t result) { return detail::check(result) > 0; });
    }
    /// The same, but 0 when the time is over.
    std::size_t try_next(Events &events, Duration timeout = Duration::zero()) {
        return fill(events, timeout, detail::in_time);
    }
    /// Belongs to the hub: do not close or read it.
    [[nodiscard]] int wake_fd() { return detail::check(pulsews_hub_wake_fd(handle())); }

    [[nodiscard]] std::string status_json() const { return text(pulsews_hub_status_json); }
    [[nodiscard]] std::string prometheus() const { return text(pulsews_hub_prometheus); }
    [[nodiscard]] std::string peers_json() const { return text(pulsews_hub_peers_json); }
    /// In the order of hub_statistic_table().
    [[nodiscard]] std::vector<double> statistics() const {
        return detail::numbers_of(
            [this](double *to, std::size_t count) { return pulsews_hub_statistics(handle(), to, count); });
    }

    [[nodiscard]] pulsews_hub *handle() const noexcept { return handle_.get(); }

  private:
    explicit Hub(pulsews_loop *loop) {
        detail::Sentence why;
        pulsews_hub *made = nullptr;
        detail::check(pulsews_hub_create(loop, &made, why.text, why.size), why.text);
        handle_.reset(made);
    }
    template <class Function> std::string text(Function function) const {
        return detail::text_of([&](char *to, std::size_t size) { return function(handle(), to, size); });
    }
    template <class Judge> std::size_t fill(Events &events, Duration timeout, Judge is_filled) {
        events.size_ = 0;
        const std::int32_t result = pulsews_hub_next(handle(), events.events_.data(), events.events_.size(),
                                                     timeout.count());
        if (is_filled(result)) {
            events.size_ = static_cast<std::size_t>(result);
        }
        return events.size_;
    }
    static std::vector<pulsews_hub_publication> raw(const std::vector<Publication> &publications) {
        std::vector<pulsews_hub_publication> rows;
        rows.reserve(publications.size());
        for (const Publication &one : publications) {
            rows.push_back({one.topic.c_str(), one.key.c_str(), one.data.data(), one.data.size(), one.offset,
                            one.exchange.time_since_epoch().count(), one.received.time_since_epoch().count(),
                            one.published.time_since_epoch().count()});
        }
        return rows;
    }
    std::unique_ptr<pulsews_hub, detail::Free> handle_;
};

} // namespace pulsews
#endif
