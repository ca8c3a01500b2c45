// SPDX-License-Identifier: Apache-2.0
// The C++ wrapper against hubs of its own: every member is called, and what it throws is looked at.
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <future>
#include <map>
#include <string>

#include <pulsews.hpp>

using namespace std::chrono_literals;
using namespace pulsews;

namespace {

void require(bool holds, const char *what, int line) {
    if (holds) {
        return;
    }
    std::fprintf(stderr, "line %d: %s does not hold\n", line, what);
    std::exit(1);
}
#define REQUIRE(condition) require(static_cast<bool>(condition), #condition, __LINE__)

// What the call throws, which must be of that class.
template <class Exception, class Call> Exception thrown(int line, Call call) {
    try {
        call();
    } catch (const Exception &error) {
        return error;
    } catch (const std::exception &other) {
        std::fprintf(stderr, "line %d: another exception: %s\n", line, other.what());
        std::exit(1);
    }
    std::fprintf(stderr, "line %d: nothing was thrown\n", line);
    std::exit(1);
}
#define THROWN(Class, ...) thrown<Class>(__LINE__, [&] { __VA_ARGS__; })

bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

template <class... Loops> Hub started(const Loops &...loop) {
    Hub hub(loop...);
    hub.listen("127.0.0.1:0").topic("chat.*", "history", "10");
    for (const char *name : {"connected", "closed", "message", "subscribe", "unsubscribe"}) {
        hub.set("events", name);
    }
    hub.start();
    return hub;
}

std::string url(const Hub &hub) { return "ws://" + hub.address() + "/ws/stream?topics=chat.main"; }

// Of a client that gets what is published in an envelope.
Config pulse() { return {{"subprotocols", "pulse.v1"}, {"compression", "false"}}; }

// Receives until a message has that in it.
std::string until(Client &client, std::string_view part) {
    for (;;) {
        const Message message = client.receive(20s);
        if (has(message.text(), part)) {
            return std::string(message.text());
        }
    }
}

// Fetches events until one of that kind: its peer.
std::uint64_t until(Hub &hub, EventKind kind, std::string *data = nullptr) {
    for (Events events(1);;) {
        hub.next(events, 20s);
        if (events[0].kind() != kind) {
            continue;
        }
        if (data != nullptr) {
            *data = events[0].data();
        }
        return events[0].peer();
    }
}

void a_message_goes_both_ways() {
    Hub hub = started();
    Client client(url(hub), pulse());
    client.open(20s);
    const std::uint64_t peer = until(hub, EventKind::subscribe);
    REQUIRE(hub.publish("chat.main", R"({"n":1})") == 1);
    REQUIRE(has(until(client, R"("n":1)"), "chat.main"));
    client.send("\"hello\"");
    std::string data;
    REQUIRE(until(hub, EventKind::message, &data) == peer && data == "\"hello\"");
    hub.send(peer, "for one");
    REQUIRE(until(client, "for one") == "for one");
    const std::vector<std::uint8_t> bytes = {0, 1, 255};
    hub.send(0, Kind::binary, bytes);
    const Message message = client.receive(20s);
    REQUIRE(message.kind() == Kind::binary && message.size() == 3 && std::memcmp(message.data(), bytes.data(), 3) == 0);
    REQUIRE(message.received().time_since_epoch() > 0s && message.sequence() > 0 && !message.is_ascii() &&
            !message.was_compressed() && message.raw().length == 3);
    client.close(1000, "done", 20s);
    REQUIRE(client.state() == State::disconnected);
    REQUIRE(until(hub, EventKind::closed) == peer);
}

void a_client_comes_back_and_tells_so() {
    Hub hub = started();
    Client client(url(hub), {{"events", "true"}, {"reconnect_base_delay", "10ms"}});
    client.open(20s);
    const std::uint64_t peer = until(hub, EventKind::connected);
    until(client, R"("event":"ready")");
    hub.close_peer(peer, 4000, "back soon");
    until(client, R"("event":"state")");
    until(client, R"("event":"ready")");
    REQUIRE(until(hub, EventKind::connected) != peer);
    REQUIRE(client.error()->code() == Code::peer_closed && has(client.error()->what(), "back soon"));
    client.reconnect();
    until(client, R"("event":"ready")");
}

void errors_have_their_classes() {
    REQUIRE(has(THROWN(InvalidArgument, Client("http://localhost/")).what(), "http"));
    const InvalidArgument option = THROWN(InvalidArgument, Config({{"no_such", "1"}}));
    REQUIRE(option.code() == Code::unknown_option && has(option.what(), "no_such") && !option.retryable());
    REQUIRE(std::strcmp(option.name(), "PULSEWS_EOPTION") == 0);
    THROWN(InvalidArgument, Text(std::string("a\0b", 3)));
    Client client("ws://127.0.0.1:1/", {{"reconnect", "false"}});
    REQUIRE(!client.error());
    THROWN(NotConnected, client.receive(0s));
    const ConnectError refused = THROWN(ConnectError, client.open(20s));
    REQUIRE(refused.code() == Code::refused && refused.retryable() && has(refused.what(), "127.0.0.1"));
    REQUIRE(client.error()->code() == Code::refused && client.retryable() && client.state() == State::error);
    THROWN(InvalidArgument, client.send(Kind::text, Bytes("\xff", 1)));
    client.close();
    THROWN(Closed, client.send("late"));
    THROWN(Closed, client.try_receive());

    Hub hub = started();
    Client missing("ws://" + hub.address() + "/nothing", {{"reconnect", "false"}});
    THROWN(HandshakeError, missing.open(20s));
    REQUIRE(missing.handshake_status() == 404 && has(missing.handshake_headers(), "HTTP") == false);
    REQUIRE(!missing.handshake_body().empty() && !missing.retryable());
    REQUIRE(THROWN(InvalidArgument, hub.publish("chat.main", "no JSON")).code() == Code::bad_value);
    REQUIRE(THROWN(Error, hub.set("events", "slow")).code() == Code::busy);
    Events events;
    THROWN(Timeout, hub.next(events, 0s));
    REQUIRE(hub.try_next(events) == 0 && events.empty());
    Client open(url(hub));
    open.open(20s);
    THROWN(Timeout, for (;;) open.receive(0s));
    THROWN(SubscribeError, detail::fail(PULSEWS_ESUBSCRIBE, ""));
    THROWN(LoginError, detail::fail(PULSEWS_ELOGIN, ""));
    THROWN(OpenTimeout, detail::fail(PULSEWS_EOPENTIMEOUT, ""));
    THROWN(QueueFull, detail::fail(PULSEWS_EQUEUEFULL, ""));
    THROWN(RateLimited, detail::fail(PULSEWS_ERATE, ""));
    THROWN(MessagesUnsent, detail::fail(PULSEWS_EUNSENT, ""));
    REQUIRE(std::strcmp(THROWN(Error, detail::fail(-999, "own")).what(), "own") == 0);
}

void a_batch_is_a_range() {
    Hub hub = started();
    Client client(url(hub), pulse());
    client.open(20s);
    until(hub, EventKind::subscribe);
    std::vector<Publication> publications;
    for (const char *text : {"1", "2", "3"}) {
        publications.push_back({"chat.main", text});
    }
    REQUIRE(hub.publish(publications) == 3);
    Batch batch;
    std::string all;
    while (!has(all, R"("o":3)")) {
        REQUIRE(client.receive(batch, 2, 20s) == batch.size() && batch.size() <= 2);
        REQUIRE((batch.traits() & BatchTraits::all_text) && !(batch.traits() & BatchTraits::all_binary));
        REQUIRE(batch[0].kind() == Kind::text && batch[0].is_ascii());
        for (const Message &message : batch) {
            all += message.text();
        }
    }
    client.acknowledge(1);
    Batch moved = std::move(batch);
    REQUIRE(moved.size() > 0 && batch.empty());
    batch = std::move(moved);
    REQUIRE(client.try_receive(batch, 10) == 0 && batch.empty());
    THROWN(Timeout, client.receive(batch, 10, 0s));
}

void a_moved_client_is_whole() {
    static_assert(std::is_nothrow_move_constructible_v<Client> && std::is_nothrow_move_assignable_v<Client>);
    static_assert(!std::is_copy_constructible_v<Client> && !std::is_copy_constructible_v<Hub>);
    static_assert(!std::is_copy_constructible_v<Batch> && !std::is_copy_constructible_v<Config>);
    static_assert(std::is_nothrow_move_constructible_v<Hub> && !std::is_copy_constructible_v<Loop>);
    Hub first = started();
    Hub hub = std::move(first);
    REQUIRE(THROWN(InvalidArgument, first.publish("chat.main", "1")).code() == Code::invalid_argument);
    Client one(url(hub), pulse());
    one.open(20s);
    Client two = std::move(one);
    THROWN(InvalidArgument, one.send("1"));
    until(hub, EventKind::subscribe);
    hub.publish("chat.main", "7");
    REQUIRE(has(until(two, R"("data":7)"), "chat.main"));
    one = std::move(two);
    REQUIRE(one.state() == State::connected);
    one = Client("ws://127.0.0.1:1/"); // ends the first
    REQUIRE(one.state() == State::disconnected);
    until(hub, EventKind::closed);
}

// Waits until another thread is inside a call that receives.
void until_received_from(Client &client) {
    for (;;) {
        try {
            client.try_receive();
        } catch (const Error &error) {
            if (error.code() == Code::busy) {
                return;
            }
        }
    }
}

// Receives until the client ends; whoever looks for it may have been quicker.
Code receive_all(Client &client, std::atomic<int> &count) {
    for (;;) {
        try {
            if (has(client.receive().text(), "chat.main")) {
                count++;
            }
        } catch (const Error &error) {
            if (error.code() != Code::busy) {
                return error.code();
            }
        }
    }
}

void a_destructor_wakes_who_receives() {
    Hub hub = started();
    auto client = std::make_unique<Client>(url(hub));
    client->open(20s);
    std::atomic<int> count{0};
    auto end = std::async(std::launch::async, [&count, &client = *client] { return receive_all(client, count); });
    until_received_from(*client);
    client.reset();
    REQUIRE(end.get() == Code::closed);
}

void a_move_leaves_who_receives_in_peace() {
    Hub hub = started();
    Client client(url(hub), pulse());
    client.open(20s);
    until(hub, EventKind::subscribe);
    hub.publish("chat.main", "1");
    until(client, R"("data":1)");
    auto received = std::async(std::launch::async, [&client] {
        for (;;) {
            try {
                return std::string(client.receive(20s).text());
            } catch (const Error &error) {
                REQUIRE(error.code() == Code::busy);
            }
        }
    });
    until_received_from(client);
    const Client moved = std::move(client);
    hub.publish("chat.main", "2");
    REQUIRE(has(received.get(), R"("data":2)"));
    REQUIRE(moved.state() == State::connected);
}

void a_loop_is_driven_by_the_application() {
    Loop loop(LoopFlags::no_thread);
    REQUIRE(loop.fd() >= 0);
    Hub hub = started(loop);
    Client client(url(hub), Config{{"name", "own"}}, loop);
    client.start();
    while (client.state() != State::connected) {
        loop.run_once(20s);
    }
    Loop threaded;
    Client other("ws://127.0.0.1:1/", threaded);
    loop = std::move(threaded); // client and hub keep theirs
    REQUIRE(client.state() == State::connected && other.state() == State::disconnected);
    REQUIRE(client.wake_fd() >= 0 && hub.wake_fd() >= 0);
    client.wake_clear();
}

void a_session_has_all_its_calls() {
    Hub hub = started();
    Client client("ws://127.0.0.1:1/", {{"hold_connect", "true"}, {"events", "true"}});
    client.set_url(url(hub));
    client.set_header("X-Test", "1");
    client.set_header("X-Test");
    client.subscribe("key", R"({"type":"subscribe","topics":["chat.other"]})",
                     R"({"type":"unsubscribe","topics":["chat.other"]})");
    client.start();
    until(client, R"("event":"hold")");
    client.resume();
    client.wait_ready(20s);
    client.unsubscribe("key");
    REQUIRE(client.send_with(Kind::text, "\"a\"", {SendFlags::report | SendFlags::live_only, 5s, 5s}) > 0);
    const Accepted accepted = client.send_batch(
        {Message(Kind::text, "\"b\""), Message(Kind::binary, std::string("c"))});
    REQUIRE(accepted.count == 2 && accepted.first_id > 1);
    client.flush(20s);
    REQUIRE(client.purge() == 0);
    REQUIRE(client.close_code() == 0 && client.close_reason().empty() && client.server_message().empty());
    REQUIRE(client.subprotocol() == "" && client.handshake_status() == 101);
    REQUIRE(has(client.status_json(), "\"connected\"") && has(client.prometheus(), "pulsews_"));
    REQUIRE(has(prometheus(), "pulsews_") && client.statistics().size() == statistic_table().size());
    client.disconnect(20s);
    client.reconnect();
    until(client, R"("event":"hold")");
}

void a_hub_has_all_its_calls() {
    Hub hub;
    hub.listen("127.0.0.1:0").listen("127.0.0.1:0").route("/ws/stream").route("/http", "kind", "application");
    hub.topic("chat.**").key("k", "HS256", std::string(32, 'k')).set("events", "http_request").set("events", "drained");
    hub.set("events", "connected").set("events", "unsubscribe");
    hub.load("chat.main", {{"chat.main", "1", nullptr, 5}});
    hub.start();
    hub.reload();
    REQUIRE(hub.address(0) != hub.address(1));
    THROWN(InvalidArgument, static_cast<void>(hub.address(2)));
    hub.topic_state("chat.main", TopicState::gap, "a reason");
    REQUIRE(has(hub.topic_json("chat.main"), "\"snapshot\""));
    Client client(url(hub), pulse());
    client.open(20s);
    const std::uint64_t peer = until(hub, EventKind::connected);
    hub.subscribe(peer, "chat.own");
    hub.unsubscribe(peer, "chat.own");
    until(hub, EventKind::unsubscribe);
    REQUIRE(has(hub.peers_json(), "127.0.0.1") && has(hub.status_json(), "{") && has(hub.prometheus(), "pulsews_hub_"));
    REQUIRE(hub.statistics().size() == hub_statistic_table().size());
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    hub.adopt(ends[0], "GET /http HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    Events events;
    hub.next(events, 20s);
    REQUIRE(events[0].kind() == EventKind::http_request && events[0].method() == "GET" &&
            events[0].target() == "/http");
    REQUIRE(events[0].route() == "/http" && events[0].address() == "unix" && events[0].time().time_since_epoch() > 0s);
    hub.answer(events[0].request(), 200, "X-Test: 1\n", "answer");
    std::string all;
    char buffer[512];
    for (ssize_t got; (got = read(ends[1], buffer, sizeof buffer)) > 0;) {
        all.append(buffer, static_cast<std::size_t>(got));
    }
    close(ends[1]);
    REQUIRE(has(all, " 200 ") && has(all, "X-Test: 1") && has(all, "answer"));
    Client source("ws://127.0.0.1:1/");
    REQUIRE(THROWN(InvalidArgument, hub.feed(source, "nonsense")).code() == Code::bad_value);
    hub.drain(0s, 20s);
    until(hub, EventKind::drained);
    THROWN(Closed, hub.next(events));
    Events moved = std::move(events);
    events = std::move(moved);
}

void tables_and_the_log() {
    REQUIRE(version() == std::to_string(version_number() >> 16) + "." + std::to_string(version_number() >> 8 & 255) +
                             "." + std::to_string(version_number() & 255));
    REQUIRE(error_table().front() == Code::invalid_argument && error_table().back() == Code::no_files);
    REQUIRE(std::strcmp(error_name(Code::timeout), "PULSEWS_ETIMEOUT") == 0 && *error_text(Code::timeout) != '\0');
    REQUIRE(has(option_table().front().of, "client") && has(transition_table().front().event, "start"));
    REQUIRE(!preset_table().empty() && !hub_map_table().empty() && has(hub_option_table().front().of, "hub"));
    log_to_queue(LogLevel::debug, 100);
    REQUIRE(!next_log_line(0s));
    Client client("ws://127.0.0.1:1/", {{"reconnect", "false"}});
    THROWN(ConnectError, client.open(20s));
    const auto line = next_log_line(20s);
    REQUIRE(line && !line->text.empty() && line->level != LogLevel::off && line->time.time_since_epoch() > 0s);
    THROWN(InvalidArgument, log_to_file("", LogLevel::info));
    log_to_stderr(LogLevel::off);
    THROWN(Closed, next_log_line(0s));
}

#define TEST(name) {#name, name}
const std::map<std::string, void (*)()> tests = {TEST(a_message_goes_both_ways),
                                                 TEST(a_client_comes_back_and_tells_so),
                                                 TEST(errors_have_their_classes),
                                                 TEST(a_batch_is_a_range),
                                                 TEST(a_moved_client_is_whole),
                                                 TEST(a_destructor_wakes_who_receives),
                                                 TEST(a_move_leaves_who_receives_in_peace),
                                                 TEST(a_loop_is_driven_by_the_application),
                                                 TEST(a_session_has_all_its_calls),
                                                 TEST(a_hub_has_all_its_calls),
                                                 TEST(tables_and_the_log)};

} // namespace

int main(int count, char **arguments) {
    for (const auto &[name, test] : tests) {
        if (count == 2 && name == arguments[1]) {
            return test(), 0;
        }
    }
    for (const auto &one : tests) {
        std::puts(one.first.c_str());
    }
    return count == 1 ? 0 : 2;
}
