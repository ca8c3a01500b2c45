// SPDX-License-Identifier: Apache-2.0
// Boost.Beast with its blocking calls. See ../c/bench.h.
#include "../c/bench.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <memory>
#include <string>
#include <vector>

namespace net = boost::asio;
namespace beast = boost::beast;
namespace websocket = boost::beast::websocket;
using tcp = net::ip::tcp;
using Plain = websocket::stream<tcp::socket>;
using Secure = websocket::stream<net::ssl::stream<tcp::socket>>;

static net::io_context io;
static net::ssl::context context(net::ssl::context::tls_client);
static tcp::resolver::results_type addresses;

static void make(std::unique_ptr<Plain> &stream) { stream = std::make_unique<Plain>(io); }
static void make(std::unique_ptr<Secure> &stream) { stream = std::make_unique<Secure>(io, context); }
static void secure(Plain &) {}
static void secure(Secure &stream) { stream.next_layer().handshake(net::ssl::stream_base::client); }

template <class Stream> static std::unique_ptr<Stream> open(const bench_task &task) {
    std::unique_ptr<Stream> stream;
    make(stream);
    auto &socket = beast::get_lowest_layer(*stream);
    net::connect(socket, addresses);
    socket.set_option(tcp::no_delay(true));
    secure(*stream);
    stream->handshake(std::string(task.host) + ":" + task.port, task.target);
    stream->text(true);
    return stream;
}

template <class Stream> static void run(const bench_task &task) {
    const long n = task.count;
    const std::string text(task.size, 'a');
    std::vector<int64_t> times(static_cast<size_t>(n) + 1);
    beast::flat_buffer buffer;
    beast::error_code end;
    if (bench_is(&task, "idle")) {
        std::vector<std::unique_ptr<Stream>> all;
        bench_allow_files();
        long first = 0;
        for (long i = 0; i < n; i++) {
            all.push_back(open<Stream>(task));
            if (i == 0) first = bench_resident_kib();
        }
        bench_print_idle(&task, first, bench_resident_kib());
        return;
    }
    if (bench_is(&task, "connect")) {
        const bench_clock start = bench_start();
        for (long i = 0; i < n; i++) {
            const int64_t before = bench_now();
            auto stream = open<Stream>(task);
            times[i] = bench_now() - before;
        }
        bench_print_times(&task, start, times.data(), n, "");
        return;
    }
    auto stream = open<Stream>(task);
    bench_clock start = bench_start();
    auto receive = [&] {
        buffer.clear();
        stream->read(buffer);
    };
    if (bench_is(&task, "flood") || bench_is(&task, "flood-one")) {
        long messages = 0;
        for (;; messages++) {
            buffer.clear();
            stream->read(buffer, end);
            if (end) break;
        }
        bench_print(&task, start, messages, "");
    } else if (bench_is(&task, "echo")) {
        for (long i = -WARM_UP; i < n; i++) {
            if (i == 0) start = bench_start();
            const int64_t before = bench_now();
            stream->write(net::buffer(text));
            receive();
            if (i >= 0) times[i] = bench_now() - before;
        }
        bench_print_times(&task, start, times.data(), n, "");
    } else if (bench_is(&task, "sink")) {
        for (long i = 0; i < n; i++) stream->write(net::buffer(text));
        receive();
        bench_print(&task, start, n, "");
    } else if (bench_is(&task, "burst")) {
        for (long i = 0; i < n; i++) {
            const int64_t before = bench_now();
            for (int k = 0; k < BURST; k++) stream->write(net::buffer(text));
            for (int k = 0; k < BURST; k++) receive();
            times[i] = bench_now() - before;
        }
        bench_print_times(&task, start, times.data(), n, "");
    } else {
        bench_fail("unknown measure");
    }
}

int main(int count, char **arguments) {
    const bench_task task = bench_arguments(count, arguments);
    addresses = tcp::resolver(io).resolve(task.host, task.port);
    if (!task.secure) {
        run<Plain>(task);
    } else {
        context.load_verify_file(task.ca);
        context.set_verify_mode(net::ssl::verify_peer);
        run<Secure>(task);
    }
}
