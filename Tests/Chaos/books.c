/* SPDX-License-Identifier: Apache-2.0
 *
 * The books: clients of all kinds send and receive while proxy, server and network misbehave; at the end every message
 * is accounted for on both sides, and nothing is left over.
 */
#include "books.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MOST_OPTIONS = 40 };

struct booked *booked;
int booked_count;

/* Outside malloc, whose books are checked as well. */
static void *pages(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) exit(1);
    return memory;
}

static void configure(struct booked *b, int index, uint64_t *dice) {
    static const char *const policies[] = {"drop_oldest", "drop_newest", "reject", "block"};
    static const int routes[] = {PROXY, PROXY | TLS, DIRECT, PROXY, PROXY, PROXY | TLS, DIRECT | TLS, PROXY};
    char texts[MOST_OPTIONS][96];
    const char *options[MOST_OPTIONS + 1] = {0};
    int count = 0;
    b->index = index;
    b->seed = draw(dice);
    b->route = routes[index % 8];
    b->policy = (index / 2) % 4;
    b->reports = index % 2 == 0;
    b->subscriptions = index % 6;
    b->flags = (index % 3 == 1 ? CONFIRMS : 0) | MAY_REJECT | (index % 5 == 0 ? MAY_GO_MUTE : 0);
    b->holds_login = index % 7 == 3;
    b->ttl = index % 5 == 2 ? PULSEWS_MILLISECONDS(100) : 0;
    if (!(b->route & PROXY)) b->flags |= IS_DIRECT;
    /* Those that confirm logins: nothing is sent over a connection before its first message has come. */
    b->rotates = index % 12 == 4 || index % 12 == 7 || index % 12 == 10;
    if (b->rotates && index % 12 != 7) b->flags |= IS_NUMBERED;
    b->is_heavy = index % 8 == 7 || index % 8 == 1;
    b->is_slow = index % 6 == 5;
    if (!b->fates) b->fates = pages(sizeof *b->fates * MOST_IDS);
    for (int i = 0; i < STREAMS; i++)
        if (!b->streams[i].messages) b->streams[i].messages = pages(sizeof(struct sent) * MOST_MESSAGES);
#define SET(...) (snprintf(texts[count], sizeof texts[count], __VA_ARGS__), options[count] = texts[count], count++)
    SET("name=c%d", index);
    SET("events=true");
    SET("max_reconnect_attempts=0");
    SET("reconnect_base_delay=%dms", 5 + index);
    SET("reconnect_max_delay=200ms");
    SET("stable_time=300ms");
    SET("restart_delay=20ms");
    SET("open_timeout=1s");
    SET("close_timeout=500ms");
    SET("login_timeout=500ms");
    SET("subscribe_timeout=500ms");
    SET("heartbeat_interval=200ms");
    SET("heartbeat_timeout=600ms");
    SET("host_connects=100");
    SET("host_connect_rate=1000/s");
    SET("login_reject=no login");
    SET("message_queue_policy=%s", policies[b->policy]);
    SET("message_queue_size=%d", 20 + index * 7);
    SET("backlog_interval=%s", index % 3 == 0 ? "1ms" : "0");
    SET("receive_queue_bytes=%s", b->is_slow ? "64KiB" : "16MiB");
    SET("compression=%s", index % 3 ? "true" : "false");
    SET("compression_threshold=%d", index % 4 ? 256 : 0);
    if (b->ttl) SET("message_ttl=%lldms", (long long)b->ttl / 1000000);
    if (index % 5 == 1) SET("rate_limit=200/s"), SET("rate_limit=50/100ms");
    if (index % 5 == 1) SET("rate_limit_control=true");
    if (index % 4 == 1) SET("heartbeat_message=ping");
    if (index % 9 == 4) SET("hold_connect=true");
    if (index % 9 == 2 && !(b->route & TLS)) {
        /* The same server at another port: what is sent changes over from one connection to the other. */
        SET("endpoints=ws://%s:%d/%d/%d/%d", world->address, atomic_load(&world->plain_port), index, b->subscriptions,
            b->flags);
        SET("endpoint_return=300ms");
        SET("breaker_failures=2");
        SET("breaker_timeout=100ms");
    }
    if (b->holds_login) SET("hold_login=true");
    else SET("login=login %d ${id}", index);
    if (b->flags & CONFIRMS) SET("login_confirm=ok login"), SET("subscribe_confirm=ok sub*");
    if (b->rotates) SET("max_age=%dms", 200 + 20 * index), SET("rotation_overlap=%dms", 10 * (index % 12));
    if (b->flags & IS_NUMBERED) SET("sequence_path=g");
    if (b->flags & MAY_GO_MUTE) SET("stale_timeout=500ms"), SET("stale_action=reconnect");
    pulsews_loop *loop = index % 4 == 0 ? NULL : index % 4 == 3 ? own_loop : loops[index % LOOPS];
    b->ws = make_client(index, b->subscriptions, b->flags, b->route, loop, options);
#undef SET
}

