/* SPDX-License-Identifier: Apache-2.0
 *
 * Proxies and redirects as the C interface shows them. What real proxies do is looked at in Tests/Integration. */
#include "harness.h"
#include <arpa/inet.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *option(const char *format, ...) {
    static char kept[8][300];
    static int next;
    char *out = kept[next++ & 7];
    va_list list;
    va_start(list, format);
    vsnprintf(out, sizeof kept[0], format, list);
    va_end(list);
    return out;
}

static void clear_environment(void) {
    static const char *const names[] = {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY",
                                        "all_proxy",  "ALL_PROXY",  "no_proxy",    "NO_PROXY"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unsetenv(names[i]);
}

/* What making a client for this URL gives; `why` gets the sentence. */
static int32_t creating(const char *url, const char *proxy, char *why, size_t size) {
    pulsews_config *config = pulsews_config_create();
    pulsews_client *client = NULL;
    CHECK(config != NULL);
    why[0] = 0;
    int32_t status = proxy ? pulsews_config_set(config, "proxy", proxy, why, size) : PULSEWS_OK;
    if (status == PULSEWS_OK) status = pulsews_client_create(url, config, NULL, &client, why, size);
    pulsews_client_free(client);
    pulsews_config_free(config);
    return status;
}

TEST(values_of_option_proxy) {
    static const char *const good[] = {"none",        "http://h", "https://u:p@h:1/", "socks5://[::1]:9",
                                       "SOCKS5H://h", "h:3128"};
    static const char *const bad[] = {"",
                                      "h",
                                      "ftp://h",
                                      "http://",
                                      "http://u:s3cret@h:0",
                                      "http://u:s3cret@h/p",
                                      "socks4://u:s3cret@h",
                                      "http://u:s3cret%zz@h",
                                      "http://a b"};
    char why[PULSEWS_ERROR_SIZE];
    clear_environment();
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (creating("ws://h/", good[i], why, sizeof why) != PULSEWS_OK) fprintf(stderr, "%s: %s\n", good[i], why);
        IS(creating("ws://h/", good[i], why, sizeof why), PULSEWS_OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        IS(creating("ws://h/", bad[i], why, sizeof why), PULSEWS_EVALUE);
        CHECK(strstr(why, "option proxy") && !strstr(why, "s3cret"));
    }
}

/* As a header it would go to the server. */
TEST(a_proxys_login_is_no_header) {
    char why[PULSEWS_ERROR_SIZE] = "";
    pulsews_config *config = pulsews_config_create();
    IS(pulsews_config_set(config, "headers", "Proxy-Authorization: Basic bWU6czNjcmV0", why, sizeof why),
       PULSEWS_EVALUE);
    CHECK(strstr(why, "option proxy") && !strstr(why, "bWU6czNjcmV0"));
    pulsews_config_free(config);
    clear_environment();
    pulsews_client *client = make_client_at("ws://server.invalid/", NO_OPTIONS);
    IS(pulsews_set_header(client, "proxy-authorization", "Basic bWU6czNjcmV0", why, sizeof why), PULSEWS_EVALUE);
    CHECK(strstr(why, "option proxy") && !strstr(why, "bWU6czNjcmV0"));
    pulsews_client_free(client);
}

TEST(the_environment_is_never_left_out) {
    char why[PULSEWS_ERROR_SIZE];
    clear_environment();
    setenv("http_proxy", "u:s3cret@h:x", 1);
    IS(creating("ws://h/", NULL, why, sizeof why), PULSEWS_EVALUE);
    CHECK(strstr(why, "http_proxy") && !strstr(why, "s3cret"));
    IS(creating("ws://h/", "none", why, sizeof why), PULSEWS_OK);
    IS(creating("wss://h/", NULL, why, sizeof why), PULSEWS_OK);
    setenv("ALL_PROXY", "gopher://h", 1);
    IS(creating("wss://h/", NULL, why, sizeof why), PULSEWS_EVALUE);
    CHECK(strstr(why, "ALL_PROXY"));
    setenv("https_proxy", "", 1);
    IS(creating("wss://h/", NULL, why, sizeof why), PULSEWS_OK);
    clear_environment();
}

/* A proxy that hears one request and gives one answer. */
struct proxy {
    int listener, port;
    const char *answer;
    char heard[1000];
};

static void *be_proxy(void *argument) {
    struct proxy *p = argument;
    int connection = accept(p->listener, NULL, NULL);
    size_t count = 0;
    while (count < sizeof p->heard - 1 && !strstr(p->heard, "\r\n\r\n")) {
        ssize_t got = recv(connection, p->heard + count, sizeof p->heard - 1 - count, 0);
        if (got <= 0) break;
        count += (size_t)got;
        p->heard[count] = 0;
    }
    send(connection, p->answer, strlen(p->answer), MSG_NOSIGNAL);
    char rest[100];
    while (recv(connection, rest, sizeof rest, 0) > 0) {}
    close(connection);
    return NULL;
}

static pthread_t start_proxy(struct proxy *p, const char *answer) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    memset(p, 0, sizeof *p);
    p->answer = answer;
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(p->listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(p->listener, 4) == 0);
    CHECK(getsockname(p->listener, (struct sockaddr *)&address, &size) == 0);
    p->port = ntohs(address.sin_port);
    return run_thread(be_proxy, p);
}

