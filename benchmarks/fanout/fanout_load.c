/* SPDX-License-Identifier: Apache-2.0
 *
 * The load of the fan-out benchmark: opens PEERS connections, then takes COUNT messages on each (fanout.h says what they look
 * like), and looks that every peer gets each number once and in order.
 *
 *     fanout_load PORT PEERS COUNT [tls] [deflate] [path PATH] [protocol NAME] [subscribe TEXT] [stalled N]
 *
 * stalled N: so many peers more, which never read. Prints {"ready": PEERS} once all are open and each has sent TEXT, if any,
 * and its answer has come; then, when the last message is there, one line of JSON: messages, seconds from the first to the
 * last, cpu (seconds of this process in that time), p50_us and p99_us from publishing to here, and reads (calls that brought
 * something: fewer than messages where some came together). With COUNT 0 it waits for
 * the end of its standard input. Pings are not answered: runs are shorter than any server's patience. */
#include "fanout.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <zlib.h>

enum { READ = 1 << 18, PATIENCE_MS = 20000, MEMORY = 64 };

typedef struct peer {
    int fd;
    long next; /* the number that has to come */
    SSL *tls;
    uint8_t *rest; /* of a frame that has come in part */
    size_t rest_size;
} peer;

/* Servers without context takeover send the same bytes to all: what was inflated before is known by its bytes. */
typedef struct known {
    uint8_t *bytes;
    size_t size;
    long number;
    int64_t stamp;
} known;

static struct {
    int port, tls, deflate;
    long peers, count, stalled;
    const char *path, *protocol, *subscribe;
} options = {.path = "/fanout"};

static SSL_CTX *context;
static z_stream inflater;
static known memory[MEMORY];
static uint8_t buffer[READ * 2];
static uint32_t *times; /* us */
static size_t time_count;
static long finished, others; /* peers that have all; messages that are none of the load's */
static long reads;            /* that brought something */
static int64_t first_ns;
static double first_cpu;

static void fail(const char *what, long peer_number) {
    fprintf(stderr, "fanout_load: peer %ld: %s\n", peer_number, what);
    exit(1);
}

static double cpu_seconds(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

/* ---- Opening ------------------------------------------------------------------------------------------------------ */

static void write_all(peer *p, const void *bytes, size_t size) {
    long count = p->tls ? SSL_write(p->tls, bytes, (int)size) : send(p->fd, bytes, size, MSG_NOSIGNAL);
    if (count != (long)size) fail("writing failed", -1);
}

static long read_some(peer *p, void *into, size_t room) {
    return p->tls ? SSL_read(p->tls, into, (int)room) : recv(p->fd, into, room, 0);
}

static int would_block(peer *p, long count) {
    return p->tls ? SSL_get_error(p->tls, (int)count) == SSL_ERROR_WANT_READ : count < 0 && errno == EAGAIN;
}

static void send_text(peer *p, const char *text) {
    uint8_t frame[1024];
    size_t size = strlen(text), header = size < 126 ? 6 : 8;
    if (size > 1000) fail("the text is too long", -1);
    frame[0] = 0x81;
    frame[1] = 0x80 | (size < 126 ? (uint8_t)size : 126);
    if (size >= 126) frame[2] = (uint8_t)(size >> 8), frame[3] = (uint8_t)size;
    memset(frame + header - 4, 0, 4); /* a mask of zeros */
    memcpy(frame + header, text, size);
    write_all(p, frame, header + size);
}

/* A socket that takes little, so that its server's buffers are soon full. */
static void make_stalled(int fd) {
    int small = 4096, segment = 1400;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
}

static void keep_rest(peer *p, const uint8_t *bytes, size_t size) {
    free(p->rest);
    p->rest = NULL;
    p->rest_size = size;
    if (!size) return;
    p->rest = malloc(size);
    if (!p->rest) fail("no memory", -1);
    memcpy(p->rest, bytes, size);
}

static void open_peer(peer *p, long number, int stalls) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char request[1024], protocol[128] = "";
    address.sin_port = htons((uint16_t)options.port);
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p->fd < 0) fail("no socket", number);
    if (stalls) make_stalled(p->fd);
    if (connect(p->fd, (struct sockaddr *)&address, sizeof address)) fail("connect failed", number);
    if (options.tls) {
        p->tls = SSL_new(context);
        SSL_set_fd(p->tls, p->fd);
        if (SSL_connect(p->tls) != 1) fail("the TLS handshake failed", number);
    }
    if (options.protocol) snprintf(protocol, sizeof protocol, "Sec-WebSocket-Protocol: %s\r\n", options.protocol);
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s%s\r\n",
                          options.path, options.port, protocol,
                          options.deflate ? "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
                                            "client_no_context_takeover\r\n"
                                          : "");
    write_all(p, request, (size_t)length);
    size_t size = 0;
    for (char *end = NULL; !end;) {
        long count = read_some(p, buffer + size, 8192);
        if (count <= 0 || size > 65536) fail("no answer to the upgrade", number);
        size += (size_t)count;
        buffer[size] = 0;
        if (strncmp((char *)buffer, "HTTP/1.1 101", size < 12 ? size : 12)) fail((char *)buffer, number);
        end = strstr((char *)buffer, "\r\n\r\n");
        if (!end) continue;
        *end = 0;
        if (options.deflate && !strcasestr((char *)buffer, "server_no_context_takeover"))
            fail("no compression", number);
        end += 4;
        keep_rest(p, (uint8_t *)end, size - (size_t)(end - (char *)buffer));
    }
    if (options.subscribe) send_text(p, options.subscribe);
}