/* ---- Loops ---- */

static void make_loops(void) {
    for (int i = 0; i < LOOPS; i++) pulsews_loop_create(0, &loops[i], NULL, 0);
    pulsews_loop_create(PULSEWS_LOOP_NO_THREAD, &own_loop, NULL, 0);
    atomic_store(&drivers_stop, 0);
}

static void end_loops(pthread_t driver) {
    atomic_store(&drivers_stop, 1);
    pthread_join(driver, NULL);
    for (int i = 0; i < LOOPS; i++) pulsews_loop_free(loops[i]);
    pulsews_loop_free(own_loop);
}

/* ---- Phases ---- */

/* All have a message over a connection that was made after this call. */
static int all_came_back(double seconds) {
    for (int i = 0; i < booked_count; i++) {
        if (COMES(atomic_load(&booked[i].awaited_number) == 0, seconds)) continue;
        char status[2000] = "";
        pulsews_status_json(booked[i].ws, status, sizeof status);
        note("client %d did not come back: %.1500s", i, status);
        return 0;
    }
    return 1;
}

static void await_new_connections(void) {
    for (int i = 0; i < booked_count; i++) {
        atomic_store(&booked[i].first_message_at, 0);
        atomic_store(&booked[i].awaited_number, atomic_load(&world->client[i].connections) + 1);
    }
}

/* No descriptor is left for a while: attempts fail, and have to be made again. */
static void use_up_descriptors(double milliseconds) {
    enum { MOST = 512 };
    static int taken[MOST];
    struct rlimit before, low;
    int count = 0;
    pthread_mutex_lock(&descriptors);
    getrlimit(RLIMIT_NOFILE, &before);
    low = before;
    low.rlim_cur = MOST;
    setrlimit(RLIMIT_NOFILE, &low);
    while (count < MOST && (taken[count] = dup(0)) >= 0) count++;
    nap(milliseconds);
    while (count > 0) close(taken[--count]);
    setrlimit(RLIMIT_NOFILE, &before);
    pthread_mutex_unlock(&descriptors);
}

static void outage(uint64_t *dice) {
    static const int codes[] = {1001, 1012, 1013, 4000};
    double time = 50 + below(dice, 400);
    switch (below(dice, has_network ? 8 : 6)) {
    case 0:
        kill_server();
        nap(time);
        start_server();
        break;
    case 1:
        atomic_store(&world->server_listens, 0);
        nap(time);
        atomic_store(&world->server_listens, 1);
        break;
    case 2: atomic_store(&world->proxy_half_open, 1); break;
    case 3:
        atomic_store(&world->proxy_partition, 1);
        nap(time * 2);
        atomic_store(&world->proxy_partition, 0);
        break;
    case 4: atomic_store(&world->close_all, codes[below(dice, 4)]); break;
    case 5: use_up_descriptors(time); break;
    default:
        partition(1 + (int)below(dice, 3));
        nap(time * 2);
        partition(0);
    }
}

