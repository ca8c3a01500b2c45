// SPDX-License-Identifier: Apache-2.0
/// pulsews.hpp - PulseWS for C++17 and newer: pulsews.h and pulsews_hub.h with destructors and exceptions.
///
/// EXAMPLE: connect, subscribe, print ten messages
///
///     #include <iostream>
///     #include <pulsews.hpp>
///     int main() {
///         using namespace std::chrono_literals;
///         try {
///             pulsews::Client ws("wss://stream.example.com/ws", {{"heartbeat_interval", "20s"}});
///             ws.open(10s);
///             ws.send(R"({"method":"SUBSCRIBE"})");
///             for (int i = 0; i < 10; i++) { std::cout << ws.receive(30s).text() << '\n'; }
///             ws.close(1000, "done", 5s);
///         } catch (const pulsews::Timeout &) {
///             std::cerr << "nothing came\n";
///             return 1;
///         } catch (const pulsews::Error &error) {
///             std::cerr << error.name() << ": " << error.what() << '\n';
///             return 1;
///         }
///     }
///
/// HUB: what one says is heard by all at ws://127.0.0.1:8080/ws/stream?topics=chat.main
///
///     #include <pulsews.hpp>
///     int main() {
///         pulsews::Hub hub;
///         hub.listen("127.0.0.1:8080").topic("chat.*", "history", "100").set("events", "message");
///         hub.start();
///         for (pulsews::Events events;;) {
///             hub.next(events);
///             for (const pulsews::Event event : events) { hub.publish("chat.main", event.data()); }
///         }
///     }
///
/// All of it is inline, and calls the C functions; those headers are the reference, and hold here too.
///
/// OWNERSHIP
///   Client, Hub, Loop, Config and Batch own a handle: they move, they don't copy, and their destructors free it. handle()
///   shows it, for calls of C. One that was moved from may be destroyed or assigned to; calls on it throw InvalidArgument.
///   Message and Event are views of what their source holds: until its next call of that kind. Text and Bytes are what
///   calls take: both serve for the time of a call.
///
/// THREADS
///   As in C. A destructor is the free function: of a client it ends calls that are blocked, of a hub no thread may be in
///   a call. A move or an assignment is a write to the object.
///
/// ERRORS
///   A failed call throws an Error or a subclass (pulsews/error.hpp) with the code and the sentence. The calls that begin
///   with try_ return nothing instead of a Timeout. std::bad_alloc comes from std only.
///
/// TIME
///   Durations are std::chrono; pulsews::forever waits without an end, zero does not wait.
#ifndef PULSEWS_HPP
#define PULSEWS_HPP

#include "pulsews/client.hpp"
#include "pulsews/contract.hpp"
#include "pulsews/error.hpp"
#include "pulsews/hub.hpp"
#include "pulsews/tables.hpp"
#include "pulsews/values.hpp"

#endif