/* ---- Messages ----------------------------------------------------------------------------------------------------- */

/* Finds number and stamp; 0 if it is another message. */
static int look(const char *text, size_t size, long *number, int64_t *stamp) {
    static const char mark[] = "{\"n\":1";
    const char *at = size > 6 && !memcmp(text, mark, 6) ? text : memmem(text, size, mark, 6);
    if (!at || size - (size_t)(at - text) < FANOUT_HEAD) return 0;
    *number = 0;
    *stamp = 0;
    for (int i = 6; i < 15; i++) *number = *number * 10 + (at[i] - '0');
    for (int i = 20; i < 39; i++) *stamp = *stamp * 10 + (at[i] - '0');
    return 1;
}

static int look_compressed(const uint8_t *bytes, size_t size, long *number, int64_t *stamp, long peer_number) {
    static uint8_t input[READ], output[READ];
    uint32_t hash = (uint32_t)size;
    for (size_t i = 0; i < size; i += 16) hash = hash * 31 + bytes[i];
    known *found = &memory[(hash ^ hash >> 8) % MEMORY];
    if (found->size != size || memcmp(found->bytes, bytes, size)) {
        if (size + 4 > sizeof input) fail("a message is too long", peer_number);
        memcpy(input, bytes, size);
        memcpy(input + size, "\0\0\xff\xff", 4); /* RFC 7692 §7.2.2 */
        inflateReset(&inflater);
        inflater.next_in = input;
        inflater.avail_in = (uInt)size + 4;
        inflater.next_out = output;
        inflater.avail_out = sizeof output;
        int result = inflate(&inflater, Z_SYNC_FLUSH);
        if ((result != Z_OK && result != Z_BUF_ERROR) || inflater.avail_in)
            fail("a message can't be inflated", peer_number);
        if (!look((char *)output, sizeof output - inflater.avail_out, number, stamp)) return 0;
        found->bytes = realloc(found->bytes, size);
        if (!found->bytes) fail("no memory", peer_number);
        memcpy(found->bytes, bytes, size);
        found->size = size;
        found->number = *number;
        found->stamp = *stamp;
    }
    *number = found->number;
    *stamp = found->stamp;
    return 1;
}

static void take(peer *p, uint8_t first, const uint8_t *payload, size_t size, long peer_number, int64_t now) {
    long number;
    int64_t stamp;
    char problem[100];
    if (first == 0x88) fail("the server has closed", peer_number);
    if ((first & 15) > 2) return;
    if (!(first & 0x80) || !(first & 15)) fail("a message is in fragments", peer_number);
    int found = first & 0x40 ? look_compressed(payload, size, &number, &stamp, peer_number)
                             : look((const char *)payload, size, &number, &stamp);
    if (!found) {
        others++;
        return;
    }
    if (number != p->next) {
        snprintf(problem, sizeof problem, "number %ld came where %ld was due", number, p->next);
        fail(problem, peer_number);
    }
    if (!first_ns) {
        first_ns = now;
        first_cpu = cpu_seconds();
    }
    times[time_count++] = (uint32_t)((now - stamp) / 1000);
    if (++p->next == options.count) finished++;
}

/* Takes the whole frames, and keeps what is left. */
static void take_all(peer *p, const uint8_t *bytes, size_t size, long number) {
    int64_t now = fanout_clock(CLOCK_REALTIME);
    size_t at = 0;
    while (size - at >= 2) {
        size_t header = 2, length = bytes[at + 1] & 127;
        if (bytes[at + 1] & 128) fail("a frame is masked", number);
        if (length >= 126) {
            header = length == 126 ? 4 : 10;
            if (size - at < header) break;
            length = 0;
            for (size_t i = 2; i < header; i++) length = length << 8 | bytes[at + i];
        }
        if (length > READ - 16) fail("a message is too long", number);
        if (size - at - header < length || size - at < header) break;
        take(p, bytes[at], bytes + at + header, length, number, now);
        at += header + length;
    }
    keep_rest(p, bytes + at, size - at);
}