static void misbehave(double seconds, uint64_t *dice) {
    atomic_store(&world->server_faults, FAULT_CLOSE | FAULT_REFUSE | FAULT_LOGIN | FAULT_MUTE);
    atomic_store(&world->proxy_faults, 1);
    int64_t until = monotonic() + (int64_t)(seconds * 1e9);
    while (monotonic() < until) {
        nap(300 + below(dice, 1200));
        outage(dice);
    }
    atomic_store(&world->server_faults, 0);
    atomic_store(&world->proxy_faults, 0);
    atomic_store(&world->quiet, 1);
}

/* The server is killed with nothing else wrong; how long after its return each client has its first message. */
static void measure_repairs(int times, uint64_t *dice) {
    double longest = 0, *delays = malloc(sizeof *delays * (size_t)(times * booked_count));
    int count = 0, all_back = 1;
    char worst[200] = "";
    atomic_store(&senders_rest, 1); /* the times are to be those of the library, not of a busy machine */
    for (int round = 0; round < times && all_back; round++) {
        kill_server();
        await_new_connections();
        nap(50 + below(dice, 250));
        start_server();
        all_back = all_came_back(10);
        int64_t repaired = atomic_load(&world->listening_since);
        for (int i = 0; i < booked_count && all_back; i++) {
            int64_t due = atomic_load(&booked[i].due_at), from = due > repaired ? due : repaired;
            delays[count++] = (double)(atomic_load(&booked[i].first_message_at) - from) / 1e6;
            if (count > 1 && delays[count - 1] <= longest) continue;
            longest = delays[count - 1];
            const struct connection_record *c = &world->client[i].connection[booked[i].number];
            int64_t shift = realtime() - monotonic();
            snprintf(worst, sizeof worst,
                     "the last: client %d, kill %d; ms since the repair: due %.1f, attempt %.1f, "
                     "accepted %.1f, upgraded %.1f, ready %.1f",
                     i, round + 1, (double)(due - repaired) / 1e6, (double)(booked[i].attempted_at - repaired) / 1e6,
                     (double)(c->accepted + shift - repaired) / 1e6, (double)(c->upgraded + shift - repaired) / 1e6,
                     (double)(c->ready + shift - repaired) / 1e6);
        }
    }
    qsort(delays, (size_t)count, sizeof *delays, by_size);
    result(all_back, "repair: all clients came back after each of %d kills of the server", times);
    if (count > 0)
        result(delays[count / 2] < 100,
               "repair to first message, less the backoff: p50 %.1f ms, p99 %.1f ms, max %.1f ms of %d (aim: 100 ms)",
               delays[count / 2], delays[count * 99 / 100], delays[count - 1], count);
    note("%s", worst);
    free(delays);
}

static void close_all(void) {
    int flushed = 1, closed = 1;
    for (int i = 0; i < booked_count; i++) {
        char why[PULSEWS_ERROR_SIZE] = "";
        int32_t status = pulsews_wait_ready(booked[i].ws, PULSEWS_SECONDS(10), why, sizeof why);
        if (status != PULSEWS_OK) note("client %d is not ready: %s", i, why), flushed = 0;
        status = pulsews_flush(booked[i].ws, PULSEWS_SECONDS(10));
        if (status != PULSEWS_OK) {
            char text[2000] = "";
            pulsews_status_json(booked[i].ws, text, sizeof text);
            note("client %d: flush: %s: %.1200s", i, pulsews_error_name(status), text);
            flushed = 0;
        }
    }
    result(flushed, "end: every client is ready and its outbox leaves");
    atomic_store(&clients_close, 1);
    for (int i = 0; i < booked_count; i++) {
        int32_t status = pulsews_close(booked[i].ws, 1000, "done", PULSEWS_SECONDS(5));
        if (status != PULSEWS_OK) note("client %d: close: %s", i, pulsews_error_name(status)), closed = 0;
    }
    for (int i = 0; i < booked_count; i++) {
        struct client_record *books = &world->client[i];
        int is_gone = COMES(atomic_load(&books->open) == 0, 5);
        /* An attempt that the client gave up, for reconnect() was called, may reach the server after the next one. */
        uint32_t number = atomic_load(&books->connections);
        while (number > 1 && !books->connection[number].ready && !books->connection[number].has_close) number--;
        const struct connection_record *last = &books->connection[number];
        if (is_gone && last->has_close && last->ready) continue;
        note("client %d: its last connection is %s, with%s close frame, %s", i, is_gone ? "gone" : "still there",
             last->has_close ? "" : "out", last->ready ? "subscribed" : "deaf");
        closed = 0;
    }
    result(closed, "end: every client closes, and the server has read its close frame");
}

