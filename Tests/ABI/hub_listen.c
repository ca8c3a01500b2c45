/* SPDX-License-Identifier: Apache-2.0 */
/* Where a hub listens, beyond an address of its own. */
#include "hub.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char why[PULSEWS_ERROR_SIZE];

static void listen_at(pulsews_hub *hub, const char *form, int number) {
    char address[64];
    snprintf(address, sizeof address, form, number);
    if (pulsews_hub_listen(hub, address, why, sizeof why) != PULSEWS_OK) {
        fprintf(stderr, "%s\n", why);
        exit(1);
    }
}

TEST(hub_of_several_loops_and_a_unix_socket) {
    char text[32], place[64];
    pulsews_hub *hub = make_hub(OPTIONS("loops=3"));
    listen_at(hub, "unix:/tmp/pulsews-hub-%d.sock", (int)getpid());
    hub_topic(hub, "t history=100");
    start_hub(hub);
    snprintf(place, sizeof place, "/tmp/pulsews-hub-%d.sock", (int)getpid());
    CHECK(access(place, F_OK) == 0);
    pulsews_client *peers[30];
    for (int i = 0; i < 30; i++) {
        peers[i] = pulse_peer(hub);
        subscribe_peer(peers[i], "t");
    }
    for (int n = 1; n <= 500; n++) {
        snprintf(text, sizeof text, "{\"type\":\"n\",\"n\":%d}", n);
        publish(hub, "t", NULL, text);
    }
    for (int i = 0; i < 30; i++)
        for (int n = 1; n <= 500; n++) {
            snprintf(text, sizeof text, "\"n\":%d}}", n);
            GETS(peers[i], text);
        }
    CHECK(hub_statistic(hub, "frames_encoded") <= 500 * 2 + 30);
    check_books(hub);
    for (int i = 0; i < 30; i++) pulsews_client_free(peers[i]);
    pulsews_hub_free(hub);
    CHECK(access(place, F_OK) != 0);
}

/* A socket that listens on the loopback, as a service manager makes one; *port is its port. */
static int made_listener(int *port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    int made = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(made >= 0 && bind(made, (struct sockaddr *)&at, sizeof at) == 0 && listen(made, 64) == 0);
    CHECK(getsockname(made, (struct sockaddr *)&at, &length) == 0);
    *port = ntohs(at.sin_port);
    return made;
}

/* One socket, which stays the caller's, for all loops; the next hub takes it over with who waits in its queue. */
TEST(hub_listens_on_a_descriptor) {
    int port, listener = made_listener(&port);
    char url[64], address[64], expected[64];
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/ws/stream", port);
    snprintf(expected, sizeof expected, "127.0.0.1:%d", port);
    for (int round = 0; round < 2; round++) {
        pulsews_hub *hub = NULL;
        IS(pulsews_hub_create(NULL, &hub, why, sizeof why), PULSEWS_OK);
        IS(pulsews_hub_set(hub, "loops", "2", why, sizeof why), PULSEWS_OK);
        listen_at(hub, "fd:%d", listener);
        hub_topic(hub, "t history=1");
        int waits = http_connect(port);
        start_hub(hub);
        CHECK(pulsews_hub_address(hub, 0, address, sizeof address) > 0 && strcmp(address, expected) == 0);
        pulsews_client *peers[16];
        for (int i = 0; i < 16; i++) {
            peers[i] = make_client_at(url, NO_OPTIONS);
            IS(pulsews_open(peers[i], SHORT, why, sizeof why), PULSEWS_OK);
        }
        await_hub_statistic(hub, "connections_accepted", 17);
        for (int i = 0; i < 16; i++) pulsews_client_free(peers[i]);
        pulsews_hub_free(hub);
        close(waits);
        CHECK(fcntl(listener, F_GETFD) >= 0);
    }
    close(listener);
}

TEST(hub_listens_on_a_descriptor_of_a_unix_socket) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "/tmp/pulsews-given-%d.sock", (int)getpid());
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 8) == 0);
    pulsews_hub *hub = make_hub(NO_OPTIONS);
    listen_at(hub, "fd:%d", listener);
    start_hub(hub);
    int connection = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(connect(connection, (struct sockaddr *)&at, sizeof at) == 0);
    static const char request[] = "GET /ws/health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    CHECK(send(connection, request, sizeof request - 1, MSG_NOSIGNAL) == (ssize_t)sizeof request - 1);
    char answer[1024] = "";
    CHECK(recv(connection, answer, sizeof answer - 1, 0) > 0 && strstr(answer, "HTTP/1.1 200 OK") == answer);
    close(connection);
    pulsews_hub_free(hub);
    /* Whoever made the file removes it. */
    CHECK(access(at.sun_path, F_OK) == 0 && unlink(at.sun_path) == 0);
    close(listener);
}

TEST(hub_refuses_descriptors_that_do_not_listen) {
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    int closed = pair[1] + 1000;
    for (int i = 0; i < 2; i++) {
        pulsews_hub *hub = make_hub(NO_OPTIONS);
        listen_at(hub, "fd:%d", i == 0 ? pair[0] : closed);
        CHECK(pulsews_hub_start(hub, why, sizeof why) != PULSEWS_OK && strstr(why, "can't listen on fd:"));
        pulsews_hub_free(hub);
    }
    pulsews_hub *hub = make_hub(NO_OPTIONS);
    static const char *const wrong[] = {"fd:", "fd:x", "fd:-1", "fd:99999", "fd:3:4"};
    for (int i = 0; i < 5; i++) IS(pulsews_hub_listen(hub, wrong[i], why, sizeof why), PULSEWS_EVALUE);
    CHECK(strstr(why, "fd:number"));
    pulsews_hub_free(hub);
    close(pair[0]);
    close(pair[1]);
}
