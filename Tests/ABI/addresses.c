/* SPDX-License-Identifier: Apache-2.0
 *
 * Names with several addresses, of which one takes TCP connections and is good for nothing else. */
#include "harness.h"
#include "names.h"
#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

/* A server at 127.0.0.N that takes connections, and ends each as it is told. */
struct bad {
    int listener;
    const char *way; /* NULL: it stays silent; "reset"; else its answer to whatever comes */
    atomic_int taken;
};

static void *be_bad(void *argument) {
    struct bad *b = argument;
    for (int connection; (connection = accept(b->listener, NULL, NULL)) >= 0;) {
        char some[4096];
        b->taken++;
        if (!b->way) continue; /* stays open, and silent, until the process ends */
        if (recv(connection, some, sizeof some, 0) <= 0) {}
        if (strcmp(b->way, "reset") == 0)
            setsockopt(connection, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
        else send(connection, b->way, strlen(b->way), MSG_NOSIGNAL);
        close(connection);
    }
    return NULL;
}

static void start_bad(struct bad *b, int number, int port, const char *way) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)number - 1)};
    memset(b, 0, sizeof *b);
    b->way = way;
    b->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(b->listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    CHECK(bind(b->listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(b->listener, 16) == 0);
    run_thread(be_bad, b);
}

/* Lives until the next call but three. */
static const char *text(const char *format, ...) {
    static char kept[4][200];
    static int next;
    char *out = kept[next++ & 3];
    va_list list;
    va_start(list, format);
    vsnprintf(out, sizeof kept[0], format, list);
    va_end(list);
    return out;
}

static const char *const both[] = {"127.0.0.2", "127.0.0.1", NULL};
#define FAST "reconnect_base_delay=10ms", "reconnect_max_delay=40ms", "jitter=0"

static int32_t open_named(pulsews_client *client, char *why) {
    int32_t status = pulsews_open(client, PULSEWS_SECONDS(30), why, PULSEWS_ERROR_SIZE);
    if (status != PULSEWS_OK) fprintf(stderr, "%s: %s\n", pulsews_error_name(status), why);
    return status;
}

/* It costs half of the attempt's time, once: the next connection begins with the other address. */
TEST(an_address_that_hangs_leaves_time_for_another) {
    char why[PULSEWS_ERROR_SIZE];
    struct bad hung;
    server *s = scripted(SCRIPTS("accept"));
    start_bad(&hung, 2, port_of(s), NULL);
    name_addresses("two.test", both);
    pulsews_client *client = make_client_at(text("ws://two.test:%d/", port_of(s)),
                                            OPTIONS("open_timeout=3s", "reconnect=false"));
    IS(open_named(client, why), PULSEWS_OK);
    IS((int64_t)statistic(client, "attempts"), 1);
    IS(hung.taken, 1);
    IS(pulsews_reconnect(client), PULSEWS_OK);
    await_statistic(client, "connections", 2);
    IS((int64_t)statistic(client, "attempts"), 2);
    IS(hung.taken, 1);
    pulsews_client_free(client);
    /* What one client has learned the others know. */
    client = make_client_at(text("ws://two.test:%d/", port_of(s)), OPTIONS("open_timeout=3s", "reconnect=false"));
    IS(open_named(client, why), PULSEWS_OK);
    IS(hung.taken, 1);
    pulsews_client_free(client);
}

TEST(an_address_that_resets_is_left_in_the_same_attempt) {
    char why[PULSEWS_ERROR_SIZE];
    struct bad rude;
    server *s = scripted(SCRIPTS("accept"));
    start_bad(&rude, 2, port_of(s), "reset");
    name_addresses("two.test", both);
    pulsews_client *client = make_client_at(text("ws://two.test:%d/", port_of(s)),
                                            OPTIONS("open_timeout=10s", "reconnect=false"));
    IS(open_named(client, why), PULSEWS_OK);
    IS((int64_t)statistic(client, "attempts"), 1);
    IS(rude.taken, 1);
    pulsews_client_free(client);
}

TEST(an_address_without_tls_is_left_in_the_same_attempt) {
    char why[PULSEWS_ERROR_SIZE];
    struct bad plain;
    server *s = scripted(SCRIPTS("--tls", "accept"));
    start_bad(&plain, 2, port_of(s), "HTTP/1.1 400 Bad Request\r\n\r\n");
    name_addresses("two.test", both);
    pulsews_client *client = make_client_at(text("wss://two.test:%d/", port_of(s)),
                                            OPTIONS("open_timeout=10s", "reconnect=false", "verify=false"));
    IS(open_named(client, why), PULSEWS_OK);
    IS((int64_t)statistic(client, "attempts"), 1);
    pulsews_client_free(client);
}

/* An answer ends the attempt; the next one goes elsewhere, and the cause names the address. */
TEST(an_address_that_answers_502_is_not_asked_again) {
    struct bad proxy;
    server *s = scripted(SCRIPTS("accept | text hello"));
    start_bad(&proxy, 2, port_of(s), "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
    name_addresses("two.test", both);
    pulsews_client *client = make_client_at(text("ws://two.test:%d/", port_of(s)),
                                            OPTIONS(FAST, "open_timeout=10s", "events=true"));
    IS(pulsews_start(client), PULSEWS_OK);
    EVENT(client, "\"event\":\"state\"", "status 502", text("(address 127.0.0.2:%d)", port_of(s)));
    await_text(client, "hello");
    IS((int64_t)statistic(client, "attempts"), 2);
    IS(proxy.taken, 1);
    pulsews_client_free(client);
}

/* The back of the order is not out of it, and each attempt after the first makes one connection. */
TEST(addresses_that_all_fail_take_turns) {
    char why[PULSEWS_ERROR_SIZE];
    struct bad second, third;
    int port = refusing_port();
    start_bad(&second, 2, port, "reset");
    start_bad(&third, 3, port, "reset");
    name_addresses("two.test", (const char *[]){"127.0.0.2", "127.0.0.3", NULL});
    pulsews_client *client = make_client_at(text("ws://two.test:%d/", port),
                                            OPTIONS("open_timeout=10s", "reconnect=false"));
    IS(open_named(client, why), PULSEWS_ERESET);
    CHECK(strstr(why, text("(address 127.0.0.3:%d)", port)) &&
          strstr(why, text("before that failed 127.0.0.2:%d", port)));
    pulsews_client_free(client);
    client = make_client_at(text("ws://two.test:%d/", port),
                            OPTIONS(FAST, "open_timeout=10s", "max_reconnect_attempts=6"));
    IS(pulsews_start(client), PULSEWS_OK);
    await_statistic(client, "attempts", 6);
    IS(open_named(client, why), PULSEWS_ERESET);
    while (pulsews_client_state(client) != PULSEWS_ERROR)
        IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_ERESET);
    int attempts = (int)statistic(client, "attempts");
    fprintf(stderr, "%d attempts, %d and %d connections\n", attempts, second.taken, third.taken);
    IS(second.taken + third.taken, 2 + attempts);
    CHECK(second.taken - third.taken <= 1 && third.taken - second.taken <= 1);
    pulsews_client_free(client);
}

/* A certificate that does not verify ends the trying, unless another address of the name may do. */
TEST(a_bad_certificate_of_one_address_is_not_final) {
    char why[PULSEWS_ERROR_SIZE];
    struct bad other;
    server *s = scripted(SCRIPTS("--tls", "accept"));
    name_addresses("two.test", (const char *[]){"127.0.0.1", "127.0.0.2", NULL});
    pulsews_client *client = make_client_at(text("wss://two.test:%d/", port_of(s)), OPTIONS(FAST, "open_timeout=10s"));
    IS(open_named(client, why), PULSEWS_EREFUSED); /* the second one may come back */
    CHECK(strstr(why, text("before that failed 127.0.0.1:%d", port_of(s))));
    IS(pulsews_wait_ready(client, SHORT, why, sizeof why), PULSEWS_EUNKNOWNCA); /* it does not */
    IS((int64_t)statistic(client, "attempts"), 2);
    pulsews_client_free(client);
    start_bad(&other, 2, port_of(s), "reset");
    client = make_client_at(text("wss://two.test:%d/", port_of(s)),
                            OPTIONS(FAST, "open_timeout=10s", "max_reconnect_attempts=0"));
    IS(pulsews_start(client), PULSEWS_OK);
    await_statistic(client, "attempts", 8);
    CHECK(pulsews_client_state(client) != PULSEWS_ERROR);
    CHECK(other.taken >= 3);
    pulsews_client_free(client);
}

/* A proxy's name has addresses, too. */
TEST(a_proxy_with_a_bad_address) {
    char why[PULSEWS_ERROR_SIZE];
    struct bad silent, refusing;
    int port = refusing_port();
    start_bad(&silent, 2, port, NULL);
    start_bad(&refusing, 3, port, "HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n");
    name_addresses("two.test", (const char *[]){"127.0.0.2", "127.0.0.3", NULL});
    pulsews_client *client = make_client_at("ws://server.invalid/", OPTIONS("open_timeout=3s", "reconnect=false",
                                                                            text("proxy=http://two.test:%d", port)));
    IS(open_named(client, why), PULSEWS_EPROXYAUTH);
    IS(silent.taken, 1);
    IS(refusing.taken, 1);
    pulsews_client_free(client);
}