static void check_deafness(void) {
    uint64_t deaf = 0, ready = 0;
    for (int i = 0; i < booked_count; i++)
        for (uint32_t k = 1; k <= atomic_load(&world->client[i].connections); k++) {
            const struct connection_record *c = &world->client[i].connection[k];
            if (c->ready) ready++;
            /* Others ended too soon to log in, or were half-open. */
            else if (c->heard - c->upgraded > 2500000000LL && deaf++ < 3)
                note("client %d connection %u: %u logins, %u subscriptions in %.3f s", i, k, c->logins,
                     c->subscriptions, (double)(c->heard - c->upgraded) / 1e9);
        }
    result(deaf == 0 && ready > 0, "none deaf: %llu connections logged in and subscribed, in order, before all else",
           (unsigned long long)ready);
}

/* Everything that is made once and kept: TLS, compression, the resolver, what is remembered of hosts. */
static void warm_up(uint64_t *dice) {
    for (int i = 0; i < booked_count; i++) {
        char why[PULSEWS_ERROR_SIZE] = "";
        pulsews_message m;
        configure(&booked[i], i, dice);
        pulsews_open(booked[i].ws, PULSEWS_SECONDS(10), why, sizeof why);
        while (pulsews_wait_ready(booked[i].ws, 0, why, sizeof why) == PULSEWS_ETIMEOUT)
            if (pulsews_recv(booked[i].ws, &m, PULSEWS_SECONDS(5)) == PULSEWS_OK && event_is(&m, "hold")) {
                pulsews_send_with(booked[i].ws, PULSEWS_TEXT, "login", 5, PULSEWS_FIRST, 0, 0, NULL);
                pulsews_release(booked[i].ws);
            }
        if (pulsews_wait_ready(booked[i].ws, 0, why, sizeof why) != PULSEWS_OK) {
            fprintf(stderr, "chaos: client %d: %s\n", i, why);
            exit(1);
        }
        pulsews_close(booked[i].ws, 1000, NULL, PULSEWS_SECONDS(5));
        pulsews_client_free(booked[i].ws);
    }
}

static struct usage settled_usage(struct usage wanted, double seconds) {
    struct usage now;
    COMES((malloc_trim(0), now = usage(), now.threads <= wanted.threads && now.descriptors <= wanted.descriptors),
          seconds);
    return now;
}

static void note_faults(void) {
    char faults[600] = "";
    int used = 0;
    for (int i = 0; i < 26 && used < 500; i++) {
        unsigned long long served = atomic_load(&world->events[i]), passed_on = atomic_load(&world->proxy_events[i]);
        if (served) used += snprintf(faults + used, 40, " %c%llu", 'a' + i, served);
        if (passed_on) used += snprintf(faults + used, 40, " p%c%llu", 'a' + i, passed_on);
    }
    note("faults by kind:%s", faults);
}