TEST(a_proxy_that_refuses) {
    static const struct {
        const char *answer;
        int32_t status;
        const char *words;
    } cases[] = {
        {"HTTP/1.1 407 Who?\r\n\r\n", PULSEWS_EPROXYAUTH, "\"HTTP/1.1 407 Who?\""},
        {"HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\nnot you", PULSEWS_EPROXY, "\"not you\""},
        {"220 mail.example\r\n", PULSEWS_EPROXY, "no HTTP proxy"},
    };
    clear_environment();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct proxy p;
        pthread_t thread = start_proxy(&p, cases[i].answer);
        pulsews_client *client = make_client_at("ws://server.invalid/path?key=hidden",
                                                OPTIONS(option("proxy=http://me:s3cret@127.0.0.1:%d", p.port),
                                                        "reconnect=false", "open_timeout=10s"));
        char why[PULSEWS_ERROR_SIZE];
        IS(pulsews_open(client, SHORT, why, sizeof why), cases[i].status);
        CHECK(strstr(why, cases[i].words) && strstr(why, option("http://127.0.0.1:%d", p.port)));
        CHECK(!strstr(why, "s3cret") && !strstr(why, "hidden"));
        IS((int64_t)statistic(client, "failures_proxy"), 1);
        pulsews_client_free(client);
        pthread_join(thread, NULL);
        close(p.listener);
        CHECK(strstr(p.heard, "CONNECT server.invalid:80 HTTP/1.1\r\n"));
        CHECK(strstr(p.heard, "\r\nProxy-Authorization: Basic bWU6czNjcmV0\r\n") && !strstr(p.heard, "hidden"));
    }
}

/* It announces more of a page than ever comes, and the attempt would have a minute. */
TEST(a_proxy_whose_refusal_never_ends) {
    struct proxy p;
    char why[PULSEWS_ERROR_SIZE];
    clear_environment();
    pthread_t thread = start_proxy(&p, "HTTP/1.1 403 Forbidden\r\nContent-Length: 700\r\n\r\nnot you");
    pulsews_client *client = make_client_at("ws://server.invalid/", OPTIONS(option("proxy=http://127.0.0.1:%d", p.port),
                                                                            "reconnect=false", "open_timeout=60s"));
    IS(pulsews_open(client, PULSEWS_SECONDS(20), why, sizeof why), PULSEWS_EPROXY);
    CHECK(strstr(why, "\"not you\""));
    pulsews_client_free(client);
    pthread_join(thread, NULL);
    close(p.listener);
}

TEST(a_proxy_that_is_not_there) {
    char why[PULSEWS_ERROR_SIZE];
    int port = refusing_port();
    clear_environment();
    setenv("all_proxy", option("socks5h://127.0.0.1:%d", port), 1);
    pulsews_client *client = make_client_at("wss://server.invalid/", OPTIONS("reconnect=false", "open_timeout=10s"));
    IS(pulsews_open(client, SHORT, why, sizeof why), PULSEWS_EPROXY);
    CHECK(strstr(why, option("socks5h://127.0.0.1:%d", port)) && strstr(why, "connection refused"));
    pulsews_client_free(client);
    clear_environment();
}

/* The same program as a server: a redirect with a user and a password in it. */
TEST(a_redirect_that_is_not_followed) {
    struct proxy p;
    char why[PULSEWS_ERROR_SIZE];
    clear_environment();
    pthread_t thread = start_proxy(&p, "HTTP/1.1 302 Found\r\nLocation: ws://u:p@127.0.0.1/\r\n"
                                       "Content-Length: 0\r\n\r\n");
    pulsews_client *client = make_client(p.port, OPTIONS("reconnect=false", "open_timeout=10s"));
    IS(pulsews_open(client, SHORT, why, sizeof why), PULSEWS_EREDIRECT);
    CHECK(strstr(why, "status 302") && strstr(why, "user or password"));
    IS((int64_t)statistic(client, "redirects"), 0);
    IS((int64_t)statistic(client, "failures_handshake"), 1);
    pulsews_client_free(client);
    pthread_join(thread, NULL);
    close(p.listener);
}
