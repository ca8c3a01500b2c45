// SPDX-License-Identifier: Apache-2.0
// uWebSockets with its publish/subscribe and a shared compressor. What is published in one turn leaves in one write.
#include "fanout.h"

#include <App.h>
#include <thread>

struct Nothing {};

static fanout_load load;
static us_timer_t *timer;

template <bool secure> struct Server {
    static inline uWS::TemplatedApp<secure> *app;

    static void schedule() {
        int64_t wait = fanout_wait(&load);
        if (wait < 0) {
            us_timer_set(timer, [](us_timer_t *) {}, 0, 0);
            return fanout_published(&load);
        }
        // The loop's timers count milliseconds.
        us_timer_set(timer, [](us_timer_t *) { publish(); }, (int)((wait + 999999) / 1000000) ?: 1, 0);
    }

    static void publish() {
        std::string text;
        for (long i = 0; i < load.burst && load.published < load.count; i++) {
            text.resize(load.longest + FANOUT_HEAD + 2);
            size_t length = fanout_message(&load, text.data());
            app->publish("fanout", std::string_view(text.data(), length), uWS::OpCode::TEXT, true);
        }
        load.due += load.interval;
        schedule();
    }

    static void run(const char *certificate, const char *key) {
        uWS::SocketContextOptions options;
        options.cert_file_name = certificate;
        options.key_file_name = key;
        uWS::TemplatedApp<secure> server(options);
        app = &server;
        typename uWS::TemplatedApp<secure>::template WebSocketBehavior<Nothing> behavior;
        behavior.compression = uWS::SHARED_COMPRESSOR;
        behavior.open = [](auto *peer) { peer->subscribe("fanout"); };
        server.template ws<Nothing>("/fanout", std::move(behavior));
        server.listen("127.0.0.1", 0, LIBUS_LISTEN_EXCLUSIVE_PORT, [](us_listen_socket_t *socket) {
            fanout_require(socket != nullptr, "listen");
            fanout_say_port(us_socket_local_port(secure, (us_socket_t *)socket));
        });
        timer = us_create_timer((us_loop_t *)uWS::Loop::get(), 0, 0);
        readCommands();
        server.run();
    }

    /// A thread reads standard input, and hands the lines over to the loop.
    static void readCommands() {
        uWS::Loop *loop = uWS::Loop::get();
        std::thread([loop] {
            char line[1024];
            while (fgets(line, sizeof line, stdin))
                loop->defer([text = std::string(line)] {
                    if (fanout_command(text.c_str(), &load)) schedule();
                });
            exit(0);
        }).detach();
    }
};

int main(int count, char **arguments) {
    if (count != 5) return fprintf(stderr, "usage: uwebsockets plain|tls CERTIFICATE KEY FLUSH_US\n"), 2;
    if (!strcmp(arguments[1], "tls")) Server<true>::run(arguments[2], arguments[3]);
    else Server<false>::run(nullptr, nullptr);
}