void run_books(double seconds, int clients) {
    enum { MOST_THREADS = MOST_BOOKED * (STREAMS + 1) };
    uint64_t dice = world->seed;
    pthread_t *threads = pages(sizeof *threads * MOST_THREADS), monkeys[3], looker, reader, driver;
    uint64_t monkey_seeds[3] = {draw(&dice), draw(&dice), draw(&dice)};
    if (clients > MOST_BOOKED) clients = MOST_BOOKED;
    booked_count = clients;
    booked = pages(sizeof *booked * MOST_BOOKED);
    start_server();
    start_proxy();
    if (!has_network) skipped("the partitions of a network: namespaces need root or user namespaces");
    make_loops();
    pthread_create(&driver, NULL, drive, own_loop);
    warm_up(&dice);
    end_loops(driver);
    struct usage before = settled_usage((struct usage){1, 0, 0, 0}, 0.3);
    make_loops();
    for (int i = 0; i < clients; i++) configure(&booked[i], i, &dice);
    pthread_create(&driver, NULL, drive, own_loop);
    int count = 0;
    for (int i = 0; i < clients; i++) {
        pulsews_open(booked[i].ws, 0, NULL, 0);
        pthread_create(&threads[count++], NULL, receive_messages, &booked[i]);
    }
    int receivers = count;
    for (int i = 0; i < clients; i++)
        for (int stream = 0; stream < STREAMS; stream++) {
            struct sender *sender = malloc(sizeof *sender);
            *sender = (struct sender){&booked[i], stream};
            pthread_create(&threads[count++], NULL, send_messages, sender);
        }
    pulsews_log_queue(PULSEWS_LOG_DEBUG, 1000);
    pthread_create(&reader, NULL, read_log, NULL);
    for (int i = 0; i < 3; i++) pthread_create(&monkeys[i], NULL, i < 2 ? be_a_monkey : visit, &monkey_seeds[i]);
    pthread_create(&looker, NULL, monitor, NULL);

    misbehave(seconds * 0.75, &dice);
    atomic_store(&monkeys_stop, 1);
    for (int i = 0; i < 3; i++) pthread_join(monkeys[i], NULL);
    for (int i = 0; i < clients; i++) {
        /* Any message will do: who is about to connect goes on with that. */
        pulsews_reconnect(booked[i].ws);
        atomic_store(&booked[i].awaited_number, 1);
    }
    result(all_came_back(10), "all clients came back when the faults ended");
    measure_repairs(seconds < 30 ? 3 : 10, &dice);
    atomic_store(&senders_stop, 1);
    for (int i = receivers; i < count; i++) pthread_join(threads[i], NULL);
    close_all();
    for (int i = 0; i < receivers; i++) pthread_join(threads[i], NULL);
    atomic_store(&monitors_stop, 1);
    pthread_join(looker, NULL);
    pulsews_log_queue(PULSEWS_LOG_OFF, 1);
    pthread_join(reader, NULL);
    result(secrets == 0 && log_lines > 0,
           "no key or login stands in %llu lines of the log, a status or an event: %llu do",
           (unsigned long long)log_lines, (unsigned long long)secrets);
    result(imbalances == 0, "accounts balance at every one of %llu looks (%llu do not, the first by %g)",
           (unsigned long long)looks, (unsigned long long)imbalances, first_imbalance);
    check_books();
    check_deafness();
    check_complaints();
    note("at most %.1f ms after its time to live came one of %u messages that have one", (double)world->latest / 1e6,
         world->timed);

    for (int i = 0; i < clients; i++) pulsews_client_free(booked[i].ws);
    end_loops(driver);
    struct usage after = settled_usage(before, 5);
    result(after.threads == before.threads && after.descriptors == before.descriptors,
           "nothing is left over: threads %d -> %d, descriptors %d -> %d", before.threads, after.threads,
           before.descriptors, after.descriptors);
    result(after.bytes - before.bytes < (64 + KEPT_SESSIONS) << 10, "memory in use: %ld -> %ld bytes", before.bytes,
           after.bytes);
    note_faults();
}
