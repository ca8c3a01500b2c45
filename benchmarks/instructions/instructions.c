/* SPDX-License-Identifier: Apache-2.0
 *
 * instructions PART ROUNDS: a client and the other end of its connection in one thread, with a fixed input, so that callgrind
 * counts the same instructions each time. `measured` is what is counted: ROUNDS bursts of 64 messages of 128 bytes. The other
 * end is plain system calls, a few for each burst.
 *
 *   receive   plain texts, in batches
 *   one       the same, a call for each message
 *   feed      JSON with numbers of the feed, looked at for gaps and a heartbeat
 *   send      texts, a call for each message
 *   queued    the same while the outbox holds more, as behind a limit
 *   journal   the same with a journal, which each message is written to first; its file has no name any more
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pulsews.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BURST = 64, SIZE = 128, FRAME = SIZE + 4, LARGEST = 1 << 16, NUMBER_END = 5 + 10 };

static pulsews_client *client;
static pulsews_loop *loop;
static int peer;
static char frames[BURST * FRAME];
static char input[LARGEST];
static long long number = 1000000000;
static int numbered;

static char why[PULSEWS_ERROR_SIZE];

#define DO(condition)                                                                                                  \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "instructions: line %d: not so: %s %s\n", __LINE__, #condition, why);                      \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static void answer_upgrade(void) {
    size_t size = 0;
    while (size < 4 || memcmp(input + size - 4, "\r\n\r\n", 4) != 0) {
        ssize_t count = read(peer, input + size, sizeof input - size - 1);
        if (count < 0 && errno == EAGAIN) DO(pulsews_loop_run_once(loop, PULSEWS_MILLISECONDS(10)) >= 0);
        else DO(count > 0);
        if (count > 0) size += (size_t)count;
    }
    input[size] = 0;
    char *key = strstr(input, "Sec-WebSocket-Key: "), text[256], accept[64];
    DO(key);
    snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key + 19);
    unsigned char digest[SHA_DIGEST_LENGTH];
    SHA1((unsigned char *)text, strlen(text), digest);
    EVP_EncodeBlock((unsigned char *)accept, digest, sizeof digest);
    int length = snprintf(
        text, sizeof text,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
        accept);
    DO(write(peer, text, (size_t)length) == length);
}

static void connect_both(const char *const *options) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    DO(bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 1) == 0);
    DO(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
    char url[64];
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", ntohs(address.sin_port));
    pulsews_config *config = pulsews_config_create();
    for (int i = 0; options[i]; i += 2)
        DO(pulsews_config_set(config, options[i], options[i + 1], why, sizeof why) == PULSEWS_OK);
    DO(pulsews_loop_create(PULSEWS_LOOP_NO_THREAD, &loop, NULL, 0) == PULSEWS_OK);
    DO(pulsews_client_create(url, config, loop, &client, why, sizeof why) == PULSEWS_OK);
    pulsews_config_free(config);
    DO(pulsews_start(client) == PULSEWS_OK);
    peer = -1;
    while (peer < 0) {
        DO(pulsews_loop_run_once(loop, PULSEWS_MILLISECONDS(10)) >= 0);
        peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    }
    close(listener);
    answer_upgrade();
    DO(pulsews_wait_ready(client, PULSEWS_SECONDS(10), why, sizeof why) == PULSEWS_OK);
    int all = 1 << 20;
    DO(setsockopt(peer, SOL_SOCKET, SO_SNDBUF, &all, sizeof all) == 0);
}

/* A burst as it goes over the line. */
static void make_frames(const char *text) {
    for (int i = 0; i < BURST; i++) {
        char *frame = frames + i * FRAME;
        frame[0] = (char)0x81;
        frame[1] = 126;
        frame[2] = 0;
        frame[3] = (char)SIZE;
        memset(frame + 4, ' ', SIZE);
        memcpy(frame + 4, text, strlen(text));
    }
}

/* Their numbers follow one another; with so many digits that none is added. */
static void count_up(void) {
    for (int i = 0; i < BURST; i++) {
        long long left = ++number;
        for (char *digit = frames + i * FRAME + 4 + NUMBER_END; left; left /= 10) *--digit = (char)('0' + left % 10);
    }
}

static void receive(size_t most) {
    static pulsews_batch *batch;
    if (!batch) DO((batch = pulsews_batch_create()));
    if (numbered) count_up();
    DO(write(peer, frames, sizeof frames) == sizeof frames);
    for (size_t count = 0; count < BURST;) {
        if (most == 1) {
            pulsews_message message;
            DO(pulsews_recv(client, &message, PULSEWS_SECONDS(10)) == PULSEWS_OK && message.length == SIZE);
            count++;
        } else {
            const pulsews_message *messages;
            int32_t taken = pulsews_recv_batch(client, batch, most, PULSEWS_SECONDS(10), &messages);
            DO(taken > 0 && messages[0].length == SIZE);
            count += (size_t)taken;
        }
    }
}

static void send_burst(void) {
    static char text[SIZE];
    memset(text, 'x', sizeof text);
    for (int i = 0; i < BURST; i++) DO(pulsews_send(client, PULSEWS_TEXT, text, SIZE, 0) == PULSEWS_OK);
    DO(pulsews_flush(client, PULSEWS_SECONDS(10)) == PULSEWS_OK);
    for (ssize_t size = 0; size < BURST * (FRAME + 4);) {
        ssize_t count = read(peer, input, sizeof input);
        DO(count > 0);
        size += count;
    }
}

static const char *part;

__attribute__((noinline)) static void measured(int rounds) {
    for (int i = 0; i < rounds; i++) {
        if (strcmp(part, "receive") == 0 || numbered) receive(1024);
        else if (strcmp(part, "one") == 0) receive(1);
        else send_burst();
    }
}

int main(int count, char **arguments) {
    DO(count == 3);
    part = arguments[1];
    numbered = strcmp(part, "feed") == 0;
    const char *feed[] = {"sequence_path", "u", "heartbeat_reply", "{\"op\":\"pong\"}", "reconnect", "false", NULL};
    const char *queued[] = {"rate_limit", "100000/60s", "reconnect", "false", NULL};
    char path[] = "/tmp/pulsews_instructions_XXXXXX";
    const char *journal[] = {"journal", path, "reconnect", "false", NULL};
    const char *plain[] = {"reconnect", "false", NULL};
    int file = -1;
    if (strcmp(part, "journal") == 0) DO((file = mkstemp(path)) >= 0);
    connect_both(numbered ? feed : strcmp(part, "queued") == 0 ? queued : file >= 0 ? journal : plain);
    if (file >= 0) DO(unlink(path) == 0 && close(file) == 0);
    make_frames(numbered ? "{\"u\":0000000000,\"s\":\"BTCUSDT\",\"b\":\"25.35190000\"}" : "a text without numbers");
    measured(10); /* memory is there, tables are filled */
    measured(atoi(arguments[2]));
    pulsews_client_free(client);
    pulsews_loop_free(loop);
    return 0;
}
