// SPDX-License-Identifier: Apache-2.0
// A hub and a client of it in one process.
#include <iostream>

#include <pulsews.hpp>

int main() {
    using namespace std::chrono_literals;
    pulsews::Hub hub;
    hub.listen("127.0.0.1:0").topic("chat.*");
    hub.start();
    pulsews::Client client("ws://" + hub.address() + "/ws/stream?topics=chat.main");
    client.open(20s);
    client.close(1000, nullptr, 20s);
    std::cout << "C++ with pulsews " << pulsews::version() << '\n';
}