static void readable(peer *p, long number) {
    for (;;) {
        size_t before = p->rest_size;
        if (before) memcpy(buffer, p->rest, before);
        long count = read_some(p, buffer + before, READ);
        if (count <= 0 && would_block(p, count)) return;
        if (count <= 0) fail("the server has ended the connection", number);
        reads++;
        take_all(p, buffer, before + (size_t)count, number);
        if (p->tls ? !SSL_pending(p->tls) : count < READ) return;
    }
}

/* ---- The run ------------------------------------------------------------------------------------------------------ */

static void wait_for(int poller, peer *peers, long wanted, const long *reached, const char *what) {
    struct epoll_event events[1024];
    char problem[200];
    while (*reached < wanted) {
        int ready = epoll_wait(poller, events, 1024, PATIENCE_MS);
        if (ready == 0) {
            long least = 0;
            for (long i = 1; i < options.peers; i++)
                if (peers[i].next < peers[least].next) least = i;
            snprintf(problem, sizeof problem, "no %s for 20 s: %ld of %ld, this peer has %ld", what, *reached, wanted,
                     peers[least].next);
            fail(problem, least);
        }
        for (int i = 0; i < ready; i++) readable(events[i].data.ptr, (peer *)events[i].data.ptr - peers);
    }
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void print_result(void) {
    double seconds = (double)(fanout_clock(CLOCK_REALTIME) - first_ns) / 1e9, cpu = cpu_seconds() - first_cpu;
    qsort(times, time_count, sizeof *times, by_value);
    printf("{\"messages\": %zu, \"seconds\": %.6f, \"cpu\": %.6f, \"p50_us\": %u, \"p99_us\": %u, \"reads\": %ld}\n",
           time_count, seconds, cpu, times[time_count / 2], times[time_count * 99 / 100], reads);
    fflush(stdout);
}

static void read_arguments(int count, char **arguments) {
    if (count < 4) fail("usage: fanout_load PORT PEERS COUNT [WORD...]", -1);
    options.port = atoi(arguments[1]);
    options.peers = atol(arguments[2]);
    options.count = atol(arguments[3]);
    for (int i = 4; i < count; i++) {
        const char *word = arguments[i], *next = i + 1 < count ? arguments[i + 1] : "";
        if (!strcmp(word, "tls")) options.tls = 1;
        else if (!strcmp(word, "deflate")) options.deflate = 1;
        else if (!strcmp(word, "path")) options.path = next, i++;
        else if (!strcmp(word, "protocol")) options.protocol = next, i++;
        else if (!strcmp(word, "subscribe")) options.subscribe = next, i++;
        else if (!strcmp(word, "stalled")) options.stalled = atol(next), i++;
        else fail("an argument is unknown", -1);
    }
    if (options.peers < 1 || options.count < 0) fail("there is nothing to do", -1);
}

int main(int count, char **arguments) {
    struct rlimit files;
    read_arguments(count, arguments);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if ((rlim_t)(options.peers + options.stalled + 20) > files.rlim_cur) fail("RLIMIT_NOFILE allows fewer peers", -1);
    context = SSL_CTX_new(TLS_client_method());
    peer *peers = calloc((size_t)(options.peers + options.stalled), sizeof *peers);
    times = malloc((size_t)(options.peers * options.count + 1) * sizeof *times);
    int poller = epoll_create1(EPOLL_CLOEXEC);
    if (!peers || !times || poller < 0 || !context || inflateInit2(&inflater, -15) != Z_OK) fail("no memory", -1);
    for (long i = 0; i < options.peers + options.stalled; i++) open_peer(&peers[i], i, i >= options.peers);
    for (long i = 0; i < options.peers; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &peers[i]};
        fcntl(peers[i].fd, F_SETFL, O_NONBLOCK);
        if (epoll_ctl(poller, EPOLL_CTL_ADD, peers[i].fd, &event)) fail("epoll_ctl failed", i);
        size_t size = peers[i].rest_size;
        if (size) memcpy(buffer, peers[i].rest, size);
        take_all(&peers[i], buffer, size, i);
    }
    /* Each server that is subscribed to in band greets (1) and confirms (2). */
    if (options.subscribe) wait_for(poller, peers, options.peers * 2, &others, "confirmation");
    printf("{\"ready\": %ld}\n", options.peers);
    fflush(stdout);
    if (options.count) {
        wait_for(poller, peers, options.peers, &finished, "message");
        print_result();
    }
    while (getchar() != EOF) continue;
    return 0;
}
